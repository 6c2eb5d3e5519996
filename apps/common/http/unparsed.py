"""Sends problem details instead of HTML where gunicorn refuses a request, such as one with two Content-Lengths.

Private parts of gunicorn 27.0.1: `gunicorn.http.message.TOKEN_RE`, `gunicorn.util.write_nonblock`.
"""

import json
import uuid

from django.utils import translation
from gunicorn import util
from gunicorn.http.errors import (
    ExpectationFailed,
    InvalidHeader,
    InvalidHeaderName,
    LimitRequestHeaders,
    LimitRequestLine,
    UnsupportedTransferCoding,
)
from gunicorn.http.message import TOKEN_RE

from apps.common.http.problems import CODES_BY_STATUS, CONTENT_TYPE, default_detail, problem
from apps.common.observability.request_id import on_behalf_of

# In English, since the client's language is not known yet. gunicorn chooses the status.
REFUSALS = (
    (LimitRequestLine, "request_line_too_long", "The address is longer than this server takes."),
    (LimitRequestHeaders, "headers_too_large", "The headers are more, or longer, than this server takes."),
    (ExpectationFailed, "expectation_failed", "The only expectation that can be met is “100-continue”."),
    (UnsupportedTransferCoding, "unsupported_transfer_coding", "The only transfer coding that is known is “chunked”."),
)


def problem_of(exc: Exception, *, status: int, request_id: str) -> dict:
    with translation.override("en"):
        code, detail = CODES_BY_STATUS.get(status, "bad_request"), default_detail(status)
        for error, its_code, its_detail in REFUSALS:
            if isinstance(exc, error):
                code, detail = its_code, its_detail
        if isinstance(exc, (InvalidHeader, InvalidHeaderName)) and TOKEN_RE.fullmatch(str(exc.hdr)):
            detail = f"The header {exc.hdr[:60]} is malformed, may not be sent, or came twice."
        return problem(status=status, code=code, detail=detail, request_id=request_id)


def refuse(gunicorns_own, client, exc: Exception) -> None:
    """Let gunicorn log the error and choose a status, and send the client a problem of that status.

    `gunicorns_own(client)` is gunicorn's own refusal.
    """
    request_id, response = uuid.uuid4().hex, Unsent()
    with on_behalf_of(request_id):
        gunicorns_own(response)
    body = json.dumps(problem_of(exc, status=response.status, request_id=request_id)).encode()
    head = (
        f"{response.status_line}\r\nConnection: close\r\nContent-Type: {CONTENT_TYPE}\r\n"
        f"Content-Length: {len(body)}\r\nX-Request-ID: {request_id}\r\n\r\n"
    )
    util.write_nonblock(client, head.encode() + body)


class Unsent:
    """Takes the place of a client's socket and keeps the status line that was to be sent."""

    def __init__(self):
        self.status_line = "HTTP/1.1 500 Internal Server Error"

    @property
    def status(self) -> int:
        return int(self.status_line.split(" ", 2)[1])

    def sendall(self, content: bytes) -> None:
        self.status_line = content.partition(b"\r\n")[0].decode("latin-1")

    def gettimeout(self) -> float:
        return 0.0
