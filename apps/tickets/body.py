"""The body of an upload as it arrives: whole, or refused. A client that stalls does not hold a thread for ever."""

import contextlib
import hashlib
import os
import socket
import threading
import time

from django.conf import settings
from django.http import UnreadablePostError

from apps.tickets.errors import BodyIncompleteError, BodyTooSlowError

READ_BYTES = 16 * 1024
GRACE_SECONDS = 10  # before the average rate counts
WATCH_EVERY_SECONDS = 0.5


class IncomingBody:
    """Reads the request's body once. Use as a context manager, which watches the client's pace.

    Raises BodyTooSlowError when the client falls below UPLOAD_MIN_BYTES_PER_SECOND on average, and BodyIncompleteError
    when the connection ended early: a parser would take what came for the whole file.
    """

    def __init__(self, request):
        self._request = request
        self._sha256 = hashlib.sha256() if "HTTP_CONTENT_DIGEST" in request.META else None
        self._socket = request.META.get("gunicorn.socket")  # None under other servers: then no pace is enforced
        self._length = int(request.META["CONTENT_LENGTH"])
        self._received = 0
        self._started_at = time.monotonic()
        self._cut = False

    def __enter__(self):
        if self._socket is not None and settings.UPLOAD_MIN_BYTES_PER_SECOND:
            _watch(self)
        return self

    def __exit__(self, *exc_info):
        _watched.discard(self)

    def read(self, size=READ_BYTES) -> bytes:
        size = READ_BYTES if size is None or size < 0 else min(size, READ_BYTES)
        try:
            chunk = self._request.read(size)
        except UnreadablePostError as exc:
            raise BodyIncompleteError from exc
        self._received += len(chunk)
        if self._sha256:
            self._sha256.update(chunk)
        if not chunk:
            self.require_whole()
        return chunk

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
        at_most = min(self._received + READ_BYTES, self._length)
        elapsed = time.monotonic() - self._started_at
        return elapsed > GRACE_SECONDS + at_most / settings.UPLOAD_MIN_BYTES_PER_SECOND

    def cut(self) -> None:
        """Stop reading from this client; the answer can still be written."""
        self._cut = True
        with contextlib.suppress(OSError):  # it has gone by itself
            self._socket.shutdown(socket.SHUT_RD)


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
