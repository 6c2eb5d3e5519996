"""Reads what a refusal left unread, after the response was sent.

The server would close the connection over an unread body, and a client that is still sending would see a reset
connection, not the response: a full ticket would look like a network failure. The limits keep clients from holding a
thread this way: beyond them the connection is closed. After a response with the attribute `leaves_body_unread` it is
closed at once, for clients that know what to do when they do not see that response.

Private parts of Django 5.2.19: `django.http.HttpResponse._resource_closers`.
"""

import time
from contextlib import suppress

from apps.common.http.request_body import RequestBody, body_of
from apps.common.http.slow_clients import Brief

MAX_BYTES = 32 * 1024 * 1024
MAX_SECONDS = 15
STALL_SECONDS = 5


class UnreadBodyMiddleware:
    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        response = self.get_response(request)
        body = body_of(request)
        if response.status_code >= 400 and not body.is_whole:
            sock = request.META.get("gunicorn.socket")
            most_bytes = 0 if getattr(response, "leaves_body_unread", False) else MAX_BYTES
            # The server calls these after sending the response.
            response._resource_closers.append(lambda: read_off(body, sock, most_bytes=most_bytes, seconds=MAX_SECONDS))
        return response


def read_off(body: RequestBody, sock, *, most_bytes: int, seconds: float) -> bool:
    """Read and discard the rest of the body, within these limits. Returns whether all of it arrived.

    `sock`: the connection, None if the server does not provide it; then a single read of the server may exceed
    `seconds`.
    """
    if body.is_whole:
        return True
    if sock is None:
        return _read_off(body, most_bytes=most_bytes, seconds=seconds)
    with Brief(sock, seconds=seconds):  # it ends even reads of a byte at a time, such as that of a chunk's size
        sock.settimeout(STALL_SECONDS)
        try:
            return _read_off(body, most_bytes=most_bytes, seconds=seconds)
        finally:
            sock.settimeout(None)


def _read_off(body: RequestBody, *, most_bytes: int, seconds: float) -> bool:
    left, until = most_bytes, time.monotonic() + seconds
    with suppress(OSError):  # the client disconnected, or stalls
        while left > 0 and time.monotonic() < until and (portion := body.receive()):
            left -= len(portion)
    if not body.is_whole:
        body.abandon()
    return body.is_whole
