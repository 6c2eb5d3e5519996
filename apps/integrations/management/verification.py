"""How a receiver verifies a webhook, by the Standard Webhooks specification, and why it cannot if it cannot."""

import json
import uuid
from base64 import b64decode
from collections.abc import Mapping
from datetime import datetime, timezone

from django.db import DatabaseError
from django.utils.crypto import constant_time_compare

from apps.integrations.models import Endpoint, Event
from apps.integrations.webhooks import signing
from apps.integrations.webhooks.messages import body_of

TOLERANCE_SECONDS = 5 * 60
HEADERS = ("webhook-id", "webhook-timestamp", "webhook-signature")


class NotVerifiedError(Exception):
    """The text says why, for the developer who reads it."""


def is_secret(text: str) -> bool:
    """Returns whether it has the form of a secret: `whsec_` and 24 to 64 bytes in base64."""
    try:
        key = b64decode(text.removeprefix(signing.PREFIX), validate=True)
    except ValueError:
        return False
    return text.startswith(signing.PREFIX) and 24 <= len(key) <= 64


def verify(body: bytes, headers: Mapping[str, str], *, secrets: list[str], now: float) -> None:
    """Raise NotVerifiedError unless one of the secrets signed the body, within five minutes of `now`."""
    missing = [name for name in HEADERS if not headers.get(name)]
    if missing:
        raise NotVerifiedError(f"it has no {' and no '.join(missing)}: it does not come from hopla.")
    message_id, sent_at, signatures = (headers[name] for name in HEADERS)
    if not (sent_at.isascii() and sent_at.isdigit() and len(sent_at) < 12):
        raise NotVerifiedError("its webhook-timestamp is no number of seconds.")
    if not any(_is_signed(secret, message_id, int(sent_at), body, signatures) for secret in secrets):
        raise NotVerifiedError(_why(body, message_id, int(sent_at), signatures))
    if abs(age := now - int(sent_at)) > TOLERANCE_SECONDS:
        told = f"{age:.0f} seconds old" if age > 0 else f"{-age:.0f} seconds in the future"
        raise NotVerifiedError(
            f"its signature is good, but its timestamp is {told}, and {TOLERANCE_SECONDS} are accepted: it is a copy "
            "of an earlier request, or the clocks of the two machines differ."
        )


def _is_signed(secret: str, message_id: str, sent_at: int, body: bytes, signatures: str) -> bool:
    at = datetime.fromtimestamp(sent_at, timezone.utc)
    expected = signing.signature(body, message_id=message_id, at=at, secret=secret)
    return any(constant_time_compare(given, expected) for given in signatures.split(" "))


def _why(body: bytes, message_id: str, sent_at: int, signatures: str) -> str:
    """Returns why no secret fits, as far as the database tells, if it is that of the hopla that sent it."""
    event = _event_of(message_id)
    if event is None:
        return (
            "its signature does not fit. Either the secret is that of another webhook, or the body was changed on the "
            f"way. This hopla's database has no event {message_id}, and so cannot tell which."
        )
    sent = body_of(event)
    if body != sent:
        how = "is the same JSON, written anew" if _same_json(body, sent) else "is not what hopla sent"
        return f"its body was changed on the way: it {how}. The signature is of the bytes of the body."
    for endpoint in Endpoint.objects.filter(deliveries__event=event):
        if any(_is_signed(secret, message_id, sent_at, sent, signatures) for secret in signing.secrets_of(endpoint)):
            return f"it is signed with the secret of webhook {endpoint.pk}, and the one given is another."
    return "it is signed with a secret that no webhook of this hopla has."


def _event_of(message_id: str) -> Event | None:
    try:
        return Event.objects.filter(pk=uuid.UUID(message_id)).first()
    except (ValueError, DatabaseError):
        return None


def _same_json(one: bytes, other: bytes) -> bool:
    try:
        return json.loads(one) == json.loads(other)
    except ValueError:
        return False
