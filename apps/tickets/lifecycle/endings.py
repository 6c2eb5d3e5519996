"""Tickets that end without completing: cancelled by staff, or expired.

Photos in flight fail at once, since they are not needed any more. If an upload still succeeds, its asset is removed
from Cloudinary.
"""

from django.db import transaction
from django.dispatch import Signal
from django.utils import timezone
from django.utils.translation import gettext_noop

from apps.tickets.lifecycle import moves, outcomes
from apps.tickets.lifecycle.signals import ticket_cancelled, ticket_expired
from apps.tickets.models import Ticket
from apps.tickets.models.statuses import IN_FLIGHT, OPEN_TICKET

EXPIRE_BATCH = 100


def cancel_ticket(ticket_id: int) -> bool:
    """Cancel the ticket. Returns whether this call did: a ticket that has already ended stays as it is."""
    detail = gettext_noop("The ticket was cancelled.")
    return _end(ticket_id, moves.cancel, ticket_cancelled, code="ticket_cancelled", detail=detail)


def expire_ticket(ticket_id: int) -> bool:
    """Expire the ticket if its `expires_at` has passed. Returns whether this call did."""
    detail = gettext_noop("The ticket expired.")
    return _end(ticket_id, moves.expire_if_overdue, ticket_expired, code="ticket_expired", detail=detail)


def expire_due_tickets() -> int:
    """Expire one batch of the tickets whose time has passed. Returns how many."""
    due = Ticket.objects.filter(status__in=OPEN_TICKET, expires_at__lte=timezone.now()).order_by("expires_at")
    return sum(expire_ticket(pk) for pk in list(due.values_list("pk", flat=True)[:EXPIRE_BATCH]))


def _end(ticket_id: int, move, ended: Signal, *, code: str, detail: str) -> bool:
    with transaction.atomic():
        ticket = Ticket.objects.lock(ticket_id)
        if not move(ticket):
            return False
        ended.send(sender=Ticket, ticket=ticket)
        for image in ticket.images.filter(status__in=IN_FLIGHT):
            outcomes.record_failed(image, code=code, detail=detail)
    return True
