"""Errors of the integrations' API, with their stable codes."""

from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import APIException


class WebhookUrlRefusedError(APIException):
    """hopla posts nothing to this URL. The detail says why, and nothing of what hopla's network is like inside."""

    status_code = 400
    default_code = "webhook_url_refused"
    default_detail = _("Webhooks are not sent to this URL.")
