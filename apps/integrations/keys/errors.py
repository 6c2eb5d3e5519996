"""Why a request with an API key, or for one, is refused: each error has its own stable code and HTTP status."""

from django.utils.translation import gettext_lazy as _
from rest_framework import status
from rest_framework.exceptions import APIException, AuthenticationFailed, PermissionDenied


class ApiKeyInvalidError(AuthenticationFailed):
    default_code = "api_key_invalid"
    default_detail = _("There is no such API key.")


class ApiKeyExpiredError(AuthenticationFailed):
    default_code = "api_key_expired"
    default_detail = _("This API key has expired.")


class ApiKeyRevokedError(AuthenticationFailed):
    default_code = "api_key_revoked"
    default_detail = _("This API key was revoked.")


class ApiKeyOwnerInactiveError(AuthenticationFailed):
    default_code = "user_inactive"
    default_detail = _("The user of this API key is inactive.")


class InsufficientScopeError(PermissionDenied):
    """`scopes`: those that would do, the least first; empty where none would."""

    default_code = "insufficient_scope"
    default_detail = _("The scopes of this API key do not allow this.")

    def __init__(self, scopes=()):
        detail = _("No API key may do this: log in for it.")
        # As RFC 6750 has it for tokens; REST framework sends it as WWW-Authenticate.
        self.auth_header = f'Token error="{self.default_code}"'
        if scopes:
            detail = _("This API key lacks a scope that this needs: {scopes}.").format(scopes=" / ".join(scopes))
            self.auth_header += f', scope="{scopes[0]}"'
        super().__init__(detail)


class TooManyApiKeysError(APIException):
    status_code = status.HTTP_409_CONFLICT
    default_code = "too_many_api_keys"
    default_detail = _("You have as many API keys as one user may have. Delete one first.")
