"""Why a request to any app is refused: each error has its own stable code and HTTP status."""

from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import APIException


class BodyIncompleteError(APIException):
    status_code = 400
    default_code = "body_incomplete"
    default_detail = _("The connection ended before the whole body arrived.")


class BodyTooSlowError(APIException):
    status_code = 408
    default_code = "body_too_slow"
    default_detail = _("The body arrived too slowly. Nothing was kept.")


class BodyMalformedError(APIException):
    status_code = 400
    default_code = "body_malformed"
    default_detail = _("The body is not well-formed: its chunks make no sense, or are many and tiny.")


class RequestTooLargeError(APIException):
    status_code = 413
    default_code = "request_too_large"
    default_detail = _("The request is too large.")


class TemporarilyUnavailableError(APIException):
    status_code = 503
    default_code = "temporarily_unavailable"
    default_detail = _("The service cannot take this request at the moment. Nothing was kept; try again shortly.")
    wait = 2
