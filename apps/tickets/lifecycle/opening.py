"""Opens tickets: every new one comes from here, whoever asks for it."""

from django.db import transaction

from apps.tickets.lifecycle.signals import ticket_created
from apps.tickets.models import Ticket


def open_ticket(**fields) -> Ticket:
    """Returns the new ticket, in a transaction with what follows from it."""
    with transaction.atomic():
        ticket = Ticket.objects.create(**fields)
        ticket_created.send(sender=Ticket, ticket=ticket)
    return ticket
