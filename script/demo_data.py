"""A hopla after a busy hour, for the pictures: photos in progress, retried, failed, stored.

Django must be set up on the database of the hopla at `url`, which must be for demonstration only.
"""

import random
import time
from datetime import timedelta

import requests
from django.urls import reverse
from django.utils import timezone

from apps.accounts.management.commands.make_demo_user import PASSWORD, USERNAME
from apps.accounts.models import User
from apps.guests.links import make_link, token_of
from apps.sandbox.server import SandboxServer
from apps.tickets.kinds.copying import apply_kind
from apps.tickets.lifecycle.opening import open_ticket
from apps.tickets.models import Image, Ticket, TicketKind
from apps.tickets.models.statuses import ImageStatus, RejectionReason, TicketReview, TicketStatus
from apps.tickets.models.transition import acting_as
from apps.tickets.upkeep.review import Rejection, request_retakes
from script.demo_photos import colourful_photo

PEOPLE = {"ana": "Ana Lis", "bruno": "Bruno Sanz", "celia": "Celia Ruiz", "dawid": "Dawid Nowak"}
SUBJECTS = (
    "Hail on the roof",
    "Kitchen, water",
    "Car, left door",
    "Flat 3B, hand-over",
    "Shop window",
    "Meter readings",
)
STORED_WITHIN_SECONDS = 60
REVIEWED_AFTER = timedelta(minutes=4)


def live_through_a_busy_hour(*, url: str, sandbox: SandboxServer) -> tuple[Ticket, Ticket]:
    """Fill it, and return two tickets to show: one of whose photos three are stored, one failed, one waits; and one to
    review, a photo of which was taken again.
    """
    dice = random.Random(7)  # the same hour each time
    people = [
        User.objects.create_user(username, email=f"{username}@example.com", name=name)
        for username, name in PEOPLE.items()
    ]
    for _ in range(60):
        remember_completed_ticket(dice.choice(people), dice=dice)

    client = Client(url)
    reviewed = client.open_ticket("Car, left door and mirror", kind="car-damage")
    photograph_car(client, reviewed)
    shown = client.open_ticket("Hail on the roof, house 7", num_images=6)
    for seed in range(3):
        client.post_photo(shown, seed=seed)
    wait_until(lambda: Image.objects.filter(ticket_id=shown, status=ImageStatus.STORED).count() == 3)
    sandbox.misbehave("refuse", status=400, times=1)
    client.post_photo(shown, seed=3)
    wait_until(lambda: Image.objects.filter(ticket_id=shown, status=ImageStatus.FAILED).exists())
    sandbox.misbehave("refuse", status=429, retry_after=600, times=1)
    client.post_photo(shown, seed=4)
    wait_until(lambda: Image.objects.filter(ticket_id=shown, next_retry_at__isnull=False).exists())
    sandbox.misbehave("latency", seconds=600)
    slow = client.open_ticket("Kitchen, water", num_images=8)
    for seed in range(5, 10):
        client.post_photo(slow, seed=seed, size=(1600, 1200))
    wait_until(lambda: Image.objects.filter(ticket_id=slow, status=ImageStatus.UPLOADING).count() == 5)
    client.open_ticket("Meter readings", num_images=2)
    client.ask_for_help("Photo 4 is refused", "It is a scan of the plan. What else may I send?")
    return Ticket.objects.get(pk=shown), Ticket.objects.get(pk=reviewed)


def photograph_car(client: "Client", ticket_id: int) -> None:
    """All of its photos, the first of which is too dark, and once more that one."""
    ticket = Ticket.objects.get(pk=ticket_id)
    taken = timezone.now() - timedelta(minutes=3)
    for seed, slot in enumerate(ticket.slots, start=1):
        content = colourful_photo(seed, captured_at=taken, light=0.25 if seed == 1 else 1)
        client.send(ticket_id, content, filename=f"car-{seed}.jpg", slot=slot["name"])
    wait_until(lambda: Ticket.objects.get(pk=ticket_id).status == TicketStatus.COMPLETED)
    dark = ticket.images.get(position=1)
    with acting_as("staff 2 (ana)"):
        request_retakes(ticket_id, [Rejection(dark.pk, RejectionReason.TOO_DARK, "Please switch the lights on.")])
    content = colourful_photo(1, captured_at=taken + timedelta(minutes=2))
    client.send(ticket_id, content, filename="car-7.jpg", slot=ticket.slots[0]["name"])
    wait_until(lambda: Ticket.objects.get(pk=ticket_id).status == TicketStatus.COMPLETED)


def remember_completed_ticket(owner: User, *, dice: random.Random) -> None:
    """A ticket that was completed within the last hour, more likely lately; its photos are rows alone."""
    completed_at = timezone.now() - timedelta(minutes=dice.triangular(0, 59, 12))
    num_images = dice.randint(3, 12)
    ticket = Ticket.objects.create(
        owner=owner,
        title=f"{dice.choice(SUBJECTS)}, {dice.randint(100, 999)}",
        num_images=num_images,
        status=TicketStatus.COMPLETED,
        review=TicketReview.APPROVED if completed_at < timezone.now() - REVIEWED_AFTER else "",
        created_at=completed_at - timedelta(minutes=2),
        completed_at=completed_at,
    )
    described = {"content_type": "image/jpeg", "format": "jpeg", "size": 2_400_000, "width": 4000, "height": 3000}
    Image.objects.bulk_create(
        Image(
            ticket=ticket,
            position=position,
            status=ImageStatus.STORED,
            stored_at=completed_at - timedelta(seconds=dice.uniform(0, 90)),
            created_at=ticket.created_at,
            attempts=1,
            filename=f"IMG_{dice.randint(1000, 9999)}.jpg",
            **described,
        )
        for position in range(1, num_images + 1)
    )


def open_for_a_guest() -> tuple[Ticket, str]:
    """Returns a ticket of the demo user's for a damaged car, and the path of a link to it."""
    owner = User.objects.get(username=USERNAME)
    kind = TicketKind.objects.get(name="car-damage")
    ticket = open_ticket(**apply_kind({"owner": owner, "title": "Claim 15"}, kind, "en"))
    link = make_link(ticket=ticket, created_by=owner, language="en")
    return ticket, reverse("guest-page", kwargs={"token": token_of(link)})


class Client:
    """The demo user, as a client of the API."""

    def __init__(self, url: str):
        self.api = f"{url}/api/v1"
        self.session = requests.Session()
        login = self._post("auth/login/", json={"username": USERNAME, "password": PASSWORD})
        self.session.headers["Authorization"] = f"Token {login['token']}"

    def open_ticket(self, title: str, **fields) -> int:
        return self._post("tickets/", json={"title": title} | fields)["id"]

    def post_photo(self, ticket_id: int, *, seed: int, size: tuple[int, int] = (800, 600)) -> None:
        self.send(ticket_id, colourful_photo(seed, size=size), filename=f"roof-{seed + 1}.jpg")

    def send(self, ticket_id: int, content: bytes, *, filename: str, **fields) -> None:
        photo = (filename, content, "image/jpeg")
        self._post(f"tickets/{ticket_id}/images/", files={"image": photo}, data=fields)

    def ask_for_help(self, title: str, text: str) -> None:
        self._post("support/tickets/", json={"title": title, "body_text": text})

    def _post(self, path: str, **body) -> dict:
        response = self.session.post(f"{self.api}/{path}", timeout=60, **body)
        response.raise_for_status()
        return response.json()


def wait_until(condition) -> None:
    deadline = time.monotonic() + STORED_WITHIN_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("the demonstration did not come to the point that the pictures are to show")
        time.sleep(0.1)
