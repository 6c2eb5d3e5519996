"""Staff actions on tickets and photos, each in one transaction and safe to repeat. Cancelling is in endings.py.

Clients cannot perform them, and only these and the pipeline change rows.
"""

import logging

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from redis.exceptions import RedisError

from apps.tickets.delivery.job import enqueue_again
from apps.tickets.errors import (
    SlotRequiredError,
    SlotTakenError,
    TicketCancelledError,
    TicketCompletedError,
    TicketExpiredError,
    TicketFullError,
)
from apps.tickets.intake.places import free_position
from apps.tickets.lifecycle import moves
from apps.tickets.lifecycle.signals import ticket_reopened
from apps.tickets.models import Image, Ticket
from apps.tickets.models.statuses import ImageStatus, TicketStatus
from apps.tickets.staging import quarantine
from apps.tickets.storage.removal import call_off

logger = logging.getLogger(__name__)


class ActionNotAllowed(Exception):
    """The action is not possible now; the message gives staff the reason."""


def try_again(image_id) -> None:
    """Deliver the photo now: one that waits for its next attempt stops waiting, a failed one takes a place again.

    Raises ActionNotAllowed, Image.DoesNotExist.
    """
    image = Image.objects.get(pk=image_id)
    with transaction.atomic():
        ticket = Ticket.objects.lock(image.ticket_id)
        image.refresh_from_db()
        if image.status == ImageStatus.FAILED:
            _revive(image, ticket)
        elif image.status != ImageStatus.QUEUED:
            raise ActionNotAllowed(_("It is not waiting: it is being sent, or it is stored."))
        elif not image.retry_now():
            raise ActionNotAllowed(_("It waits for a worker already, not for a time."))
        else:
            ticket.touch()
        transaction.on_commit(lambda: enqueue_again(image), robust=True)
    logger.info("image %s of ticket %s: tried again by staff", image.pk, ticket.pk, extra=image.log_fields)


def _revive(image: Image, ticket: Ticket) -> None:
    try:
        position = free_position(ticket, wanted=image.position)
    except TicketFullError as full:
        raise ActionNotAllowed(_("Its place was taken by another photo, and none is free.")) from full
    except (SlotTakenError, SlotRequiredError) as named:
        raise ActionNotAllowed(_("Its place was taken by another photo, and no other is for it.")) from named
    except (TicketCompletedError, TicketCancelledError, TicketExpiredError) as ended:
        raise ActionNotAllowed(_("Its ticket has ended.")) from ended
    # The asset of an earlier upload, if it succeeded after all, was scheduled for removal.
    if not call_off(image.public_id):
        raise ActionNotAllowed(_("It is being removed from Cloudinary: try again in a minute."))
    # Last before the commit: a crash in between leaves bytes of a failed photo, which reconcile quarantines again.
    try:
        kept = quarantine.take_back(image.pk, image.size)
    except RedisError as away:
        raise ActionNotAllowed(_("The Redis with its bytes does not answer: try again once it is back.")) from away
    if not kept:
        raise ActionNotAllowed(_("Its bytes are gone: the client has to send it again."))
    moves.revive(image, position=position)


def try_failed_again(ticket_id: int) -> tuple[int, list[str]]:
    """Try the ticket's failed photos again, the first posted first. Returns how many, and why the others cannot be."""
    tried, reasons = 0, []
    failed = Image.objects.filter(ticket_id=ticket_id, status=ImageStatus.FAILED).order_by("created_at")
    for image_id in list(failed.values_list("pk", flat=True)):
        try:
            try_again(image_id)
            tried += 1
        except ActionNotAllowed as refusal:
            reasons.append(str(refusal))
    return tried, reasons


def require_extendable(ticket: Ticket, *, expires_at) -> None:
    """Raise ActionNotAllowed when this ticket cannot be given that time."""
    if ticket.status in (TicketStatus.COMPLETED, TicketStatus.CANCELLED):
        raise ActionNotAllowed(_("The ticket has ended."))
    if ticket.status == TicketStatus.EXPIRED and expires_at is not None and expires_at <= timezone.now():
        raise ActionNotAllowed(_("That time has passed already."))


def extend_expiry(ticket_id: int, *, expires_at) -> None:
    """Let the ticket take photos until then, or for ever if None. An expired ticket takes photos again; an open one
    expires if the time has passed.

    Raises ActionNotAllowed, Ticket.DoesNotExist. Photos that failed when it expired stay failed: see try_failed_again.
    """
    with transaction.atomic():
        ticket = Ticket.objects.lock(ticket_id)
        require_extendable(ticket, expires_at=expires_at)
        if ticket.status == TicketStatus.EXPIRED:
            if moves.reopen(ticket, expires_at=expires_at):
                ticket_reopened.send(sender=Ticket, ticket=ticket)
        else:
            ticket.touch(expires_at=expires_at)
    logger.info("ticket %s: takes photos until %s", ticket_id, expires_at, extra={"ticket": ticket_id})
