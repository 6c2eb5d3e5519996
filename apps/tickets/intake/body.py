"""The body of an upload as it arrives: whole, or refused. A client that stalls is cut off, and its thread is free."""

import hashlib
import time
from contextlib import contextmanager

from django.conf import settings

from apps.common.api.errors import BodyIncompleteError, BodyMalformedError, BodyTooSlowError
from apps.common.db.release import release_connection
from apps.common.http.request_body import BodyMalformed, body_of
from apps.common.http.slow_clients import forget, shut, watch
from apps.common.jobs.concurrency_limit import ConcurrencyLimit

READ_BYTES = 384 * 1024
FIRST_WAIT_BYTES = 16 * 1024
LONGEST_WAIT_SECONDS = 30  # at the slowest pace: what has come is staged before its time is over
GRACE_SECONDS = 10  # before the average rate counts


class UploadTurns(ConcurrencyLimit):
    """Requests that take a photo in have turns, and give them back while they wait for the client; and with the turn,
    their connection to the database.

    So a photo that is there already keeps its connection, and as many connections are held as there are turns.
    """

    @contextmanager
    def away(self):
        release_connection()
        with super().away():
            yield

    def hold_connection_only_with_a_turn(self) -> None:
        """Call it before a body is read: a thread that goes on without a turn, as one of many, holds no connection."""
        if not self.has_one:
            release_connection()


uploads = UploadTurns(3)


class IncomingBody:
    """Reads the request's body once. Use it as a context manager, which watches the client's pace.

    Raises BodyTooSlowError when the client falls below UPLOAD_MIN_BYTES_PER_SECOND on average, BodyIncompleteError when
    the connection ended early: a parser would take what came for the whole file; and BodyMalformedError when chunks
    make no sense.
    """

    def __init__(self, request):
        self._sha256 = hashlib.sha256() if "HTTP_CONTENT_DIGEST" in request.META else None
        self._socket = request.META.get("gunicorn.socket")  # None under other servers, where no pace is enforced
        self._body = body_of(request)
        self._awaited = 0  # by the read under way
        self._started_at = time.monotonic()
        self._cut = False

    def __enter__(self):
        if self._socket is not None and settings.UPLOAD_MIN_BYTES_PER_SECOND:
            watch(self)
        return self

    def __exit__(self, *exc_info):
        forget(self)
        self._body.seconds += time.monotonic() - self._started_at

    @property
    def length(self) -> int | None:
        """In bytes; None of a body in chunks."""
        return self._body.length

    def read(self) -> bytes:
        """Returns the next portion, of at most READ_BYTES, or one chunk; b"" at the end.

        It waits for more bytes the more have come, so that few are unknown of a client that stalls early, and takes all
        that are there already. Of a body in chunks it takes what comes next.
        """
        if self._body.length is not None:
            longest = max(FIRST_WAIT_BYTES, LONGEST_WAIT_SECONDS * settings.UPLOAD_MIN_BYTES_PER_SECOND)
            self._awaited = min(READ_BYTES, self._body.left, max(FIRST_WAIT_BYTES, self._body.received), longest)
        try:
            portion = self._body.receive(READ_BYTES, self._awaited, away=uploads.away)
        except BodyMalformed as exc:
            raise BodyMalformedError from exc
        except OSError as exc:
            raise (BodyTooSlowError if self._cut else BodyIncompleteError) from exc
        if self._cut and not portion:
            raise BodyTooSlowError
        if self._sha256:
            self._sha256.update(portion)
        return portion

    @property
    def sha256(self) -> str | None:
        """The sha256 of what has been read, in hex; None when the client sent no Content-Digest to compare it with."""
        return self._sha256.hexdigest() if self._sha256 else None

    def is_overdue(self) -> bool:
        """Returns whether the client is too slow. All that the read under way waits for counts as received."""
        at_most = self._body.received + self._awaited
        elapsed = time.monotonic() - self._started_at
        return elapsed > GRACE_SECONDS + at_most / settings.UPLOAD_MIN_BYTES_PER_SECOND

    def cut(self) -> None:
        """Stop reading from this client; the response can still be written."""
        self._cut = True
        if self._socket is not None:
            shut(self._socket)
