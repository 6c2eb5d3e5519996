"""Signatures of webhooks, by the Standard Webhooks specification 1.0.0 (https://www.standardwebhooks.com).

Each endpoint has a secret of its own. A new one signs beside the old one for a day, so that a receiver can change over.
"""

import base64
import hashlib
import hmac
import secrets
from datetime import datetime

from django.utils import timezone

from apps.common.encryption import decrypt, encrypt
from apps.integrations.models import Endpoint
from apps.integrations.models.endpoint import OLD_SECRET_LIFETIME

PREFIX = "whsec_"
SECRET_BYTES = 32  # the specification: 24 to 64


def new_secret() -> str:
    return PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def encrypted(secret: str) -> str:
    """Returns the secret as `secret_encrypted` keeps it."""
    return encrypt(secret)


def rotate(endpoint: Endpoint) -> str:
    """Give the endpoint a new secret, and return it. The old one signs beside it for OLD_SECRET_LIFETIME; one that was
    replaced before it does no longer.
    """
    secret = new_secret()
    mine = Endpoint.objects.filter(pk=endpoint.pk)
    old = mine.values_list("secret_encrypted", flat=True)
    while True:  # two rotations at once: the second keeps the secret of the first as the old one
        kept = old.get()
        changed = {
            "secret_encrypted": encrypted(secret),
            "old_secret_encrypted": kept,
            "old_secret_until": timezone.now() + OLD_SECRET_LIFETIME,
        }
        if mine.filter(secret_encrypted=kept).update(**changed):
            for name, value in changed.items():
                setattr(endpoint, name, value)
            return secret


def secrets_of(endpoint: Endpoint) -> list[str]:
    """Returns the secrets that sign now, the newest first. Raises SecretUnreadableError."""
    kept = [endpoint.secret_encrypted]
    if endpoint.old_secret_encrypted and endpoint.old_secret_until and endpoint.old_secret_until > timezone.now():
        kept.append(endpoint.old_secret_encrypted)
    return [decrypt(each) for each in kept]


def signature(body: bytes, *, message_id: str, at: datetime, secret: str) -> str:
    """Returns `v1,` and the HMAC-SHA256 of id, time and body, in base64."""
    key = base64.b64decode(secret.removeprefix(PREFIX))
    signed = b".".join([message_id.encode(), b"%d" % at.timestamp(), body])
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def signed_headers(body: bytes, *, message_id: str, secrets: list[str]) -> dict[str, str]:
    """Returns the three headers of the specification, as of now."""
    now = timezone.now()
    signatures = [signature(body, message_id=message_id, at=now, secret=secret) for secret in secrets]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(signatures),
    }
