"""The bytes of one upload on their way into staging: in pieces, each at its offset, and never to a disk."""

import time
from functools import partial

from apps.tickets.errors import StagingFullError, TemporarilyUnavailableError
from apps.tickets.intake.room import once_there_is_room
from apps.tickets.staging import store

PIECE_BYTES = 384 * 1024
WRITE_EVERY_SECONDS = store.INCOMING_TTL_SECONDS / 4  # of a slow client, or what it has sent would expire


class StagedUpload:
    """Writes the bytes of an upload, which come in any portions, to staging under `image_id`.

    An upload that ended early is continued, by this or another process, with the `offset` that it had reached: all else
    is in Redis. `expected_size`: of the whole or a little more, in bytes. `user`: whose share of the room it counts to.

    `ttl`: how many seconds it is kept after its last byte, instead of store.INCOMING_TTL_SECONDS. `fence`: of an upload
    that several requests send, one at a time.

    What writes raises StagingFullError after a short wait for room, TemporarilyUnavailableError when Redis has lost
    what came before, and store.NotTheHolderError; what it could not write it keeps.
    """

    def __init__(
        self,
        image_id,
        *,
        expected_size: int,
        user="",
        offset: int = 0,
        ttl: int | None = None,
        fence: store.Fence | None = None,
    ):
        self.image_id = image_id
        self.offset = offset  # bytes in Redis
        self._expected_size = expected_size
        self._user = user
        self._kept = {"ttl": ttl, "fence": fence}
        self._held = 0  # bytes of the budget, as far as is known here
        self._portions: list[bytes] = []  # of the piece to come
        self._piece_size = 0
        self._written_at = time.monotonic()

    def write(self, portion: bytes) -> None:
        self._portions.append(portion)
        self._piece_size += len(portion)
        if self._piece_size >= PIECE_BYTES or time.monotonic() > self._written_at + WRITE_EVERY_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Have all that came in Redis, where it stays for a while."""
        if self._portions:
            at_pace = self._piece_size >= PIECE_BYTES
            write = partial(store.write, size=self._expected_size, at_pace=at_pace, **self._kept)
            self._write_piece(write, at_pace=at_pace)

    def finish(self) -> None:
        """Have all that came in Redis, as the whole photo, where it stays for STAGING_TTL_SECONDS."""
        self._write_piece(store.write_last)

    def read_at(self, offset: int, length: int) -> bytes:
        """Up to `length` of the bytes in Redis, fewer at their end."""
        return store.read_range(self.image_id, offset, min(length, self.offset - offset))

    def discard(self) -> None:
        store.discard(self.image_id)

    def _write_piece(self, write, *, at_pace: bool = False) -> None:
        write = partial(write, self.image_id, *self._portions, offset=self.offset, user=self._user)
        try:
            held = write(held=self._held)
        except StagingFullError:
            self._held = self._wait_for_room(at_pace)
            held = self._held and write(held=self._held)
        if not held:  # Redis was flushed or restarted in the middle of this upload
            raise TemporarilyUnavailableError
        self.offset += self._piece_size
        self._portions, self._piece_size = [], 0
        self._written_at, self._held = time.monotonic(), held

    def _wait_for_room(self, at_pace: bool) -> int:
        """Returns the bytes held then. The piece stays here meanwhile: it would go to Redis at every look."""
        stop = self.offset + self._piece_size
        room = {"offset": self.offset, "announced": self._expected_size, "at_pace": at_pace, "user": self._user}
        return once_there_is_room(partial(store.reserve, self.image_id, stop, **room, **self._kept))
