"""One id from the request into every log line and the response: the client's own when it sent a sane one."""

import logging
import re
import uuid
from contextvars import ContextVar

SANE_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")

current_request_id: ContextVar[str] = ContextVar("current_request_id", default="-")


class RequestIdMiddleware:
    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        sent = request.headers.get("X-Request-ID", "")
        request.id = sent if SANE_REQUEST_ID.fullmatch(sent) else uuid.uuid4().hex
        token = current_request_id.set(request.id)
        try:
            response = self.get_response(request)
        finally:
            current_request_id.reset(token)
        response["X-Request-ID"] = request.id
        return response


class RequestIdFilter(logging.Filter):
    """Gives every log record the id of the request it was written for, `-` outside one."""

    def filter(self, record):
        record.request_id = current_request_id.get()
        return True
