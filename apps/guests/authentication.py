"""Authentication by `Authorization: Guest <token>`, on every endpoint, with the rights of a guest checked at once: no
view can forget to.
"""

from rest_framework.authentication import BaseAuthentication, get_authorization_header

from apps.guests.errors import (
    GuestLinkExpiredError,
    GuestLinkInvalidError,
    GuestLinkRevokedError,
    GuestNotAllowedError,
)
from apps.guests.models import find_for_request
from apps.guests.rights import Guest, is_allowed, require_right

SCHEME = b"guest"


class GuestAuthentication(BaseAuthentication):
    def authenticate(self, request):
        """Returns a Guest and its GuestLink; None for another scheme, which costs no query."""
        scheme, _, token = get_authorization_header(request).strip().partition(b" ")
        if scheme.lower() != SCHEME:
            return None
        link, owner_id, owner_is_active = find_for_request(token.strip().decode("latin-1")) or (None, None, None)
        if link is None:
            raise GuestLinkInvalidError
        if link.revoked_at is not None or not owner_is_active:
            raise GuestLinkRevokedError
        if link.is_expired:
            raise GuestLinkExpiredError
        guest = Guest(guest_link_id=link.pk, ticket_id=link.ticket_id, pk=owner_id)
        require_right(
            guest,
            route_name=getattr(request.resolver_match, "view_name", None),
            method=request.method,
            ticket_id=request.parser_context["kwargs"].get("ticket_id"),
        )
        link.remember_use()
        return guest, link

    def authenticate_header(self, request):
        return "Guest"

    @staticmethod
    def refusals(route_name: str, method: str) -> list[type]:
        """For the schema: the errors with which it refuses requests there."""
        refused = [GuestLinkInvalidError, GuestLinkExpiredError, GuestLinkRevokedError]
        return refused if is_allowed(route_name, method) else [*refused, GuestNotAllowedError]
