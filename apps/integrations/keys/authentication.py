"""Authentication by `Authorization: Token hopla_…`, on every endpoint, with the key's scopes checked at once: no view
can forget to.
"""

from django.contrib.auth import get_user_model
from django.db.models import CharField
from django.utils.translation import gettext_lazy as _
from rest_framework.authentication import BaseAuthentication

from apps.common.db.compiled_queries import CompiledQuery, Parameter, columns_of, instance_of
from apps.common.observability.request_id import requested_by
from apps.integrations.keys.errors import (
    ApiKeyExpiredError,
    ApiKeyInvalidError,
    ApiKeyOwnerInactiveError,
    ApiKeyRevokedError,
    InsufficientScopeError,
)
from apps.integrations.keys.form import BEGINNING, digest_of, is_whole
from apps.integrations.keys.scopes import require_scope, scopes_for
from apps.integrations.models import ApiKey

# Reads the key and its user in one row.
_KEY = CompiledQuery(
    lambda: (
        ApiKey.objects.filter(digest=Parameter("digest", CharField()))
        .order_by()
        .values_list(*columns_of(ApiKey), *columns_of(get_user_model(), "owner__"))
    )
)


class KeyAuthentication(BaseAuthentication):
    """Comes before the authentication by opaque tokens, which have the same scheme and never begin like a key."""

    def authenticate(self, request):
        """Returns the key's user and the key; None for anything else, which costs a look at the header.

        A key does what users do with what is theirs. What its user may do as staff is left to people who log in, so
        `is_staff` of this instance is False: never save it.
        """
        sent = request._request.META.get("HTTP_AUTHORIZATION", "")
        if BEGINNING not in sent:
            return None
        scheme, _space, secret = sent.strip().partition(" ")
        secret, scheme = secret.strip(), scheme.lower()
        if scheme not in ("token", "bearer") or not secret.startswith(BEGINNING):
            return None
        if scheme == "bearer":
            raise ApiKeyInvalidError(_('This is an API key: send it as "Authorization: Token …".'))
        key = _find(secret)
        requested_by(f"user {key.owner_id}, key {key.pk}")
        key.remember_use()
        require_scope(
            key.scopes,
            route_name=getattr(request.resolver_match, "view_name", None),
            method=request.method,
            is_offered=hasattr(request.parser_context["view"], request.method.lower()),
        )
        key.owner.is_staff = key.owner.is_superuser = False
        return key.owner, key

    def authenticate_header(self, request):
        return "Token"

    @staticmethod
    def refusals(route_name: str, method: str) -> list[type]:
        """For the schema: the errors with which it refuses requests there."""
        return [ApiKeyInvalidError, ApiKeyExpiredError, ApiKeyRevokedError, InsufficientScopeError]

    @staticmethod
    def scopes(route_name: str, method: str) -> tuple[str, ...]:
        """For the schema: the scopes that allow it, each by itself."""
        return scopes_for(route_name, method)


def _find(secret: str) -> ApiKey:
    """Returns the key with its owner. Raises what stands against it."""
    if not is_whole(secret):
        raise ApiKeyInvalidError(_("This is not a whole API key: check that all of it was copied."))
    row = _KEY.first(digest=digest_of(secret))
    if row is None:
        raise ApiKeyInvalidError
    width = len(columns_of(ApiKey))
    key = instance_of(ApiKey, row[:width])
    key.owner = instance_of(get_user_model(), row[width:])
    if key.revoked_at is not None:
        raise ApiKeyRevokedError
    if key.is_expired:
        raise ApiKeyExpiredError
    if not key.owner.is_active:
        raise ApiKeyOwnerInactiveError
    return key
