"""Making a guest link, revoking it, and showing it: its URL, its QR code."""

import io
import secrets
from datetime import timedelta

import segno
from django.conf import settings
from django.db import transaction
from django.dispatch import Signal
from django.urls import reverse
from django.utils import timezone

from apps.common.encryption import decrypt, encrypt
from apps.common.public_url import public_url
from apps.guests.models import GuestLink, digest_of
from apps.tickets.intake.places import require_open
from apps.tickets.models import Ticket

link_made = Signal()  # sender=GuestLink, link: GuestLink; within the transaction that makes it

TOKEN_BYTES = 32
MIN_EXPIRY_SECONDS = 60
MAX_EXPIRY_SECONDS = 365 * 24 * 60 * 60
DEFAULT_EXPIRY_SECONDS = 7 * 24 * 60 * 60


def make_link(
    *,
    ticket: Ticket,
    created_by,
    language: str,
    expires_in_seconds: int = DEFAULT_EXPIRY_SECONDS,
    name: str = "",
    email: str = "",
    remind_before_seconds: list[int] = (),
) -> GuestLink:
    """Returns a new link to the ticket, which ends with the ticket's own time at the latest.

    Raises what stands against any photo on the ticket: TicketCompletedError, TicketCancelledError, TicketExpiredError.
    """
    require_open(ticket)
    token = secrets.token_urlsafe(TOKEN_BYTES)
    expires_at = timezone.now() + timedelta(seconds=expires_in_seconds)
    with transaction.atomic():
        link = GuestLink.objects.create(
            ticket=ticket,
            token_digest=digest_of(token),
            token_encrypted=encrypt(token),
            name=name,
            email=email,
            language=language,
            remind_before_seconds=sorted(remind_before_seconds, reverse=True),
            created_by=created_by,
            expires_at=min(expires_at, ticket.expires_at) if ticket.expires_at else expires_at,
        )
        link_made.send(sender=GuestLink, link=link)
    return link


def revoke(link: GuestLink) -> bool:
    """End the link. Returns whether this call did: one that was revoked stays as it is."""
    link.revoked_at = timezone.now()
    return bool(GuestLink.objects.filter(pk=link.pk, revoked_at=None).update(revoked_at=link.revoked_at))


def token_of(link: GuestLink) -> str:
    """Returns the token in clear text. Raises SecretUnreadableError."""
    return decrypt(link.token_encrypted)


def url_of(token: str, request=None) -> str:
    """Returns the address of the link's page. It begins with PUBLIC_URL, or if that is empty as the request did."""
    path = reverse("guest-page", kwargs={"token": token})
    if request is not None and not settings.PUBLIC_URL_IS_SET:
        return request.build_absolute_uri(path)
    return public_url(path)


def qr_svg(url: str) -> str:
    """Returns the QR code of the URL as an SVG, which scales to any size: dark modules on white, with a margin."""
    buffer = io.BytesIO()
    segno.make(url, error="m", micro=False).save(
        buffer, kind="svg", xmldecl=False, omitsize=True, light="#fff", svgclass=None, lineclass=None, nl=False
    )
    return buffer.getvalue().decode()
