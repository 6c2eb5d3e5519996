"""What the published schema says of guest links beyond what the serializers tell."""

from functools import partial

from apps.common.api.operations import LOCATION, NO_STORE, response
from apps.common.api.operations import operation as _operation
from apps.guests.serializers import GuestLinkSerializer, NewGuestLinkSerializer, ShownOnceSerializer
from apps.tickets.api.schema import IDEMPOTENCY_KEY, IDEMPOTENCY_REFUSALS, REPLAYED
from apps.tickets.errors import TicketCancelledError, TicketCompletedError, TicketExpiredError

operation = partial(_operation, tag="guests")

LIST_LINKS = operation(
    "guest_links_list",
    "List the guest links of a ticket",
    "Newest first, also those that have expired or were revoked. What they open is not shown again.",
)
MAKE_LINK = operation(
    "guest_links_create",
    "Make a guest link",
    "A link for somebody without an account, who then may read this ticket (without `reference` and `metadata`), its "
    "images and the kinds of tickets, and send photos for it, by the page at `url` or by the API with `Authorization: "
    "Guest <token>`. The photos count to the ticket's owner, and in THROTTLE_GUESTS in place of THROTTLE_UPLOADS.\n\n"
    "`url` and `token` are shown only once. With `email` an invitation is sent there, and reminders.",
    body=NewGuestLinkSerializer,
    manual_parameters=[IDEMPOTENCY_KEY],
    responses={
        201: response(
            "The link.",
            ShownOnceSerializer,
            example=ShownOnceSerializer.example(),
            headers={"Location": LOCATION, "Cache-Control": NO_STORE} | REPLAYED,
        )
    },
    refusals=[TicketCompletedError, TicketCancelledError, TicketExpiredError, *IDEMPOTENCY_REFUSALS],
)
READ_LINK = operation(
    "guest_links_read",
    "Read a guest link",
    "Whether it was opened, when it was last used and how many photos came by it.",
    responses={200: response("The link.", GuestLinkSerializer, example=GuestLinkSerializer.example())},
)
REVOKE_LINK = operation(
    "guest_links_revoke",
    "Revoke a guest link",
    "It ends at once, and its e-mails with it. The photos that came by it stay.",
    responses={204: response("It is revoked, by this request or an earlier one.")},
)
