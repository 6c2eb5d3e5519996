"""Erases the places that photos claim, for operators who kept them and no longer want to (KEEP_PHOTO_LOCATION).

The photos at Cloudinary stay as they were sent, with their EXIF.
"""

import json
from collections.abc import Iterator

from django.db import transaction

from apps.tickets.lifecycle.signals import locations_forgotten
from apps.tickets.models import IdempotencyKey, Image, Ticket

BATCH = 500  # tickets looked for at a time


def forget_locations() -> int:
    """Erase those of all photos, ticket by ticket, and in the responses kept for repeats. Returns how many had one.

    It may be stopped, and run again. The tickets' versions are raised, because readers see a change.
    """
    forgotten = sum(forget_locations_of(ticket_id) for ticket_id in tickets_with_locations())
    locations_forgotten.send(sender=Image)
    return forgotten


def tickets_with_locations() -> Iterator[int]:
    last = 0
    while found := list(_placed().filter(ticket__gt=last).order_by("ticket").values_list("ticket", flat=True)[:BATCH]):
        yield from dict.fromkeys(found)
        last = found[-1]


def forget_locations_of(ticket_id: int) -> int:
    with transaction.atomic():
        try:
            Ticket.objects.lock(ticket_id).touch()
        except Ticket.DoesNotExist:  # deleted meanwhile, with its photos
            return 0
        for kept in IdempotencyKey.objects.filter(image__in=_placed().filter(ticket=ticket_id)):
            kept.answer = json.dumps(json.loads(kept.answer) | {"location": None})
            kept.save(update_fields=["answer"])
        return _placed().filter(ticket=ticket_id).update(latitude=None, longitude=None)


def _placed():
    return Image.objects.filter(latitude__isnull=False)
