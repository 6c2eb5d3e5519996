"""A request's body as it arrives, sent with a length or in chunks without one.

Private parts of gunicorn 27.0.1: `gunicorn.http.body.Body.failed`, `gunicorn.http.body.LengthReader.unreader`,
`.length`, `gunicorn.http.body.ChunkedReader.parser`, `gunicorn.http.unreader.Unreader.take_buffered`,
`gunicorn.http.errors.ChunkMissingTerminator.term`.
"""

import socket
import ssl
from contextlib import nullcontext, suppress

from gunicorn.http.body import Body, ChunkedReader, LengthReader
from gunicorn.http.errors import ChunkMissingTerminator, ParseException

PORTION_BYTES = 64 * 1024
# A chunk costs about 4 µs of CPU time, however small it is, so a body of this many tiny chunks is an attack.
MANY_CHUNKS, SMALL_CHUNK_BYTES = 20_000, 32


class BodyBrokenOff(OSError):
    """The connection ended before the body did."""


class BodyTooSlow(OSError):
    """The client took too long and was cut off."""


class BodyMalformed(OSError):
    """The body's chunks are malformed, or many and tiny."""


def is_chunked(request) -> bool:
    """Returns whether the body has no declared length, and the server finds where it ends."""
    meta = request.META
    return "HTTP_TRANSFER_ENCODING" in meta and bool(meta.get("wsgi.input_terminated"))


def body_of(request) -> "RequestBody":
    """Returns the single RequestBody of this request: each reader continues where the last one stopped."""
    meta = request.META
    if "hopla.body" not in meta:
        meta["hopla.body"] = RequestBody(meta["wsgi.input"], length=None if is_chunked(request) else _length_of(meta))
    return meta["hopla.body"]


def _length_of(meta) -> int:
    try:
        return max(0, int(meta.get("CONTENT_LENGTH") or 0))
    except ValueError:
        return 0


class RequestBody:
    """Reads a body. `length` in bytes, None if unknown; `received` so far; `is_whole` once all has been received;
    `seconds` that its readers spent on it, see apps/common/http/timing.py."""

    def __init__(self, wsgi_input, *, length: int | None):
        self.length = length
        self.received = 0
        self.seconds = 0.0
        self._input = wsgi_input
        reader = getattr(wsgi_input, "reader", None)
        self._receive = {LengthReader: self._receive_straight, ChunkedReader: self._receive_chunk}.get(
            type(reader), self._receive_from_server
        )
        self._chunks = 0
        # gunicorn's ChunkedReader drops its parser once it has read the last chunk.
        self._ended = isinstance(reader, ChunkedReader) and reader.parser is None

    @classmethod
    def left_unread(cls, body: Body) -> "RequestBody":
        """Returns a RequestBody for what is left of gunicorn's Body."""
        return cls(body, length=body.reader.length if isinstance(body.reader, LengthReader) else None)

    @property
    def left(self) -> int | None:
        """Returns how many bytes are still to come, None if unknown."""
        if self.length is None:
            return None
        reader = getattr(self._input, "reader", None)  # it is exact: other code may have read from it
        return reader.length if isinstance(reader, LengthReader) else self.length - self.received

    @property
    def is_whole(self) -> bool:
        return self.left == 0 or self._ended

    def abandon(self) -> None:
        """Leave the rest unread, so that the connection takes no further request."""
        if isinstance(self._input, Body):
            self._input.failed = True

    def receive(self, at_most: int = PORTION_BYTES, awaited: int | None = None, *, away=nullcontext) -> bytes:
        """Returns up to `at_most` bytes that have arrived; if none have, it waits for the next ones, or for as many as
        `awaited`. Returns b"" at the end. `away()`: the context to wait in.

        Raises BodyBrokenOff, BodyMalformed, or another OSError of the connection.
        """
        if self.length is not None:
            at_most = min(at_most, self.left)
        if at_most == 0 or self._ended:
            return b""
        portion = self._receive(at_most, awaited and min(awaited, at_most), away)
        self.received += len(portion)
        if not portion:
            if self.length is not None:
                raise BodyBrokenOff
            self._ended = True
        return portion

    def _receive_straight(self, at_most: int, awaited: int | None, away) -> bytes:
        """Read from gunicorn's socket, with one system call even for bytes that trickle in: each call lets other
        threads run and then waits for its turn again. gunicorn's own reader takes up to 1 MiB off the socket at once
        and copies the remainder at every read: 5 ms of CPU time for a photo of 1 MB, and megabytes of memory.
        """
        reader = self._input.reader
        unreader = reader.unreader
        portion = unreader.take_buffered()  # what arrived with the head of the request
        if len(portion) > at_most:
            unreader.unread(portion[at_most:])
        portion = portion[:at_most] or receive_from(unreader.sock, at_most, awaited, away)
        reader.length -= len(portion)  # or gunicorn would wait for these bytes before the connection's next request
        return portion

    def _receive_chunk(self, at_most: int, awaited: int | None, away) -> bytes:
        """Read one chunk, or a part of it. gunicorn decides how much is taken at once: 1 MiB at the most."""
        reader = self._input.reader
        try:
            with away():
                while (portion := next(reader.parser, None)) == b"":
                    pass
        except (ParseException, OSError) as exc:
            self.abandon()  # it is unknown where the connection's next request would begin
            if isinstance(exc, ChunkMissingTerminator) and exc.term in (b"", b"\r"):
                raise BodyBrokenOff from exc
            raise (BodyMalformed if isinstance(exc, ParseException) else BodyBrokenOff) from exc
        self._chunks += 1
        if self._chunks > MANY_CHUNKS and self.received < SMALL_CHUNK_BYTES * self._chunks:
            self.abandon()
            raise BodyMalformed
        if portion is None:
            reader.parser = None  # as gunicorn's read() does
        return portion or b""

    def _receive_from_server(self, at_most: int, awaited: int | None, away) -> bytes:
        """Read from a server that is not gunicorn. It may wait until all has arrived."""
        with away():
            return self._input.read(awaited or at_most)


def receive_from(sock: socket.socket, at_most: int, awaited: int | None, away) -> bytes:
    if isinstance(sock, ssl.SSLSocket):
        with away():
            return sock.recv(awaited or at_most)
    with suppress(BlockingIOError):
        return sock.recv(at_most, socket.MSG_DONTWAIT)
    with away():
        return sock.recv(awaited, socket.MSG_WAITALL) if awaited else sock.recv(at_most)
