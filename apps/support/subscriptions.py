"""Owners unsubscribe from the e-mails of a ticket and subscribe again: by the link in each mail, or through the API."""

from apps.common.mail.subscriptions import SubscriptionLinks
from apps.support.models import SupportTicket

links = SubscriptionLinks("support-subscription", route="support-subscription")


def ticket_of(token: str) -> SupportTicket | None:
    """Return the ticket of a link's token, or None if the token is not signed by hopla."""
    pk = links.pk_in(token)
    return None if pk is None else SupportTicket.objects.filter(pk=pk).first()


def set_subscribed(ticket: SupportTicket, subscribed: bool) -> None:
    SupportTicket.objects.filter(pk=ticket.pk).update(owner_subscribed=subscribed)
    ticket.owner_subscribed = subscribed
