"""The bytes of one request on their way to their place in an upload; as many as came are kept."""

import hashlib
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial

from django.conf import settings
from redis.exceptions import RedisError
from rest_framework.exceptions import APIException

from apps.common.api.errors import BodyTooSlowError
from apps.tickets.errors import (
    SlowUploadError,
    TemporarilyUnavailableError,
    UploadOvertakenError,
    UploadTooLongError,
)
from apps.tickets.intake.body import IncomingBody
from apps.tickets.intake.photo_check import SIGNATURE_BYTES, PhotoCheck, require_not_too_large
from apps.tickets.intake.staged_upload import StagedUpload
from apps.tickets.resumable.holding import Hold
from apps.tickets.staging import store

ALGORITHMS = {
    "sha1": partial(hashlib.sha1, usedforsecurity=False),
    "sha256": hashlib.sha256,
    "md5": partial(hashlib.md5, usedforsecurity=False),
}


@dataclass(frozen=True)
class Checksum:
    """What a request says of its bytes. They are announced once they have proved to be these; other ones are forgotten,
    and `mismatch` is raised.
    """

    algorithm: str  # of ALGORITHMS
    digest: bytes
    mismatch: type[APIException]


def receive(hold: Hold, body: IncomingBody, *, checksums: list[Checksum] = ()) -> PhotoCheck | None:
    """Take the body in at the upload's offset. Returns the PhotoCheck of the whole upload, if all of it came here.

    Raises what IncomingBody, PhotoCheck and StagedUpload do; what came before that is kept. UploadTooLongError when the
    body goes past the end, UploadOvertakenError when a newer request takes the upload, the `mismatch` of a checksum.
    """
    try:
        receiver = _Receiver(hold, checksums)
        receiver.read(body)
    except store.NotTheHolderError as exc:
        raise UploadOvertakenError from exc
    except TemporarilyUnavailableError:  # Redis has lost the bytes: what is left of the upload goes, too
        with suppress(RedisError, UploadOvertakenError):
            hold.end()
        raise
    return receiver.check if receiver.check.size == hold.upload.offset else None


class _Receiver:
    def __init__(self, hold: Hold, checksums):
        upload = hold.upload
        self._hold = hold
        self._staged = StagedUpload(
            upload.id,
            expected_size=upload.most_bytes,
            user=upload.user_id,
            offset=upload.offset,
            ttl=settings.RESUMABLE_TTL_SECONDS,
            fence=hold.fence(announces=not checksums),
        )
        self._received_to = upload.offset
        self._checksums = [(checksum, ALGORITHMS[checksum.algorithm]()) for checksum in checksums]
        self.check = PhotoCheck()
        if 0 < upload.offset < SIGNATURE_BYTES:
            self.check.feed(self._staged.read_at(0, upload.offset))

    def read(self, body: IncomingBody) -> None:
        begins_at = self._received_to
        try:
            with self._hold.reading(body):
                while portion := body.read():
                    self._take(portion)
        except BodyTooSlowError as exc:
            raise (UploadOvertakenError if self._hold.is_wanted else SlowUploadError) from exc
        finally:
            self._staged.flush()
            if not self._checksums:
                self._has_come_to(self._staged.offset)
        if self._checksums:
            self._verify(begins_at)

    def _take(self, portion: bytes) -> None:
        upload = self._hold.upload
        stop = self._received_to + len(portion)
        if upload.length is not None and stop > upload.length:
            raise UploadTooLongError
        require_not_too_large(stop)
        # What is verified by a checksum is judged after that. What goes on is judged at the end, as a whole.
        if not self._checksums and self.check.size == self._received_to:
            self.check.feed(portion)
        for _, running in self._checksums:
            running.update(portion)
        self._staged.write(portion)
        self._received_to = stop

    def _verify(self, begins_at: int) -> None:
        for checksum, running in self._checksums:
            if running.digest() != checksum.digest:
                raise checksum.mismatch
        if begins_at < SIGNATURE_BYTES:
            self.check.feed(self._staged.read_at(begins_at, SIGNATURE_BYTES - begins_at))
        self._hold.note(field="offset", value=self._received_to)
        self._has_come_to(self._received_to)

    def _has_come_to(self, offset: int) -> None:
        if offset > self._hold.upload.offset:
            expires_at = int(time.time()) + settings.RESUMABLE_TTL_SECONDS
            self._hold.upload = replace(self._hold.upload, offset=offset, expires_at=expires_at)
