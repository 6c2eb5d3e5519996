"""One photo's bytes on their way in: checked as they pass, and staged.

The bytes go to Redis piece by piece as they arrive and never to a disk.
"""

import hashlib
import logging
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial

from django.conf import settings
from redis.exceptions import RedisError

from apps.tickets import formats
from apps.tickets.errors import (
    EncodedImageError,
    ImageEmptyError,
    ImageMissingError,
    ImageTooLargeError,
    ImageTooManyPixelsError,
    RawImageError,
    StagingFullError,
    TemporarilyUnavailableError,
    UnsupportedImageError,
)
from apps.tickets.intake.body import uploads
from apps.tickets.intake.filenames import clean_filename
from apps.tickets.staging import store

logger = logging.getLogger(__name__)

PIECE_BYTES = 384 * 1024
HEAD_BYTES = 192 * 1024  # hold nearly every photo's header, with the thumbnail in it
SIGNATURE_BYTES = 64  # enough to tell by signature what a file is
REFUSALS = {formats.RawFileError: RawImageError, formats.EncodedPhotoError: EncodedImageError}
WRITE_EVERY_SECONDS = store.INCOMING_TTL_SECONDS / 4  # of a slow client, or what it has sent would expire

# With the budget full, a few requests of each process wait this long for room; the others are refused at once, so that
# threads are left for everything else. A refusal is due within two seconds.
WAIT_FOR_ROOM_SECONDS = 1.2
LOOK_FOR_ROOM_EVERY_SECONDS = 0.05
_waiting_room = threading.BoundedSemaphore(32)


@dataclass(frozen=True)
class StagedPhoto:
    """A photo whose bytes are whole in staging, under `image_id`."""

    image_id: uuid.UUID
    filename: str
    size: int  # bytes
    sha256: str  # hex
    header: formats.PhotoHeader


class PhotoStream:
    """Takes one photo's bytes in any portions, checks them on the way and writes them to staging in pieces.

    `expected_size`: of the photo or a little more. Raises the errors of this app as soon as a portion shows that the
    photo cannot be taken.
    """

    def __init__(self, expected_size: int, *, user=""):
        self.image_id = uuid.uuid4()
        self._expected_size = expected_size
        self._user = user
        self._held = 0  # bytes of the budget
        self._filename = None
        self._sha256 = hashlib.sha256()
        self._size = 0
        self._portions: list[bytes] = []  # of the piece to come
        self._piece_size = 0
        self._head = b""  # its first bytes, kept for reading the header
        self._signature_checked = False
        self._written_at = time.monotonic()  # the last piece

    @property
    def is_open(self) -> bool:
        return self._filename is not None

    def open(self, filename: str) -> None:
        self._filename = clean_filename(filename)

    def write(self, portion: bytes) -> None:
        self._size += len(portion)
        if self._size > settings.IMAGE_MAX_BYTES:
            raise ImageTooLargeError(max_bytes=settings.IMAGE_MAX_BYTES)
        self._sha256.update(portion)
        self._portions.append(portion)
        self._piece_size += len(portion)
        if not self._signature_checked and self._size >= SIGNATURE_BYTES:
            self._check_signature()
        overdue = self._signature_checked and time.monotonic() > self._written_at + WRITE_EVERY_SECONDS
        if self._piece_size >= PIECE_BYTES or overdue:
            self._write_piece()

    def close(self) -> StagedPhoto:
        """The photo, whole and staged for as long as its delivery may take."""
        if not self.is_open:
            raise ImageMissingError
        if not self._size:
            raise ImageEmptyError
        self._check_signature()
        self._write_piece(last=True)
        header = self._read_header()
        return StagedPhoto(self.image_id, self._filename, self._size, self._sha256.hexdigest(), header)

    def _check_signature(self) -> None:
        if self._signature_checked:
            return
        try:
            formats.sniff_format(b"".join(self._portions)[:SIGNATURE_BYTES])
        except formats.NotAPhotoError as exc:
            raise REFUSALS.get(type(exc), UnsupportedImageError) from exc
        self._signature_checked = True

    def _write_piece(self, *, last: bool = False) -> None:
        offset, at_pace = self._size - self._piece_size, self._piece_size >= PIECE_BYTES
        portions, self._portions, self._piece_size = self._portions, [], 0
        self._head = self._head or b"".join(portions)[:HEAD_BYTES]
        piece = {"offset": offset, "user": self._user}
        if not last:
            piece |= {"size": self._expected_size, "at_pace": at_pace}
        write = partial(store.write_last if last else store.write, self.image_id, *portions, **piece)
        try:
            held = write(held=self._held)
        except StagingFullError:
            self._held = self._wait_for_room(offset, at_pace)
            held = self._held and write(held=self._held)
        self._written_at, self._held = time.monotonic(), held
        if not held:  # Redis was flushed or restarted in the middle of this photo
            raise TemporarilyUnavailableError

    def _wait_for_room(self, offset: int, at_pace: bool) -> int:
        """What is held then. The bytes stay here meanwhile: they would go to Redis at every look."""
        room = {"offset": offset, "announced": self._expected_size, "at_pace": at_pace, "user": self._user}
        return _patiently(partial(store.reserve, self.image_id, self._size, **room))

    def _read_header(self) -> formats.PhotoHeader:
        try:
            header = formats.read_header(self._read_at, size=self._size)
        except formats.NotAPhotoError as exc:
            raise REFUSALS.get(type(exc), UnsupportedImageError) from exc
        if header.pixels > settings.IMAGE_MAX_PIXELS:
            raise ImageTooManyPixelsError(max_pixels=settings.IMAGE_MAX_PIXELS)
        return header

    def _read_at(self, offset: int, length: int) -> bytes:
        if offset + length <= len(self._head) or len(self._head) == self._size:
            return self._head[offset : offset + length]
        return store.read_range(self.image_id, offset, min(length, self._size - offset))


class FingerprintStream:
    """Stands in for a PhotoStream where only the photo's sha256 is wanted: nothing is checked or staged."""

    def __init__(self):
        self.is_open = False
        self._sha256 = hashlib.sha256()

    def open(self, filename: str) -> None:
        self.is_open = True

    def write(self, portion: bytes) -> None:
        self._sha256.update(portion)

    def close(self) -> str:
        return self._sha256.hexdigest()


@contextmanager
def reserved_stream(size: int | None, *, user=""):
    """A PhotoStream for a photo of up to `size` bytes, None where nobody knows: it fits into the staging budget when it
    begins, and holds of it what has come. Whatever goes wrong inside, no byte stays. `user`: whose share it counts to.

    Raises StagingFullError, after a short wait for room, as does the stream when it finds none for what comes next.
    """
    _patiently(partial(store.require_room, size or 1, user=user))
    stream = PhotoStream(expected_size=size or settings.IMAGE_MAX_BYTES, user=user)
    try:
        yield stream
    except BaseException:
        with suppress(RedisError):  # then the expiry takes them
            store.discard(stream.image_id)
        raise


def _patiently(find_room: Callable):
    """Returns what it does. Clients that post one photo after another are slowed down to the pace of delivery before
    they are refused.
    """
    give_up_at = time.monotonic() + WAIT_FOR_ROOM_SECONDS
    may_wait = _waiting_room.acquire(blocking=False)
    try:
        while True:
            try:
                return find_room()
            except StagingFullError:
                if not may_wait or time.monotonic() >= give_up_at:
                    raise
            with uploads.away():
                time.sleep(LOOK_FOR_ROOM_EVERY_SECONDS)
    finally:
        if may_wait:
            _waiting_room.release()
