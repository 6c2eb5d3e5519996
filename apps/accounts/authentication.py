"""Authentication by `Authorization: Token <opaque>` or `Authorization: Bearer <JWT access>`, on every endpoint.

The scheme's name is case-insensitive (RFC 9110, section 11.1). A token sent with the scheme of the other kind is
recognized by its form, so that the response can name the remedy.
"""

import re
from functools import cache

from django.db.models import CharField, DateTimeField, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from knox.auth import TokenAuthentication as KnoxAuthentication
from knox.crypto import hash_token
from rest_framework.exceptions import AuthenticationFailed
from rest_framework_simplejwt.authentication import JWTAuthentication
from rest_framework_simplejwt.exceptions import InvalidToken

from apps.accounts.models import AuthToken, User
from apps.accounts.tokens import is_ended
from apps.common.db.compiled_queries import CompiledQuery, Parameter, columns_of, instance_of
from apps.common.db.read_along import ReadAlong

PLAIN = re.compile(r"Token ([0-9a-f]{64})")
OPAQUE = re.compile(rb"[0-9a-f]{64}")
JWT = re.compile(rb"eyJ[\w-]+\.[\w-]+\.[\w-]+")


@cache
def _token_query(read_along: ReadAlong | None) -> CompiledQuery:
    """Reads the token and its user in one row, and what the view needs along with them."""

    def build():
        rows = AuthToken.objects.live(digest=Parameter("digest", CharField()), now=Parameter("now", DateTimeField()))
        rows, columns = read_along.added_to(rows, "user__") if read_along else (rows, ())
        return rows.values_list(*columns_of(AuthToken), *columns_of(User, "user__"), *columns)

    return CompiledQuery(build)


class OpaqueTokenAuthentication(KnoxAuthentication):
    """Replaces knox's, which crashes on a token that is not UTF-8, and reads all the user's tokens on each request."""

    def authenticate(self, request):
        """A view may have `reads_along()`, a ReadAlong and its values, and finds in `read_along` what was read."""
        self._view = request.parser_context.get("view")
        plain = PLAIN.fullmatch(request._request.META.get("HTTP_AUTHORIZATION", ""))
        # The long way, which says what is wrong with others, looks at all headers of the request.
        return self.authenticate_credentials(plain[1].encode()) if plain else super().authenticate(request)

    def authenticate_credentials(self, token: bytes):
        if JWT.fullmatch(token):
            raise AuthenticationFailed(_('This is a JWT: send it as "Authorization: Bearer …".'))
        try:
            digest = hash_token(token.decode())
        except UnicodeDecodeError as exc:
            raise AuthenticationFailed(_("Invalid token.")) from exc
        read_along, values = self._view.reads_along() if hasattr(self._view, "reads_along") else (None, {})
        row = _token_query(read_along).first(digest=digest, now=timezone.now(), **values)
        if row is None:  # an expired token is deleted at the user's next log-in
            raise AuthenticationFailed(_("Invalid token."))
        width, both = len(columns_of(AuthToken)), len(columns_of(AuthToken)) + len(columns_of(User))
        auth_token = instance_of(AuthToken, row[:width])
        auth_token.user = instance_of(User, row[width:both])
        user, auth_token = self.validate_user(auth_token)
        if read_along:
            self._view.read_along = row[both:]
        self._remember_use(auth_token)
        return user, auth_token

    @staticmethod
    def _remember_use(auth_token):
        now = timezone.now()
        used_since = now - AuthToken.LAST_USE_PRECISION
        if auth_token.last_used_at is None or auth_token.last_used_at < used_since:
            stale = Q(last_used_at=None) | Q(last_used_at__lt=used_since)
            AuthToken.objects.filter(stale, pk=auth_token.pk).update(last_used_at=now)


class BearerAuthentication(JWTAuthentication):
    """Extends simplejwt's, which accepts one spelling of `Bearer` and does not check whether the user has ended all
    sessions since the token was created.
    """

    def get_raw_token(self, header: bytes):
        scheme, *rest = header.split() or [b""]
        return super().get_raw_token(b" ".join([scheme.capitalize(), *rest]))

    def get_validated_token(self, raw_token: bytes):
        if OPAQUE.fullmatch(raw_token):
            raise InvalidToken(_('This is an opaque token: send it as "Authorization: Token …".'))
        return super().get_validated_token(raw_token)

    def get_user(self, validated_token):
        user = super().get_user(validated_token)
        if is_ended(validated_token, user):
            raise InvalidToken
        return user
