"""Owners unsubscribe from the e-mails of a ticket and subscribe again: by the link in each mail, or through the API."""

from django.conf import settings
from django.core.signing import BadSignature, Signer
from django.urls import reverse

from apps.support.models import SupportTicket

_signer = Signer(salt="support-subscription")


def unsubscribe_url(ticket: SupportTicket) -> str:
    """Return the link to the subscription page of this ticket, which works without logging in."""
    return settings.PUBLIC_URL.rstrip("/") + reverse("support-subscription", kwargs={"token": _signer.sign(ticket.pk)})


def ticket_of(token: str) -> SupportTicket | None:
    """Return the ticket of a link's token, or None if the token is not signed by hopla."""
    try:
        return SupportTicket.objects.filter(pk=_signer.unsign(token)).first()
    except BadSignature:
        return None


def set_subscribed(ticket: SupportTicket, subscribed: bool) -> None:
    SupportTicket.objects.filter(pk=ticket.pk).update(owner_subscribed=subscribed)
    ticket.owner_subscribed = subscribed
