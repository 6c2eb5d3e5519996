"""The end of a photo's way in: a staged photo takes its place and is handed to delivery.

The place is taken after the bytes are staged, so that a crash in between leaves a key that expires and never a place
that nobody fills.
"""

import logging
from collections.abc import Callable
from contextlib import nullcontext

from django.conf import settings
from django.db import transaction
from django.db.models import Aggregate, BigIntegerField, CharField, Count, Max, OuterRef, Subquery

from apps.common.db.compiled_queries import CompiledQuery, Parameter, columns_of, insert, instance_of
from apps.common.observability import metrics
from apps.tickets.delivery.job import enqueue_delivery
from apps.tickets.errors import (
    TicketCancelledError,
    TicketCompletedError,
    TicketExpiredError,
    TicketFullError,
)
from apps.tickets.formats.claims import Claims
from apps.tickets.intake.places import take_next_place
from apps.tickets.intake.stream import StagedPhoto
from apps.tickets.models import Image, Ticket, next_check_at_the_latest
from apps.tickets.models.statuses import TicketStatus
from apps.tickets.models.transition import acting_as

logger = logging.getLogger(__name__)

# A ticket and how many of its places are taken, before the body is read.
_TICKET = CompiledQuery(
    lambda: Ticket.objects.filter(
        pk=Parameter("ticket_id", BigIntegerField()), owner=Parameter("owner_id", BigIntegerField())
    ).values_list(*columns_of(Ticket), _of_images_holding_a_place(Count("pk")))
)

# Under the lock: how many places are taken, the last of them, and the first photo with the same bytes.
_PLACES = CompiledQuery(
    lambda: Ticket.objects.filter(pk=Parameter("ticket_id", BigIntegerField())).values_list(
        _of_images_holding_a_place(Count("pk")),
        _of_images_holding_a_place(Max("position")),
        Subquery(
            Image.objects.holding_a_place()
            .filter(ticket=OuterRef("pk"), sha256=Parameter("sha256", CharField()))
            .order_by("created_at")
            .values("pk")[:1]
        ),
    )
)


def _of_images_holding_a_place(aggregate: Aggregate) -> Subquery:
    images = Image.objects.holding_a_place().filter(ticket=OuterRef("pk")).order_by().values("ticket")
    return Subquery(images.annotate(value=aggregate).values("value"))


def find_ticket(*, ticket_id: int, owner) -> Ticket:
    """This owner's ticket, with `places_taken` as they are at the moment. Raises Ticket.DoesNotExist."""
    row = _TICKET.first(ticket_id=ticket_id, owner_id=owner.pk) if ticket_id <= BigIntegerField.MAX_BIGINT else None
    if row is None:
        raise Ticket.DoesNotExist
    *columns, places_taken = row
    ticket = instance_of(Ticket, columns)
    ticket.places_taken = places_taken or 0
    return ticket


def require_place(ticket: Ticket) -> None:
    """Raise what stands against one more photo on this ticket, as `find_ticket` saw it.

    An unlocked look: only `accept_photo` is certain.
    """
    require_open(ticket)
    if ticket.places_taken >= ticket.num_images:
        raise TicketFullError


def require_open(ticket: Ticket) -> None:
    if ticket.status == TicketStatus.COMPLETED:
        raise TicketCompletedError
    if ticket.status == TicketStatus.CANCELLED:
        raise TicketCancelledError
    if ticket.status == TicketStatus.EXPIRED or ticket.is_overdue:
        raise TicketExpiredError


def accept_photo(*, ticket_id: int, photo: StagedPhoto, also: Callable[[Image], None] | None = None) -> Image:
    """Give the staged photo a place on the ticket and hand it to delivery. Answers the image, `queued`.

    `also` is called with the image in the transaction that takes the place, and undoes it by raising. Raises the
    refusals of `require_place`, and Ticket.DoesNotExist.
    """
    image = Image(
        id=photo.image_id,
        ticket_id=ticket_id,
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
        if not take_next_place(image):
            _take_free_place(image)
        if also:
            also(image)
    # Robust: with the queue away the photo is accepted all the same, and reconcile enqueues it.
    transaction.on_commit(lambda: enqueue_delivery(image.pk), robust=True)
    transaction.on_commit(lambda: _tell_accepted(image), robust=True)
    return image


def _claims_to_keep(claims: Claims) -> dict:
    latitude, longitude = claims.location if claims.location and settings.KEEP_PHOTO_LOCATION else (None, None)
    return {
        "captured_at": claims.captured_at,
        "latitude": latitude,
        "longitude": longitude,
        "camera": claims.camera,
    }


def _take_free_place(image: Image) -> None:
    with transaction.atomic():
        # Lock the ticket first: two photos arriving together would each see the last place free.
        ticket = Ticket.objects.lock(image.ticket_id)
        require_open(ticket)
        taken, last, image.duplicate_of_id = _PLACES.first(ticket_id=ticket.pk, sha256=image.sha256)
        image.position = _free_position(ticket, taken=taken or 0, last=last or 0)
        insert(image)
        with acting_as(f"user {ticket.owner_id}"):
            ticket.begin()


def _tell_accepted(image: Image) -> None:
    metrics.count("hopla_photos_accepted")
    metrics.count("hopla_photo_bytes_accepted", image.size)
    logger.info(
        "image %s of ticket %s: queued, %s bytes", image.pk, image.ticket_id, image.size, extra=image.log_fields
    )


def _free_position(ticket: Ticket, *, taken: int, last: int) -> int:
    """The first one free. Raises TicketFullError."""
    if taken >= ticket.num_images:
        raise TicketFullError
    if taken == last:
        return last + 1
    positions = set(ticket.images.holding_a_place().values_list("position", flat=True))  # photos that failed left gaps
    return next(position for position in range(1, ticket.num_images + 1) if position not in positions)
