"""Requires bodies that are read into memory, JSON and forms, to arrive whole and in time, or refuses the request.

Photos have their own reader, see apps/tickets/intake/body.py: they are large, and a slow phone may take its time.

Private parts of Django 5.2.19: `django.core.handlers.wsgi.WSGIRequest._stream`.
"""

import io
import re
import sys
import time

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.http import HttpResponse
from django.utils.translation import gettext as _

from apps.common.http.problems import is_api, problem_answer
from apps.common.http.request_body import PORTION_BYTES, BodyTooSlow, RequestBody, body_of
from apps.common.http.slow_clients import Brief

GRACE_SECONDS = 10  # before the average rate is checked, the same as for photos
MOST_SECONDS = 60


class RequestBodyMiddleware:
    """Gives Django a body that it can read: it takes a chunked body for empty, and waits for a slow one for ever.

    It comes before anything that reads a body, and inside LanguageMiddleware.
    """

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        body = body_of(request)
        if body.length == 0:
            return self.get_response(request)
        if is_api(request) and (encoding := encoding_of(request)):
            return unsupported_encoding(request, encoding)
        if body.length is None:  # Django and REST framework read only this header: set it to the maximum
            request.META["CONTENT_LENGTH"] = str(settings.DATA_UPLOAD_MAX_MEMORY_SIZE)
        request._stream = stream = BodyStream(body, request.META.get("gunicorn.socket"))
        response = self.get_response(request)
        if stream.was_cut and response.status_code != 408:  # outside the API Django would respond with another status
            return HttpResponse("The body arrived too slowly.\n", status=408, content_type="text/plain")
        return response


def encoding_of(request) -> str:
    """Returns the Content-Encoding, sanitized for display; "" when the body is not encoded."""
    named = request.META.get("HTTP_CONTENT_ENCODING", "").strip().lower()
    return "" if named in ("", "identity") else re.sub(r"[^a-z0-9.,_ -]", "?", named)[:60]


def unsupported_encoding(request, encoding: str) -> HttpResponse:
    response = problem_answer(
        request,
        status=415,
        code="unsupported_encoding",
        detail=_("The body is encoded as “{encoding}”. Send it as it is, without a Content-Encoding.").format(
            encoding=encoding
        ),
    )
    response["Accept-Encoding"] = "identity"  # RFC 9110, 15.5.16
    return response


class BodyStream(io.BufferedIOBase):
    """The stream from which Django reads the body. Raises BodyTooSlow, and the errors of RequestBody."""

    def __init__(self, body: RequestBody, sock):
        self._body, self._socket = body, sock
        self._wait: BodyWait | None = None

    def readable(self) -> bool:
        return True

    @property
    def was_cut(self) -> bool:
        return self._wait is not None and self._wait.was_cut

    def read(self, size: int | None = -1) -> bytes:
        started = time.monotonic()
        try:
            return self._read_in_time(size)
        finally:
            self._body.seconds += time.monotonic() - started

    def _read_in_time(self, size: int | None) -> bytes:
        if self._socket is None:  # not under gunicorn
            return self._read(size)
        self._wait = self._wait or BodyWait(self._socket, self._body)
        with self._wait:
            try:
                content = self._read(size)
            except OSError as exc:
                raise (BodyTooSlow if self.was_cut else type(exc)) from exc
        if self.was_cut and not self._body.is_whole:
            raise BodyTooSlow
        return content

    def _read(self, size: int | None) -> bytes:
        portions, left = [], sys.maxsize if size is None or size < 0 else size
        while left and not self.was_cut:
            if self._body.length is None and self._body.received > settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
                if portions:
                    break  # Django refuses the excess itself
                raise RequestDataTooBig
            portion = self._body.receive(min(PORTION_BYTES, left))
            if not portion:
                break
            portions.append(portion)
            left -= len(portion)
        return b"".join(portions)


class BodyWait(Brief):
    def __init__(self, sock, body: RequestBody):
        super().__init__(sock, seconds=MOST_SECONDS)
        self._body = body

    def _allowed_seconds(self) -> float:
        pace = settings.UPLOAD_MIN_BYTES_PER_SECOND
        return min(MOST_SECONDS, GRACE_SECONDS + self._body.received / pace) if pace else MOST_SECONDS
