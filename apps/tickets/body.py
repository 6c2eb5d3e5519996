"""The body of an upload as it arrives: whole, or refused. A client that stalls does not hold a thread for ever."""

import contextlib
import hashlib
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable

from django.conf import settings
from django.http import UnreadablePostError
from gunicorn.http.body import LengthReader

from apps.tickets.errors import BodyIncompleteError, BodyTooSlowError
from apps.turns import Turns

READ_BYTES = 384 * 1024
FIRST_WAIT_BYTES = 16 * 1024
LONGEST_WAIT_SECONDS = 30  # at the slowest pace: what has come is staged before its time is over
GRACE_SECONDS = 10  # before the average rate counts
WATCH_EVERY_SECONDS = 0.5

# Who takes a photo in does so by turns, and gives the turn back while waiting for the client.
uploads = Turns(3)


class IncomingBody:
    """Reads the request's body once. Use as a context manager, which watches the client's pace.

    Raises BodyTooSlowError when the client falls below UPLOAD_MIN_BYTES_PER_SECOND on average, and BodyIncompleteError
    when the connection ended early: a parser would take what came for the whole file.
    """

    def __init__(self, request):
        self._request = request
        self._sha256 = hashlib.sha256() if "HTTP_CONTENT_DIGEST" in request.META else None
        self._socket = request.META.get("gunicorn.socket")  # None under other servers: then no pace is enforced
        self._receive = receiver_of(request)
        self._length = int(request.META["CONTENT_LENGTH"])
        self._received = 0
        self._awaited = 0  # by the read under way
        self._started_at = time.monotonic()
        self._cut = False

    def __enter__(self):
        if self._socket is not None and settings.UPLOAD_MIN_BYTES_PER_SECOND:
            _watch(self)
        return self

    def __exit__(self, *exc_info):
        _watched.discard(self)
        self._request.body_seconds = time.monotonic() - self._started_at

    def read(self) -> bytes:
        """The next portion, of at most READ_BYTES; b"" at the end.

        What is waited for grows with what has come, so that little is unknown of a client that stalls early. What is
        there already is taken whole.
        """
        size = min(READ_BYTES, self._length - self._received)
        longest = max(FIRST_WAIT_BYTES, LONGEST_WAIT_SECONDS * settings.UPLOAD_MIN_BYTES_PER_SECOND)
        self._awaited = min(size, max(FIRST_WAIT_BYTES, self._received), longest)
        portion = self._receive_next(size) if size else b""
        if not portion:
            self.require_whole()
        return portion

    def _receive_next(self, size: int) -> bytes:
        try:
            portion = self._receive(size, self._awaited)
        except (UnreadablePostError, OSError) as exc:
            raise BodyIncompleteError from exc
        self._received += len(portion)
        if self._sha256:
            self._sha256.update(portion)
        return portion

    def require_whole(self) -> None:
        """Raise unless every byte that Content-Length announced has been read."""
        if self._cut:
            raise BodyTooSlowError
        if self._received < self._length:
            raise BodyIncompleteError

    @property
    def sha256(self) -> str | None:
        """Of what has been read, in hex; None when the client sent no Content-Digest to compare it with."""
        return self._sha256.hexdigest() if self._sha256 else None

    def is_too_slow(self) -> bool:
        """A read returns when all of it has come: what it has got so far is not known, and counts as got."""
        at_most = min(self._received + self._awaited, self._length)
        elapsed = time.monotonic() - self._started_at
        return elapsed > GRACE_SECONDS + at_most / settings.UPLOAD_MIN_BYTES_PER_SECOND

    def cut(self) -> None:
        """Stop reading from this client; the answer can still be written."""
        self._cut = True
        with contextlib.suppress(OSError):  # it has gone by itself
            self._socket.shutdown(socket.SHUT_RD)


def receiver_of(request) -> Callable[[int, int], bytes]:
    """What receives the next bytes of the request's body: up to so many that have come by now or, when none have, so
    many that are waited for; b"" when the client has gone.

    Under gunicorn straight from its socket, by one call to the system however they trickle in: every call gives way to
    other threads and waits for its turn again. gunicorn's own reader takes up to 1 MiB off the socket at once and
    copies what is left of that at every read: 5 ms of processor time for a photo of 1 MB, and megabytes of memory.
    """
    reader = getattr(request.META.get("wsgi.input"), "reader", None)
    if not isinstance(reader, LengthReader):
        return lambda at_most, awaited: request.read(awaited)
    unreader = reader.unreader

    def receive(at_most: int, awaited: int) -> bytes:
        portion = unreader.take_buffered()  # what came along with the head of the request
        if len(portion) > at_most:
            unreader.unread(portion[at_most:])
        portion = portion[:at_most] or receive_from(unreader.sock, at_most, awaited)
        reader.length -= len(portion)  # or gunicorn would wait for these bytes before the connection's next request
        return portion

    return receive


def receive_from(sock: socket.socket, at_most: int, awaited: int) -> bytes:
    if isinstance(sock, ssl.SSLSocket):
        with uploads.away():
            return sock.recv(awaited)
    try:
        return sock.recv(at_most, socket.MSG_DONTWAIT)
    except BlockingIOError:
        with uploads.away():
            return sock.recv(awaited, socket.MSG_WAITALL)


_watched: set[IncomingBody] = set()
_watcher_of_process = None
_starting = threading.Lock()


def _watch(body: IncomingBody) -> None:
    global _watcher_of_process
    _watched.add(body)
    with _starting:
        if _watcher_of_process != os.getpid():  # a forked server process has none yet
            _watcher_of_process = os.getpid()
            threading.Thread(target=_watch_forever, name="slow-bodies", daemon=True).start()


def _watch_forever() -> None:
    while True:
        time.sleep(WATCH_EVERY_SECONDS)
        for body in _watched.copy():
            if body.is_too_slow():
                body.cut()
