"""The last step of intake: a staged photo takes its place and is handed to delivery.

The place is taken after the bytes are staged, so that a crash in between leaves a key that expires and never a taken
place without a photo.
"""

import logging
from collections.abc import Callable
from contextlib import nullcontext

from django.conf import settings
from django.db import transaction
from django.db.models import BigIntegerField, FilteredRelation, Q, QuerySet

from apps.common.db.compiled_queries import CompiledQuery, Parameter, columns_of, instance_of
from apps.common.db.read_along import ReadAlong
from apps.common.observability import metrics
from apps.tickets.delivery.job import enqueue_delivery
from apps.tickets.formats.claims import Claims
from apps.tickets.intake.places import places_taken, positions_taken, take_place
from apps.tickets.intake.stream import StagedPhoto
from apps.tickets.models import Image, Ticket, next_check_at_the_latest

logger = logging.getLogger(__name__)

_TICKET_ID = Parameter("ticket_id", BigIntegerField())


def _columns(path: str = "") -> tuple:
    """The arguments of `values_list` for the ticket at `path` and which of its places are taken."""
    return *columns_of(Ticket, path), places_taken(path), positions_taken(path)


_TICKET = CompiledQuery(
    lambda: Ticket.objects.filter(pk=_TICKET_ID, owner=Parameter("owner_id", BigIntegerField())).values_list(
        *_columns()
    )
)


def _beside_user(rows: QuerySet, path: str) -> tuple[QuerySet, tuple]:
    of_user = FilteredRelation(f"{path}tickets", condition=Q(**{f"{path}tickets__pk": _TICKET_ID}))
    return rows.annotate(wanted_ticket=of_user), _columns("wanted_ticket__")


# For `ticket_read_along`. Its value is `ticket_id`, within BigIntegerField.MAX_BIGINT.
TICKET = ReadAlong(_beside_user)


def find_ticket(*, ticket_id: int, owner) -> Ticket:
    """This owner's ticket, read before the body, with `places_taken` as they are at the moment, and of one with slots
    their positions in `positions_taken`. Raises Ticket.DoesNotExist.
    """
    row = _TICKET.first(ticket_id=ticket_id, owner_id=owner.pk) if ticket_id <= BigIntegerField.MAX_BIGINT else None
    if row is None:
        raise Ticket.DoesNotExist
    return ticket_read_along(row)


def ticket_read_along(row: tuple) -> Ticket:
    """The same, of what was read along with its owner."""
    *columns, taken, positions = row
    ticket = instance_of(Ticket, columns)
    if ticket.pk is None:
        raise Ticket.DoesNotExist
    ticket.places_taken, ticket.positions_taken = taken or 0, {position for [position] in positions or []}
    return ticket


def accept_photo(
    *,
    ticket_id: int,
    photo: StagedPhoto,
    position: int | None = None,
    guest_link_id: int | None = None,
    also: Callable[[Image], None] | None = None,
) -> Image:
    """Give the staged photo a place on the ticket and hand it to delivery. Returns the image, `queued`.

    `position`: that of the slot it is for; without, it takes the first free place that has no name. `guest_link_id`: of
    whoever sent it, a user or a guest. `also` is called
    with the image in the transaction that takes the place, and undoes it by raising. Raises the refusals of
    `free_position`, and Ticket.DoesNotExist.
    """
    image = Image(
        id=photo.image_id,
        ticket_id=ticket_id,
        guest_link_id=guest_link_id,
        filename=photo.filename,
        content_type=photo.header.content_type,
        size=photo.size,
        sha256=photo.sha256,
        format=photo.header.format,
        width=photo.header.width,
        height=photo.header.height,
        orientation=photo.header.orientation,
        **_claims_to_keep(photo.header.claims),
        next_check_at=next_check_at_the_latest(),
    )
    with transaction.atomic() if also else nullcontext():
        take_place(image, position=position)
        if also:
            also(image)
    # Robust: if the queue is unavailable the photo is still accepted, and reconcile enqueues it.
    transaction.on_commit(lambda: _hand_over(image), robust=True)
    return image


def _hand_over(image: Image) -> None:
    _tell_accepted(image)
    enqueue_delivery(image.pk)


def _claims_to_keep(claims: Claims) -> dict:
    latitude, longitude = claims.location if claims.location and settings.KEEP_PHOTO_LOCATION else (None, None)
    return {
        "captured_at": claims.captured_at,
        "latitude": latitude,
        "longitude": longitude,
        "camera": claims.camera,
    }


def _tell_accepted(image: Image) -> None:
    metrics.count("hopla_photos_accepted")
    metrics.count("hopla_photo_bytes_accepted", image.size)
    logger.info(
        "image %s of ticket %s: queued, %s bytes", image.pk, image.ticket_id, image.size, extra=image.log_fields
    )
