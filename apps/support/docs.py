"""What the published schema says of each operation of the support desk beyond what the serializers tell."""

from drf_yasg import openapi

from apps.support.serializers import (
    MessageSerializer,
    NewMessageSerializer,
    NewSupportTicketSerializer,
    StatusChangeSerializer,
    SupportTicketSerializer,
)

JSON_BODY = {400: "Invalid input.", 413: "The body is too large.", 415: "The body is not JSON."}


def _operation(operation_id: str, summary: str, responses: dict, **more) -> dict:
    return {
        "operation_id": operation_id,
        "operation_summary": summary,
        "tags": ["support"],
        "responses": responses,
    } | more


TICKET = openapi.Response("The ticket.", SupportTicketSerializer)
STATUS_CHANGE = {200: TICKET, 403: "`permission_denied`: only staff may."} | JSON_BODY

LIST_TICKETS = _operation("support_tickets_list", "List support tickets (one's own; staff: all)", {})
OPEN_TICKET = _operation(
    "support_tickets_create",
    "Open a support ticket",
    {201: TICKET} | JSON_BODY,
    request_body=NewSupportTicketSerializer,
)
READ_TICKET = _operation("support_tickets_read", "Read a support ticket with its messages", {200: TICKET})
PUT_STATUS = _operation(
    "support_tickets_update", "Change the status (staff)", STATUS_CHANGE, request_body=StatusChangeSerializer
)
PATCH_STATUS = _operation(
    "support_tickets_partial_update", "Change the status (staff)", STATUS_CHANGE, request_body=StatusChangeSerializer
)
LIST_MESSAGES = _operation("support_messages_list", "List the messages of a support ticket", {})
WRITE_MESSAGE = _operation(
    "support_messages_create",
    "Write a message",
    {
        201: openapi.Response("The message.", MessageSerializer),
        409: "`support_ticket_frozen`, `support_ticket_closed`",
    }
    | JSON_BODY,
    request_body=NewMessageSerializer,
)
UNSUBSCRIBE = _operation("support_unsubscribe", "No more e-mails about this ticket (owner)", {204: "Done."})
SUBSCRIBE = _operation("support_subscribe", "E-mails about this ticket again (owner)", {204: "Done."})
