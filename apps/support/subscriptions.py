"""Owners leave the e-mails of a ticket, and come back: by the link in each mail, or through the API."""

from django.conf import settings
from django.core.signing import BadSignature, Signer
from django.urls import reverse

from apps.support.models import SupportTicket

_signer = Signer(salt="support-subscription")


def unsubscribe_url(ticket: SupportTicket) -> str:
    """Works without logging in, for this ticket alone."""
    return settings.PUBLIC_URL.rstrip("/") + reverse("support-subscription", kwargs={"token": _signer.sign(ticket.pk)})


def ticket_of(token: str) -> SupportTicket | None:
    """The ticket whose link this is, or None for a token that was not made here."""
    try:
        return SupportTicket.objects.filter(pk=_signer.unsign(token)).first()
    except BadSignature:
        return None


def set_subscribed(ticket: SupportTicket, subscribed: bool) -> None:
    SupportTicket.objects.filter(pk=ticket.pk).update(owner_subscribed=subscribed)
    ticket.owner_subscribed = subscribed
