"""Why a guest is refused: each error has its own stable code and HTTP status."""

from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import AuthenticationFailed, PermissionDenied


class GuestLinkInvalidError(AuthenticationFailed):
    default_code = "guest_link_invalid"
    default_detail = _("There is no such link. Check that you have the whole of it.")


class GuestLinkExpiredError(AuthenticationFailed):
    default_code = "guest_link_expired"
    default_detail = _("This link has expired. Ask for a new one where you got it.")


class GuestLinkRevokedError(AuthenticationFailed):
    default_code = "guest_link_revoked"
    default_detail = _("This link was withdrawn. Ask for a new one where you got it.")


class GuestNotAllowedError(PermissionDenied):
    default_code = "guest_not_allowed"
    default_detail = _("A guest link lets you read its ticket and send photos for it, and nothing else.")
