"""One id for the request, every log line and the response: the client's own if it sent a well-formed one."""

import re
import uuid

from apps.common.observability.request_id import MAX_LENGTH, on_behalf_of

SANE_REQUEST_ID = re.compile(rf"[A-Za-z0-9._:-]{{1,{MAX_LENGTH}}}")


class RequestIdMiddleware:
    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        sent = request.META.get("HTTP_X_REQUEST_ID", "")
        request.id = sent if SANE_REQUEST_ID.fullmatch(sent) else uuid.uuid4().hex
        with on_behalf_of(request.id):
            response = self.get_response(request)
        response["X-Request-ID"] = request.id
        return response
