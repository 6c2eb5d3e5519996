"""Two tickets to try hopla with, each for a damaged car: one that waits for review, whose photos the worker sends to
the sandbox, and one whose photos a guest is to take.
"""

from datetime import timedelta

from django.urls import reverse
from django.utils import timezone
from redis.exceptions import RedisError
from rest_framework.exceptions import APIException

from apps.accounts.management.commands.make_demo_user import USERNAME
from apps.accounts.models import User
from apps.common.encryption import SecretUnreadableError
from apps.guests.links import make_link, token_of
from apps.guests.models import LinkState
from apps.tickets.intake.acceptance import accept_photo
from apps.tickets.intake.stream import reserved_stream
from apps.tickets.kinds.copying import apply_kind
from apps.tickets.lifecycle.opening import open_ticket
from apps.tickets.models import Ticket, TicketKind
from script.demo_photos import colourful_photo

KIND, REFERENCE, GUEST_REFERENCE = "car-damage", "DEMO-REVIEW", "DEMO-GUEST"
GUEST_DAYS = 30


def open_demo_ticket() -> None:
    """Open the one to review and send its photos, in place of that of an earlier start, whose photos went with its
    sandbox. Leaves it out where staff have deleted its kind.
    """
    owner = demo_user()
    ticket = open_anew(owner, REFERENCE, title="A red car, to be reviewed")
    if ticket is None:
        return
    try:
        for position in range(1, ticket.num_images + 1):
            send_photo(ticket, position)
    except (RedisError, APIException) as error:
        print(f"The ticket to review has not got all of its photos: {error}")


def page_for_a_guest() -> str | None:
    """Returns the path of a guest's page: that of an earlier start while it takes photos, else of a new ticket's. None
    where staff have deleted its kind.
    """
    owner = demo_user()
    if token := token_in_use(owner):
        return path_of(token)
    expires_at = timezone.now() + timedelta(days=GUEST_DAYS)
    ticket = open_anew(owner, GUEST_REFERENCE, title="A blue car, for a guest", expires_at=expires_at)
    if ticket is None:
        return None
    seconds = GUEST_DAYS * 24 * 3600
    return path_of(token_of(make_link(ticket=ticket, created_by=owner, language="en", expires_in_seconds=seconds)))


def token_in_use(owner: User) -> str | None:
    """That of the link made with the ticket: any later one is of staff, for somebody."""
    ticket = Ticket.objects.filter(owner=owner, reference=GUEST_REFERENCE).first()
    link = ticket and ticket.guest_links.order_by("pk").first()
    if not link or link.state != LinkState.OPEN or ticket.is_overdue:
        return None
    try:
        return token_of(link)
    except SecretUnreadableError:
        return None


def path_of(token: str) -> str:
    return reverse("guest-page", kwargs={"token": token})


def demo_user() -> User:
    return User.objects.get(username__iexact=USERNAME)


def open_anew(owner: User, reference: str, **fields) -> Ticket | None:
    """Returns a new ticket in place of the one of this reference; None where staff have deleted its kind."""
    Ticket.objects.filter(owner=owner, reference=reference).delete()
    kind = TicketKind.objects.filter(name=KIND).prefetch_related("slots__example").first()
    if kind is None:
        return None
    return open_ticket(owner=owner, **apply_kind(fields | {"reference": reference}, kind, "en"))


def send_photo(ticket: Ticket, position: int) -> None:
    """The last one says that it was taken long ago."""
    age = timedelta(days=400) if position == ticket.num_images else timedelta(minutes=2)
    content = colourful_photo(position, captured_at=timezone.now() - age)
    with reserved_stream(len(content)) as stream:
        stream.open(f"car-{position}.jpg")
        stream.write(content)
        photo = stream.close()
    accept_photo(ticket_id=ticket.pk, photo=photo, position=position)
