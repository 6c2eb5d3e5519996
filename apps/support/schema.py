"""Texts, examples and errors of the operations of the support desk for the published schema."""

from functools import partial

from apps.common.api.operations import LOCATION, PERMISSION_DENIED, response
from apps.common.api.operations import operation as _operation
from apps.support import errors
from apps.support.serializers import (
    MessageSerializer,
    NewMessageSerializer,
    NewSupportTicketSerializer,
    StatusChangeSerializer,
    SupportTicketSerializer,
)

operation = partial(_operation, tag="support")

MESSAGE = {
    "id": 31,
    "text": "It is fixed. Please try again.",
    "author": 2,
    "is_staff": True,
    "created_at": "2026-11-21T11:20:00Z",
}
TICKET = {
    "id": 12,
    "title": "A photo failed",
    "body_text": "The third photo of my ticket failed twice.",
    "owner": 7,
    "ticket": 94,
    "status": "AC",
    "subscribed": True,
    "messages": [MESSAGE],
    "created_at": "2026-11-21T11:02:00Z",
    "updated_at": "2026-11-21T11:20:00Z",
}
STATUS_CHANGE = {
    "body": StatusChangeSerializer,
    "responses": {200: response("The ticket.", SupportTicketSerializer, example=TICKET | {"status": "FR"})},
    "refusals": [PERMISSION_DENIED],
}
STATUSES = "`AC` active, `FR` frozen (staff alone write), `CL` closed (nobody writes)."

LIST_TICKETS = operation(
    "support_tickets_list",
    "List support tickets",
    "One's own; staff see all. Newest first, unless `ordering` says otherwise.",
)
OPEN_TICKET = operation(
    "support_tickets_create",
    "Open a support ticket",
    "`ticket` is the id of an upload ticket of one's own, if it is about one.",
    body=NewSupportTicketSerializer,
    responses={
        201: response(
            "The ticket.", SupportTicketSerializer, example=TICKET | {"messages": []}, headers={"Location": LOCATION}
        )
    },
)
READ_TICKET = operation(
    "support_tickets_read",
    "Read a support ticket with its messages",
    STATUSES,
    responses={200: response("The ticket.", SupportTicketSerializer, example=TICKET)},
)
PUT_STATUS = operation("support_tickets_update", "Change the status (staff)", STATUSES, **STATUS_CHANGE)
PATCH_STATUS = operation("support_tickets_partial_update", "Change the status (staff)", STATUSES, **STATUS_CHANGE)
LIST_MESSAGES = operation("support_messages_list", "List the messages of a support ticket", "Oldest first.")
WRITE_MESSAGE = operation(
    "support_messages_create",
    "Write a message",
    "Nobody writes on a closed ticket, and on a frozen one staff alone.",
    body=NewMessageSerializer,
    responses={201: response("The message.", MessageSerializer, example=MESSAGE)},
    refusals=[errors.SupportTicketFrozenError, errors.SupportTicketClosedError],
)
UNSUBSCRIBE = operation(
    "support_unsubscribe",
    "No more e-mails about this ticket (owner)",
    "Safe to repeat.",
    responses={204: response("Done.")},
)
SUBSCRIBE = operation(
    "support_subscribe",
    "E-mails about this ticket again (owner)",
    "Safe to repeat.",
    responses={204: response("Done.")},
)
