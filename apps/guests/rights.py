"""What a guest may do: RIGHTS, and nothing else, on the one ticket of the link.

To the rest of hopla a guest is the owner of the ticket: they own the photos, whose bytes count in the owner's quota and
share of staging. So no request of a guest may pass here that could reach another ticket of the owner.
"""

from dataclasses import dataclass

from rest_framework.exceptions import NotFound

from apps.guests.errors import GuestNotAllowedError

READ = frozenset({"GET", "HEAD", "OPTIONS"})
SEND = frozenset({"POST", "OPTIONS"})

# By the name of the route. Each has the ticket's id as `ticket_id`, or shows what every user may read.
RIGHTS = {
    "ticket": READ,
    "ticket-status": READ,
    "ticket-images": READ | SEND,
    "image": READ,
    "image-confirmation": SEND,
    "ticket-direct-uploads": SEND,
    "direct-upload": frozenset({"DELETE", "OPTIONS"}),
    "ticket-uploads": SEND,
    "upload": frozenset({"HEAD", "PATCH", "DELETE", "OPTIONS"}),
    "kinds": READ,
    "kind": READ,
}


@dataclass(frozen=True)
class Guest:
    """`request.user` of a request by a guest link. `pk` is that of the ticket's owner."""

    guest_link_id: int
    ticket_id: int
    pk: int

    is_authenticated = is_active = True
    is_anonymous = is_staff = is_superuser = False


def is_allowed(route_name: str | None, method: str) -> bool:
    return method in RIGHTS.get(route_name, ())


def require_right(guest: Guest, *, route_name: str | None, method: str, ticket_id: int | None) -> None:
    """Raise GuestNotAllowedError for what guests may not do, and NotFound for another ticket than the guest's.

    `ticket_id`: that of the path, None where it has none.
    """
    if not is_allowed(route_name, method):
        raise GuestNotAllowedError
    if ticket_id not in (None, guest.ticket_id):
        raise NotFound
