"""Tickets whose photos Cloudinary holds."""

from contextlib import contextmanager

from django.db import transaction
from django.test import override_settings

from apps.tickets.delivery.job import deliver_photo
from apps.tickets.intake import acceptance
from apps.tickets.models import Image, Ticket
from apps.tickets.storage import cloudinary
from tests.makers import make_ticket, running_sandbox, stage_photo


@contextmanager
def running_delivery(**options):
    """A sandbox that hopla sends photos to and fetches them from."""
    with running_sandbox(**options) as sandbox, override_settings(CLOUDINARY_DELIVERY_URL=sandbox.url):
        yield sandbox


def store_photo(ticket: Ticket, content: bytes, *, filename: str = "photo.jpg", position: int | None = None) -> Image:
    """A photo that has gone the whole way. `position`: the place it is for, needed where all free ones are slots."""
    photo = stage_photo(content, filename=filename)
    with transaction.atomic():
        image = acceptance.accept_photo(ticket_id=ticket.pk, photo=photo, position=position)
    deliver_photo(str(image.pk))
    image.refresh_from_db()
    assert image.status == "stored", (image.status, image.error_detail)
    return image


def make_stored_ticket(owner, contents: list[bytes], *, filename: str = "photo.jpg") -> Ticket:
    ticket = make_ticket(owner, num_images=len(contents))
    for content in contents:
        store_photo(ticket, content, filename=filename)
    return ticket


def replace_photo(image: Image, content: bytes) -> None:
    """Cloudinary delivers these bytes for it from now on."""
    cloudinary.put(public_id=image.public_id, content=content)
