"""A ticket that waits for review, to try that with: a damaged car, whose photos the worker sends to the sandbox."""

from datetime import timedelta

from django.utils import timezone
from redis.exceptions import RedisError
from rest_framework.exceptions import APIException

from apps.accounts.management.commands.make_demo_user import USERNAME
from apps.accounts.models import User
from apps.tickets.intake.acceptance import accept_photo
from apps.tickets.intake.stream import reserved_stream
from apps.tickets.kinds.copying import apply_kind
from apps.tickets.models import Ticket, TicketKind
from script.demo_photos import colourful_photo

KIND, REFERENCE = "car-damage", "DEMO-REVIEW"


def open_demo_ticket() -> None:
    """Open it and send its photos, in place of that of an earlier start, whose photos went with its sandbox.

    Leaves it out where staff have deleted its kind.
    """
    kind = TicketKind.objects.filter(name=KIND).prefetch_related("slots__example").first()
    owner = User.objects.get(username__iexact=USERNAME)
    Ticket.objects.filter(owner=owner, reference=REFERENCE).delete()
    if kind is None:
        return
    fields = {"title": "A red car, to be reviewed", "reference": REFERENCE}
    ticket = Ticket.objects.create(owner=owner, **apply_kind(fields, kind, "en"))
    try:
        for position in range(1, ticket.num_images + 1):
            send_photo(ticket, position)
    except (RedisError, APIException) as error:
        print(f"The ticket to review has not got all of its photos: {error}")


def send_photo(ticket: Ticket, position: int) -> None:
    """The last one says that it was taken long ago."""
    age = timedelta(days=400) if position == ticket.num_images else timedelta(minutes=2)
    content = colourful_photo(position, captured_at=timezone.now() - age)
    with reserved_stream(len(content)) as stream:
        stream.open(f"car-{position}.jpg")
        stream.write(content)
        photo = stream.close()
    accept_photo(ticket_id=ticket.pk, photo=photo, position=position)
