"""Errors as RFC 9457 problem details, on every path under /api/: their format, and those of Django itself.

Exceptions of views become problems in apps/common/api/problems.py.
"""

import re
from http import HTTPStatus

from django.http import JsonResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

API_PATH = re.compile("/+api/")  # a client that doubles the slash still means the API
CONTENT_TYPE = "application/problem+json"

TITLES = {
    400: gettext_lazy("Bad Request"),
    401: gettext_lazy("Unauthorized"),
    403: gettext_lazy("Forbidden"),
    404: gettext_lazy("Not Found"),
    405: gettext_lazy("Method Not Allowed"),
    408: gettext_lazy("Request Timeout"),
    409: gettext_lazy("Conflict"),
    410: gettext_lazy("Gone"),
    412: gettext_lazy("Precondition Failed"),
    413: gettext_lazy("Content Too Large"),
    414: gettext_lazy("URI Too Long"),
    415: gettext_lazy("Unsupported Media Type"),
    417: gettext_lazy("Expectation Failed"),
    422: gettext_lazy("Unprocessable Content"),
    423: gettext_lazy("Locked"),
    429: gettext_lazy("Too Many Requests"),
    431: gettext_lazy("Request Header Fields Too Large"),
    460: gettext_lazy("Checksum Mismatch"),
    500: gettext_lazy("Internal Server Error"),
    501: gettext_lazy("Not Implemented"),
    503: gettext_lazy("Service Unavailable"),
}

CODES_BY_STATUS = {
    400: "bad_request",
    403: "permission_denied",
    404: "not_found",
    405: "method_not_allowed",
    413: "request_too_large",
    500: "internal_error",
}


def problem(*, status: int, code: str, detail: str, request_id: str, errors=None) -> dict:
    body = {
        "type": "about:blank",
        "title": str(TITLES.get(status) or HTTPStatus(status).phrase),
        "status": status,
        "detail": detail,
        "code": code,
        "request_id": request_id,
    }
    return body if errors is None else body | {"errors": errors}


def problem_answer(request, *, status: int, code: str, detail: str) -> JsonResponse:
    """Returns the problem as a Django response, for code outside REST framework."""
    body = problem(status=status, code=code, detail=detail, request_id=request.id)
    response = JsonResponse(body, status=status, content_type=CONTENT_TYPE)
    response.problem_code = code
    return response


def is_api(request) -> bool:
    return bool(API_PATH.match(request.path))


def default_detail(status: int) -> str:
    return {
        400: _("The request could not be understood."),
        403: _("You may not do this."),
        404: _("There is nothing at this address, or nothing that you may see."),
        413: _("The request is too large."),
        503: _("The service cannot take this request at the moment. Nothing was kept; try again shortly."),
    }.get(status, _("Something went wrong on our side. Quote the request_id when you report it."))


class ProblemDetailsMiddleware:
    """Turns Django's own error responses under /api/ (no such path, a bad host, a crash in a middleware) into problems.

    It is outside the other middleware, so that it sees all their responses.
    """

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        response = self.get_response(request)
        is_problem = response.get("Content-Type", "").startswith(CONTENT_TYPE)
        if response.status_code < 400 or is_problem or not is_api(request):
            return response
        return self._as_problem(request, response)

    @staticmethod
    def _as_problem(request, response):
        status = response.status_code
        code = CODES_BY_STATUS.get(status, "error")
        as_problem = problem_answer(request, status=status, code=code, detail=default_detail(status))
        for name, value in response.items():  # keeps the security and cache headers of the inner middleware
            if name not in ("Content-Type", "Content-Length"):
                as_problem.headers[name] = value
        return as_problem
