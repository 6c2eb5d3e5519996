"""Staff look at a ticket's photos, and approve them or want another of some. Each review is one transaction."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from apps.common.observability import metrics
from apps.tickets.lifecycle import moves
from apps.tickets.lifecycle.signals import image_rejected, retake_requested, ticket_approved, ticket_reopened
from apps.tickets.models import Image, Ticket
from apps.tickets.models.statuses import ImageStatus, TicketStatus
from apps.tickets.upkeep.staff_actions import ActionNotAllowed


@dataclass(frozen=True)
class Rejection:
    """Another photo is wanted instead of this one. The photographer reads the note."""

    image_id: UUID
    reason: str  # a RejectionReason
    note: str = ""


def approve(ticket_id: int, *, seen_version: int) -> None:
    """Approve the photos of a completed ticket. Approving it twice changes nothing.

    `seen_version`: of the ticket whose photos were looked at; others may have come since. Raises ActionNotAllowed,
    Ticket.DoesNotExist.
    """
    with transaction.atomic():
        ticket = Ticket.objects.lock(ticket_id)
        if ticket.status != TicketStatus.COMPLETED:
            raise ActionNotAllowed(_("Only a completed ticket can be approved."))
        if ticket.version != seen_version:
            raise ActionNotAllowed(_("The ticket has changed since you opened it: look at its photos again."))
        if moves.approve(ticket):
            ticket_approved.send(sender=Ticket, ticket=ticket)
            transaction.on_commit(lambda: metrics.count("hopla_tickets_approved"), robust=True)


def request_retakes(ticket_id: int, rejections: Iterable[Rejection], *, expires_at: datetime | None = None) -> None:
    """Reject these photos, all or none. Their places are free, and the ticket takes photos again.

    `expires_at`: until when, for a ticket whose time has passed; another keeps its own. Raises ActionNotAllowed,
    Ticket.DoesNotExist.
    """
    rejections = {each.image_id: each for each in rejections}
    if not rejections:
        raise ActionNotAllowed(_("Mark the photos of which you want another."))
    with transaction.atomic():
        ticket = Ticket.objects.lock(ticket_id)
        _require_reviewable(ticket, expires_at)
        images = list(ticket.images.filter(pk__in=rejections, status=ImageStatus.STORED))
        if len(images) < len(rejections):
            raise ActionNotAllowed(_("One of these photos is not stored any more: look at the photos again."))
        if ticket.is_overdue:
            ticket.touch(expires_at=expires_at)
        was_completed = ticket.status == TicketStatus.COMPLETED
        for image in images:
            _reject(image, rejections[image.pk])
        moves.request_retake(ticket)
        if was_completed:
            ticket_reopened.send(sender=Ticket, ticket=ticket)
        retake_requested.send(sender=Ticket, ticket=ticket)


def _require_reviewable(ticket: Ticket, expires_at: datetime | None) -> None:
    if ticket.status not in (TicketStatus.IN_PROGRESS, TicketStatus.COMPLETED):
        raise ActionNotAllowed(_("The ticket has ended without its photos."))
    if ticket.is_overdue and (expires_at is None or expires_at <= timezone.now()):
        raise ActionNotAllowed(_("The time of this ticket is over: say until when it takes the new photos."))


def _reject(image: Image, rejection: Rejection) -> None:
    ticket = moves.reject(image, reason=rejection.reason, note=rejection.note)
    image_rejected.send(sender=Image, image=image, ticket=ticket)
    transaction.on_commit(lambda: metrics.count("hopla_photos_rejected", reason=rejection.reason), robust=True)
