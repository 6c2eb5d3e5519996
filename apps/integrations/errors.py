"""Errors of the integrations' API, with their stable codes."""

from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import APIException


class WebhookUrlRefusedError(APIException):
    """hopla posts nothing to this URL. The detail says why, and nothing of what hopla's network is like inside."""

    status_code = 400
    default_code = "webhook_url_refused"
    default_detail = _("Webhooks are not sent to this URL.")


class UnknownEventError(APIException):
    status_code = 400
    default_code = "unknown_event"
    default_detail = _("There is no event of yours with this id.")


class EventsExpiredError(APIException):
    status_code = 410
    default_code = "events_expired"
    default_detail = _(
        "That event is older than what is kept, and so may be others that you have not seen. Read your tickets, and "
        "begin anew without `after`."
    )


class TooManyWebhooksError(APIException):
    status_code = 409
    default_code = "too_many_webhooks"
    default_detail = _("You have as many webhooks as one user may have. Delete one first.")


class WebhookDisabledError(APIException):
    status_code = 409
    default_code = "webhook_disabled"
    default_detail = _("This webhook is disabled. Enable it first.")


class DeliveryPendingError(APIException):
    status_code = 409
    default_code = "delivery_pending"
    default_detail = _("This event is on its way already.")
