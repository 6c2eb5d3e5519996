"""One photo's bytes on their way in: checked as they pass, and staged."""

import hashlib
import uuid
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from django.conf import settings
from redis.exceptions import RedisError

from apps.tickets.errors import ImageMissingError
from apps.tickets.formats import PhotoHeader
from apps.tickets.intake.filenames import clean_filename
from apps.tickets.intake.photo_check import PhotoCheck
from apps.tickets.intake.room import new_photo_id
from apps.tickets.intake.staged_upload import StagedUpload


@dataclass(frozen=True)
class StagedPhoto:
    """A photo whose bytes are whole in staging, under `image_id`."""

    image_id: uuid.UUID
    filename: str
    size: int  # bytes
    sha256: str  # hex
    header: PhotoHeader


class PhotoStream:
    """Takes one photo's bytes in any portions: each is checked first, and then staged.

    Raises what PhotoCheck and StagedUpload do.
    """

    def __init__(self, upload: StagedUpload, check: PhotoCheck):
        self._upload = upload
        self._check = check
        self._filename = None

    @property
    def is_open(self) -> bool:
        return self._filename is not None

    def open(self, filename: str) -> None:
        self._filename = clean_filename(filename)

    def write(self, portion: bytes) -> None:
        self._check.feed(portion)
        self._upload.write(portion)

    def close(self) -> StagedPhoto:
        """Returns the photo, whole and staged for as long as its delivery may take."""
        if not self.is_open:
            raise ImageMissingError
        self._check.require_content()
        self._upload.finish()
        header = self._check.read_header(self._upload.read_at)
        return StagedPhoto(self._upload.image_id, self._filename, self._check.size, self._check.sha256, header)


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
    """Yields a PhotoStream for a photo of up to `size` bytes, None where the client does not say.

    The photo fits into the staging budget when it begins, and holds of it what has come. Whatever goes wrong inside, no
    byte stays. `user`: whose share it counts to. Raises StagingFullError after a short wait for room, as does the
    stream when it finds none for what comes next.
    """
    image_id = new_photo_id(size or 1, user=user)
    upload = StagedUpload(image_id, expected_size=size or settings.IMAGE_MAX_BYTES, user=user)
    try:
        yield PhotoStream(upload, PhotoCheck())
    except BaseException:
        with suppress(RedisError):  # then the expiry takes them
            upload.discard()
        raise
