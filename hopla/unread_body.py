"""Read off what a refusal left unread, once the answer is out.

The server would close the connection over an unread body, and a client still sending then sees a reset connection, not
the answer: a ticket that is full would look like a network failure. The bounds keep this from being a way to hold a
thread: past them the connection is closed after all.
"""

import time

from django.http import UnreadablePostError

MAX_BYTES = 32 * 1024 * 1024
MAX_SECONDS = 20
STALL_SECONDS = 5
READ_BYTES = 64 * 1024


class UnreadBodyMiddleware:
    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        response = self.get_response(request)
        if response.status_code >= 400 and request.META.get("CONTENT_LENGTH") and not hasattr(request, "_body"):
            response._resource_closers.append(lambda: read_off(request))  # the server calls them after sending
        return response


def read_off(request) -> None:
    """Read the rest of the body and forget it, within the bounds above."""
    sock = request.META.get("gunicorn.socket")
    if sock is not None:
        sock.settimeout(STALL_SECONDS)
    until, left = time.monotonic() + MAX_SECONDS, MAX_BYTES
    try:
        while left > 0 and time.monotonic() < until and (chunk := request.read(READ_BYTES)):
            left -= len(chunk)
    except UnreadablePostError:
        return  # the client has gone, or stalls
    finally:
        if sock is not None:
            sock.settimeout(None)
