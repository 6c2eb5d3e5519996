"""A hopla after a busy hour, for the pictures: photos in progress, retried, failed, stored.

Django must be set up on the database of the hopla at `url`, which must be for demonstration only.
"""

import io
import random
import time
from datetime import timedelta

import requests
from django.urls import reverse
from django.utils import timezone
from PIL import Image as Picture

from apps.accounts.management.commands.make_demo_user import PASSWORD, USERNAME
from apps.accounts.models import User
from apps.guests.links import make_link, token_of
from apps.sandbox.server import SandboxServer
from apps.tickets.kinds.copying import apply_kind
from apps.tickets.models import Image, Ticket, TicketKind
from apps.tickets.models.statuses import ImageStatus, TicketStatus

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


def live_through_a_busy_hour(*, url: str, sandbox: SandboxServer) -> Ticket:
    """Fill it, and return the ticket to show: of its photos three are stored, one failed, one waits."""
    dice = random.Random(7)  # the same hour each time
    people = [
        User.objects.create_user(username, email=f"{username}@example.com", name=name)
        for username, name in PEOPLE.items()
    ]
    for _ in range(60):
        remember_completed_ticket(dice.choice(people), dice=dice)

    client = Client(url)
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
    slow = client.open_ticket("Car, left door and mirror", num_images=8)
    for seed in range(5, 10):
        client.post_photo(slow, seed=seed, size=(1600, 1200))
    wait_until(lambda: Image.objects.filter(ticket_id=slow, status=ImageStatus.UPLOADING).count() == 5)
    client.open_ticket("Meter readings", num_images=2)
    client.ask_for_help("Photo 4 is refused", "It is a scan of the plan. What else may I send?")
    return Ticket.objects.get(pk=shown)


def remember_completed_ticket(owner: User, *, dice: random.Random) -> None:
    """A ticket that was completed within the last hour, more likely lately; its photos are rows alone."""
    completed_at = timezone.now() - timedelta(minutes=dice.triangular(0, 59, 12))
    num_images = dice.randint(3, 12)
    ticket = Ticket.objects.create(
        owner=owner,
        title=f"{dice.choice(SUBJECTS)}, {dice.randint(100, 999)}",
        num_images=num_images,
        status=TicketStatus.COMPLETED,
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
    ticket = Ticket.objects.create(**apply_kind({"owner": owner, "title": "Claim 15"}, kind, "en"))
    link = make_link(ticket=ticket, created_by=owner, language="en")
    return ticket, reverse("guest-page", kwargs={"token": token_of(link)})


class Client:
    """The demo user, as a client of the API."""

    def __init__(self, url: str):
        self.api = f"{url}/api/v1"
        self.session = requests.Session()
        login = self._post("auth/login/", json={"username": USERNAME, "password": PASSWORD})
        self.session.headers["Authorization"] = f"Token {login['token']}"

    def open_ticket(self, title: str, *, num_images: int) -> int:
        return self._post("tickets/", json={"title": title, "num_images": num_images})["id"]

    def post_photo(self, ticket_id: int, *, seed: int, size: tuple[int, int] = (800, 600)) -> None:
        photo = (f"roof-{seed + 1}.jpg", colourful_photo(seed, size=size), "image/jpeg")
        self._post(f"tickets/{ticket_id}/images/", files={"image": photo})

    def ask_for_help(self, title: str, text: str) -> None:
        self._post("support/tickets/", json={"title": title, "body_text": text})

    def _post(self, path: str, **body) -> dict:
        response = self.session.post(f"{self.api}/{path}", timeout=60, **body)
        response.raise_for_status()
        return response.json()


def colourful_photo(seed: int, *, size: tuple[int, int]) -> bytes:
    """A JPEG, another for each seed."""
    left, top = -2.2 + 0.15 * seed, -1.2 + 0.1 * seed
    shape = Picture.effect_mandelbrot(size, (left, top, left + 3.2, top + 2.4), 30 + 20 * seed)
    slope = Picture.linear_gradient("L").resize(size)
    photo = Picture.merge(
        "RGB", (shape, slope.rotate(180 * (seed % 2)), Picture.eval(shape, lambda value: 255 - value))
    )
    buffer = io.BytesIO()
    photo.save(buffer, "JPEG", quality=92)
    return buffer.getvalue()


def wait_until(condition) -> None:
    deadline = time.monotonic() + STORED_WITHIN_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("the demonstration did not come to the point that the pictures are to show")
        time.sleep(0.1)
