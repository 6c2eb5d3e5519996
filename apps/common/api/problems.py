"""Converts REST framework's errors, and all exceptions of views, to the problems of apps/common/http/problems.py."""

import logging
from itertools import islice

from django.core.exceptions import RequestDataTooBig, SuspiciousOperation
from django.core.exceptions import ValidationError as DjangoValidationError
from django.core.signals import got_request_exception
from django.db import InterfaceError, OperationalError
from django.http import UnreadablePostError
from django.http.multipartparser import TooManyFilesSent
from django.urls import Resolver404, resolve
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt
from psycopg_pool import PoolTimeout
from redis.exceptions import RedisError
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.serializers import as_serializer_error
from rest_framework.views import exception_handler, set_rollback

from apps.common.api.errors import (
    BodyIncompleteError,
    BodyMalformedError,
    BodyTooSlowError,
    RequestTooLargeError,
    TemporarilyUnavailableError,
)
from apps.common.http.problems import CODES_BY_STATUS, CONTENT_TYPE, default_detail, problem, problem_answer
from apps.common.http.request_body import BodyMalformed, BodyTooSlow

logger = logging.getLogger(__name__)

NULL_BODY = "No data provided"  # as REST framework puts it, in every language
# Limits on what a response repeats of a request.
MAX_ERRORS = 100
MAX_CHARACTERS = 400


def problem_response(exc, context) -> Response:
    """REST framework's exception handler: any exception of a view becomes a problem; unknown ones are logged, 500."""
    request = context["request"]
    exc = _translated(exc)
    response = exception_handler(exc, context)  # knows APIException, Http404, PermissionDenied; sets the headers
    if response is None:
        logger.error("unhandled error in %s %s", request.method, request.path, exc_info=exc)
        got_request_exception.send(sender=None, request=request._request)
        set_rollback()
        response = Response(status=500)
        exc = None
    response.data = problem(
        status=response.status_code,
        code=_code_of(exc) or CODES_BY_STATUS[response.status_code],
        detail=_detail_of(exc, response.status_code),
        request_id=request.id,
        errors=list(islice(_field_errors(exc.detail, exc.get_codes()), MAX_ERRORS))
        if isinstance(exc, exceptions.ValidationError)
        else None,
    )
    response.problem_code = response.data["code"]  # for the log and the metrics, see apps/common/http/timing.py
    response.content_type = CONTENT_TYPE
    return response


@csrf_exempt  # as REST framework's own views are: a POST without a session gets its 404, not a 403
def no_such_endpoint(request, **kwargs):
    """The last route under /api/, a 404. It keeps Django from redirecting, or crashing on, a missing final slash."""
    detail = default_detail(404)
    if not request.path.endswith("/") and _exists(request.path_info + "/"):
        detail = _("Every path of this API ends with a slash: {path}/").format(path=shortened(request.path))
    return problem_answer(request, status=404, code="not_found", detail=detail)


def _exists(path: str) -> bool:
    try:
        return resolve(path).func is not no_such_endpoint
    except Resolver404:
        return False


def _translated(exc):
    """Returns an API exception for exceptions of other libraries that mean something to a client."""
    if isinstance(exc, (RedisError, OperationalError, InterfaceError, PoolTimeout)):
        logger.error("a backing service is unavailable: %s", type(exc).__name__)
        return TemporarilyUnavailableError()
    if isinstance(exc, UnreadablePostError):
        return _why_unreadable(exc)
    if isinstance(exc, RequestDataTooBig):
        return RequestTooLargeError()
    if isinstance(exc, (SuspiciousOperation, TooManyFilesSent)):
        return exceptions.ParseError(default_detail(400))
    if isinstance(exc, DjangoValidationError):  # of a model or a validator, outside a serializer
        return exceptions.ValidationError(as_serializer_error(exc))
    return exc


def _why_unreadable(exc: UnreadablePostError) -> exceptions.APIException:
    """Returns the error for what the body's stream raised, which Django wraps, perhaps twice."""
    cause = exc
    while isinstance(cause, UnreadablePostError) and cause.__cause__:
        cause = cause.__cause__
    errors = {BodyTooSlow: BodyTooSlowError, BodyMalformed: BodyMalformedError}
    return errors.get(type(cause), BodyIncompleteError)()


def _code_of(exc) -> str:
    if isinstance(exc, exceptions.ValidationError):
        return exc.default_code
    if not isinstance(exc, exceptions.APIException):
        return ""
    if isinstance(exc.detail, dict) and "code" in exc.detail:  # as simplejwt raises it
        return str(exc.detail["code"])
    return getattr(exc.detail, "code", exc.default_code)


def _detail_of(exc, status: int) -> str:
    if isinstance(exc, exceptions.ValidationError):
        plain = exc.default_code == exceptions.ValidationError.default_code
        return _("The input is invalid; `errors` says where.") if plain else str(exc.default_detail)
    if isinstance(exc, exceptions.APIException):
        return shortened(_sentences(exc.detail))
    return default_detail(status)


def _sentences(detail) -> str:
    """Returns one text for any detail of REST framework's: a sentence, a list of them, or a dict."""
    if isinstance(detail, dict):  # simplejwt puts it under "detail", beside the code
        detail = detail.get("detail") or list(detail.values())
    if isinstance(detail, list):
        return " ".join(_sentences(each) for each in detail)
    return str(detail)


def _field_errors(details, codes, path=""):
    """Flatten REST framework's nested errors to {"field", "code", "detail"}; nested fields are joined by dots."""
    if isinstance(details, dict):
        for name, detail in details.items():
            inner = path if name == "non_field_errors" else f"{path}.{name}".lstrip(".")
            yield from _field_errors(detail, codes[name], inner)
    elif isinstance(details, list):
        for index, (detail, code) in enumerate(zip(details, codes, strict=True)):
            inner = f"{path}.{index}".lstrip(".") if isinstance(detail, dict) else path
            yield from _field_errors(detail, code, inner)
    else:
        detail = _("The body is null.") if details == NULL_BODY else shortened(str(details))
        yield {"field": shortened(path) or None, "code": codes, "detail": detail}


def shortened(text: str) -> str:
    """Returns the text, or the beginning and end of a long one: it may quote input of any length."""
    if len(text) <= MAX_CHARACTERS:
        return text
    return f"{text[: MAX_CHARACTERS // 2]}…{text[-MAX_CHARACTERS // 2 + 1 :]}"
