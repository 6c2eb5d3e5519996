"""What happens at the desk: a ticket is opened, its owner or staff write, staff change the status.

Each function is one transaction that also writes the event and its e-mails, which are sent after the commit.
"""

from django.db import transaction
from django.utils import timezone

from apps.support.emails import announce
from apps.support.errors import SupportTicketClosedError, SupportTicketFrozenError
from apps.support.models import Event, EventKind, Message, SupportStatus, SupportTicket


def open_ticket(*, owner, title: str, body_text: str, language: str, ticket=None) -> SupportTicket:
    """Return a new ticket, active. `ticket` is an upload ticket of the same owner, which the caller has checked."""
    with transaction.atomic():
        opened = SupportTicket.objects.create(
            owner=owner, title=title, body_text=body_text, ticket=ticket, language=language
        )
        announce(Event.objects.create(ticket=opened, kind=EventKind.OPENED, actor=owner))
    return opened


def write_message(*, ticket_id: int, author, text: str) -> Message:
    """Return the new message. Owners write on active tickets, staff also on frozen ones; a closed ticket takes none.

    Raises SupportTicketFrozenError, SupportTicketClosedError, SupportTicket.DoesNotExist.
    """
    with transaction.atomic():
        # Lock the ticket: a message must not slip in while staff close it.
        ticket = SupportTicket.objects.select_for_update().get(pk=ticket_id)
        as_staff = author.is_staff and author.pk != ticket.owner_id
        if ticket.status == SupportStatus.CLOSED:
            raise SupportTicketClosedError
        if ticket.status == SupportStatus.FROZEN and not as_staff:
            raise SupportTicketFrozenError
        message = Message.objects.create(ticket=ticket, author=author, text=text, is_staff=as_staff)
        _touch(ticket)
        announce(Event.objects.create(ticket=ticket, kind=EventKind.MESSAGE, actor=author, message=message))
    return message


def change_status(*, ticket_id: int, actor, status: str) -> bool:
    """Change the status for staff. Returns whether it was another one before: else there is no event and no e-mail."""
    with transaction.atomic():
        ticket = SupportTicket.objects.select_for_update().get(pk=ticket_id)
        if ticket.status == status:
            return False
        event = Event(ticket=ticket, kind=EventKind.STATUS, actor=actor, old_status=ticket.status, new_status=status)
        _touch(ticket, status=status)
        event.save()
        announce(event)
    return True


def _touch(ticket: SupportTicket, **changes) -> None:
    changes["updated_at"] = timezone.now()
    for name, value in changes.items():
        setattr(ticket, name, value)
    ticket.save(update_fields=list(changes))
