"""One request at a time has an upload, and the newest gets it: an older one under way writes what it has and lets go.

The client's network has changed, and the older connection hangs: the newer request must neither wait for it to time out
nor lose what it brought.
"""

import time
import uuid
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial

from redis.exceptions import RedisError

from apps.common.observability import unforeseen
from apps.common.threads import Daemon
from apps.tickets.errors import (
    UploadExpiredError,
    UploadLengthInvalidError,
    UploadOffsetMismatchError,
    UploadOvertakenError,
)
from apps.tickets.intake.body import IncomingBody, uploads
from apps.tickets.intake.photo_check import require_size
from apps.tickets.resumable import state
from apps.tickets.resumable.state import Upload
from apps.tickets.staging import store

# A holder notices within LOOK_EVERY_SECONDS that it is to let go, also in another process, and writes one piece then.
LET_GO_WITHIN_SECONDS = 2
ASK_EVERY_SECONDS = 0.05
LOOK_EVERY_SECONDS = 0.25


class UploadGoneError(Exception):
    """There is no such upload, or not of this ticket; or its bytes were lost, or it is finished."""


class Hold:
    """The right of one request to an upload, until a newer one takes it. `upload` is as this request has left it."""

    def __init__(self, upload: Upload, number: int):
        self.upload = upload
        self.number = number
        self.is_wanted = False
        self._body: IncomingBody | None = None  # that it reads

    def require(self) -> None:
        """Raise UploadOvertakenError when it is another's."""
        if not state.is_held(self.upload.id, self.number):
            raise UploadOvertakenError

    def note(self, *, field: str, value: int) -> None:
        if not state.note(self.upload.id, self.number, field=field, value=value):
            raise UploadOvertakenError

    def forget(self) -> None:
        """The upload is over, its bytes stay."""
        if not state.end(self.upload.id, self.number):
            raise UploadOvertakenError

    def end(self) -> None:
        """The upload is over, its bytes go."""
        self.forget()
        store.discard(self.upload.id)

    def declare_length(self, length: int) -> None:
        """Say how long the upload is, which was left open. Raises UploadLengthInvalidError for what it cannot be."""
        if length < self.upload.offset or self.upload.length not in (None, length):
            raise UploadLengthInvalidError
        if self.upload.length is None:
            require_size(length)
            self.note(field="length", value=length)
            self.upload = replace(self.upload, length=length)

    def require_offset(self, offset: int) -> None:
        if offset != self.upload.offset:
            raise UploadOffsetMismatchError(expected=self.upload.offset, provided=offset)

    def fence(self, *, announces: bool) -> store.Fence:
        return state.fence(self.upload.id, self.number, announces=announces)

    @contextmanager
    def reading(self, body: IncomingBody):
        """Inside, the body ends when a newer request wants the upload."""
        self._body = body
        _readers.add(self)
        watcher.ensure_started()
        try:
            with body:
                yield
        finally:
            _readers.discard(self)

    def stop_reading(self) -> None:
        self.is_wanted = True
        self._body.cut()


@contextmanager
def held(upload_id: uuid.UUID, *, ticket_id: int):
    """Yields the Hold of this upload of the ticket.

    Raises UploadGoneError, UploadExpiredError, and UploadOvertakenError when a newer request has come meanwhile.
    """
    hold = _take(upload_id, ticket_id=ticket_id)
    try:
        yield hold
    finally:
        with suppress(RedisError):  # then the next request takes it by force
            state.let_go(upload_id, hold.number)


def _take(upload_id: uuid.UUID, *, ticket_id: int) -> Hold:
    started_at, number, by_force = time.monotonic(), None, False
    while True:
        word, number, upload = state.take(upload_id, ticket_id=ticket_id, number=number, by_force=by_force)
        if word == state.HELD:
            return Hold(upload, number)
        if word == state.GONE:
            raise UploadGoneError
        if word == state.EXPIRED:
            raise UploadExpiredError
        if word == state.OVERTAKEN:
            raise UploadOvertakenError
        _let_go_here(upload_id)
        by_force = time.monotonic() > started_at + LET_GO_WITHIN_SECONDS
        with uploads.away():
            time.sleep(ASK_EVERY_SECONDS)


def _let_go_here(upload_id: uuid.UUID) -> None:
    for hold in _readers.copy():
        if hold.upload.id == upload_id:
            hold.stop_reading()


def _let_go_of_wanted() -> None:
    readers = {(hold.upload.id, hold.number): hold for hold in _readers.copy()}
    if not readers:
        return
    with unforeseen.survived("web", "looking for uploads that newer requests want"), suppress(RedisError):
        for key in state.which_are_wanted(list(readers)):
            readers[key].stop_reading()


_readers: set[Hold] = set()
watcher = Daemon(
    "resumable-uploads",
    _let_go_of_wanted,
    every_seconds=LOOK_EVERY_SECONDS,
    on_error=partial(unforeseen.report, "web", "looking for uploads that newer requests want"),
)
