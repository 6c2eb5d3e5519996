"""Why the desk refuses a message: each error has its stable code and its HTTP status."""

from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import APIException


class SupportTicketFrozenError(APIException):
    status_code = 409
    default_code = "support_ticket_frozen"
    default_detail = _("This ticket is frozen: only staff write on it at the moment.")


class SupportTicketClosedError(APIException):
    status_code = 409
    default_code = "support_ticket_closed"
    default_detail = _("This ticket is closed. Open another one if you still need help.")
