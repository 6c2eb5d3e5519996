"""Tickets that end otherwise than complete: cancelled by staff, or expired.

Photos in flight settle at once, as failed: nobody waits for them any more. One whose upload still lands at Cloudinary
finds its image failed, and its asset is removed there.
"""

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_noop

from apps.tickets.lifecycle import moves, outcomes
from apps.tickets.models import Ticket
from apps.tickets.models.statuses import IN_FLIGHT, OPEN_TICKET

EXPIRE_BATCH = 100


def cancel_ticket(ticket_id: int) -> bool:
    """-> cancelled. Returns whether this call made it so: a ticket that has ended already stays as it is."""
    return _end(ticket_id, moves.cancel, code="ticket_cancelled", detail=gettext_noop("The ticket was cancelled."))


def expire_ticket(ticket_id: int) -> bool:
    """-> expired, if its `expires_at` has come; likewise."""
    return _end(ticket_id, moves.expire_if_overdue, code="ticket_expired", detail=gettext_noop("The ticket expired."))


def expire_due_tickets() -> int:
    """Expire the tickets whose time has come, a batch at a time. Returns how many."""
    due = Ticket.objects.filter(status__in=OPEN_TICKET, expires_at__lte=timezone.now()).order_by("expires_at")
    return sum(expire_ticket(pk) for pk in list(due.values_list("pk", flat=True)[:EXPIRE_BATCH]))


def _end(ticket_id: int, move, *, code: str, detail: str) -> bool:
    with transaction.atomic():
        ticket = Ticket.objects.lock(ticket_id)
        if not move(ticket):
            return False
        for image in ticket.images.filter(status__in=IN_FLIGHT):
            outcomes.record_failed(image, code=code, detail=detail)
    return True
