"""Times every request: for /metrics, and in the log when it was slow.

The time that a client takes to send its photo is measured separately: a slow phone is not a slow server.
"""

import logging
import time

from django.conf import settings

from apps.common.http.request_body import body_of
from apps.common.observability import metrics

logger = logging.getLogger(__name__)

METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
UPLOAD = ("POST", "ticket-images")


class ObservationMiddleware:
    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        started = time.monotonic()
        response = self.get_response(request)
        body_seconds = body_of(request).seconds
        observe(request, response, seconds=time.monotonic() - started - body_seconds, body_seconds=body_seconds)
        return response


def observe(request, response, *, seconds: float, body_seconds: float) -> None:
    """Count and log a request. `seconds`: without the `body_seconds` spent waiting for the body."""
    method, route = method_and_route(request)
    metrics.count("hopla_http_requests", method=method, route=route, status=str(response.status_code))
    metrics.observe("hopla_http_request_seconds", seconds, method=method, route=route)
    fields = {"route": route, "status": response.status_code, "seconds": round(seconds, 3)}
    if response.status_code >= 400:
        code = getattr(response, "problem_code", "error")
        logger.info("refused: %s %s %s, %s", method, route, response.status_code, code, extra=fields | {"code": code})
        if (method, route) == UPLOAD:
            metrics.count("hopla_photos_refused", code=code)
    if settings.LOG_SLOW_REQUEST_SECONDS and seconds > settings.LOG_SLOW_REQUEST_SECONDS:
        logger.warning(
            "slow: %s %s took %.2f seconds, besides %.2f for its body",
            *(method, route, seconds, body_seconds),
            extra=fields,
        )


def method_and_route(request) -> tuple[str, str]:
    """Returns both from a fixed set: each path or method that a client invents would create a series of its own."""
    method = request.method if request.method in METHODS else "other"
    return method, getattr(request.resolver_match, "view_name", None) or "none"
