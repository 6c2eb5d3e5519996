"""Making an API key, and revoking it."""

import logging

from django.contrib.auth import get_user_model
from django.db import transaction
from django.utils import timezone

from apps.integrations.keys.errors import TooManyApiKeysError
from apps.integrations.keys.form import digest_of, new_secret, prefix_of
from apps.integrations.keys.scopes import Scope
from apps.integrations.models import ApiKey

MAX_KEYS = 50  # of one user, those that work

logger = logging.getLogger(__name__)


def require_room(owner) -> None:
    """Raise TooManyApiKeysError where there is none for another key. It holds until the transaction ends."""
    get_user_model().objects.select_for_update(no_key=True).get(pk=owner.pk)
    if ApiKey.objects.filter(owner_id=owner.pk).working().count() >= MAX_KEYS:
        raise TooManyApiKeysError


def make_key(*, owner, name: str, scopes, expires_at=None) -> tuple[ApiKey, str]:
    """Returns a new key and its secret, which nobody can read again. Raises TooManyApiKeysError."""
    secret = new_secret()
    with transaction.atomic():
        require_room(owner)
        key = ApiKey.objects.create(
            owner_id=owner.pk,
            name=name,
            prefix=prefix_of(secret),
            digest=digest_of(secret),
            scopes=[scope.value for scope in Scope if scope in scopes],
            expires_at=expires_at,
        )
    logger.info("key %s of user %s: made, %s", key.pk, owner.pk, " ".join(key.scopes))
    return key, secret


def revoke(key: ApiKey) -> bool:
    """End the key, at once and for good. Returns whether this call did. Its row stays: the history names its number."""
    key.revoked_at = timezone.now()
    ended = bool(ApiKey.objects.filter(pk=key.pk, revoked_at=None).update(revoked_at=key.revoked_at))
    if ended:
        logger.info("key %s of user %s: revoked", key.pk, key.owner_id)
    return ended
