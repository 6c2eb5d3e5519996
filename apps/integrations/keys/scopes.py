"""What an API key may do: by the name of the route and the method, the scopes that allow it, and nothing else.

A route that is not in RIGHTS is closed to every key. So is what changes an account, and the keys themselves: whoever
finds a key must not be able to make another, or to learn whose it is.
"""

from itertools import chain

from django.db import models
from django.utils.translation import gettext_lazy as _

from apps.integrations.keys.errors import InsufficientScopeError


class Scope(models.TextChoices):
    TICKETS_READ = "tickets:read", _("read tickets, photos, kinds, manifests, archives and events")
    TICKETS_WRITE = "tickets:write", _("open tickets, make guest links, and read all that")
    IMAGES_WRITE = "images:write", _("send photos, and read the ticket that they are for")
    WEBHOOKS_WRITE = "webhooks:write", _("make, read and change webhooks")
    SUPPORT = "support", _("read and write support tickets")


# The first is the least that is needed: a refusal names it.
READING = (Scope.TICKETS_READ, Scope.TICKETS_WRITE)
SEEING = (Scope.TICKETS_READ, Scope.IMAGES_WRITE, Scope.TICKETS_WRITE)  # what whoever sends photos has to see, too
OPENING = (Scope.TICKETS_WRITE,)
SENDING = (Scope.IMAGES_WRITE,)
WEBHOOKS = (Scope.WEBHOOKS_WRITE,)
SUPPORT = (Scope.SUPPORT,)

# HEAD goes with GET where it has no entry of its own, and OPTIONS with any method of its route.
RIGHTS = {
    "kinds": {"GET": SEEING},
    "kind": {"GET": SEEING},
    "tickets": {"GET": READING, "POST": OPENING},
    "ticket": {"GET": SEEING},
    "ticket-status": {"GET": SEEING},
    "ticket-manifest": {"GET": READING},
    "ticket-archive": {"GET": READING},
    "ticket-images": {"GET": SEEING, "POST": SENDING},
    "image": {"GET": SEEING},
    "ticket-uploads": {"POST": SENDING},
    "upload": {"HEAD": SENDING, "PATCH": SENDING, "DELETE": SENDING},
    "ticket-direct-uploads": {"POST": SENDING},
    "direct-upload": {"DELETE": SENDING},
    "image-confirmation": {"POST": SENDING},
    "guest-links": {"GET": OPENING, "POST": OPENING},
    "guest-link": {"GET": OPENING, "DELETE": OPENING},
    "events": {"GET": READING},
    "webhooks": {"GET": WEBHOOKS, "POST": WEBHOOKS},
    "webhook": {"GET": WEBHOOKS, "PATCH": WEBHOOKS, "DELETE": WEBHOOKS},
    "webhook-rotate-secret": {"POST": WEBHOOKS},
    "webhook-ping": {"POST": WEBHOOKS},
    "webhook-recover": {"POST": WEBHOOKS},
    "webhook-deliveries": {"GET": WEBHOOKS},
    "webhook-delivery": {"GET": WEBHOOKS},
    "webhook-replay": {"POST": WEBHOOKS},
    "support-tickets": {"GET": SUPPORT, "POST": SUPPORT},
    "support-ticket": {"GET": SUPPORT, "PUT": SUPPORT, "PATCH": SUPPORT},
    "support-messages": {"GET": SUPPORT, "POST": SUPPORT},
    "support-subscribe": {"POST": SUPPORT},
    "support-unsubscribe": {"POST": SUPPORT},
}


def scopes_for(route_name: str | None, method: str) -> tuple[str, ...]:
    """Returns the scopes that allow it, each by itself, the least first; empty where no key may."""
    rights = RIGHTS.get(route_name, {})
    if method == "OPTIONS":
        return tuple(dict.fromkeys(chain.from_iterable(rights.values())))
    if method == "HEAD" and method not in rights:
        method = "GET"
    return rights.get(method, ())


def require_scope(scopes, *, route_name: str | None, method: str, is_offered: bool = True) -> None:
    """Raise InsufficientScopeError unless one of these scopes allows it.

    `is_offered`: whether the view has this method. If not, any scope that opens the route will do: it gets the 405.
    """
    needed = scopes_for(route_name, method if is_offered else "OPTIONS")
    if not any(scope in scopes for scope in needed):
        raise InsufficientScopeError([str(scope) for scope in needed])
