"""Erases the places that photos claim, for whoever kept them and does not want to any more (KEEP_PHOTO_LOCATION).

The photos stay as they were sent, at Cloudinary, with their EXIF.
"""

import json
from collections.abc import Iterator

from django.db import transaction

from apps.tickets.models import IdempotencyKey, Image, Ticket

BATCH = 500  # tickets looked for at a time


def forget_locations() -> int:
    """Of all photos there are, ticket by ticket, with the answers that are kept for repeats. Returns how many had one.

    May be stopped, and run again. The tickets' versions are raised: to readers something has changed.
    """
    return sum(forget_locations_of(ticket_id) for ticket_id in tickets_with_locations())


def tickets_with_locations() -> Iterator[int]:
    last = 0
    while found := list(_placed().filter(ticket__gt=last).order_by("ticket").values_list("ticket", flat=True)[:BATCH]):
        yield from dict.fromkeys(found)
        last = found[-1]


def forget_locations_of(ticket_id: int) -> int:
    with transaction.atomic():
        Ticket.objects.lock_and_touch(ticket_id)
        for kept in IdempotencyKey.objects.filter(image__in=_placed().filter(ticket=ticket_id)):
            kept.answer = json.dumps(json.loads(kept.answer) | {"location": None})
            kept.save(update_fields=["answer"])
        return _placed().filter(ticket=ticket_id).update(latitude=None, longitude=None)


def _placed():
    return Image.objects.filter(latitude__isnull=False)
