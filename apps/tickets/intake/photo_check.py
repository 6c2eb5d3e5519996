"""Whether bytes are a photo that is taken, judged as they pass."""

import hashlib
from collections.abc import Callable
from contextlib import contextmanager

from django.conf import settings

from apps.tickets import formats
from apps.tickets.errors import (
    EncodedImageError,
    ImageEmptyError,
    ImageTooLargeError,
    ImageTooManyPixelsError,
    RawImageError,
    UnsupportedImageError,
)

HEAD_BYTES = 192 * 1024  # hold nearly every photo's header, with the thumbnail in it
SIGNATURE_BYTES = 64  # enough to tell by signature what a file is
REFUSALS = {formats.RawFileError: RawImageError, formats.EncodedPhotoError: EncodedImageError}


def require_size(size: int) -> None:
    """Raise ImageEmptyError or ImageTooLargeError for a photo of so many bytes."""
    if size == 0:
        raise ImageEmptyError
    require_not_too_large(size)


def require_not_too_large(size: int) -> None:
    """Raise ImageTooLargeError for so many bytes of a photo, to which more may come."""
    if size > settings.IMAGE_MAX_BYTES:
        raise ImageTooLargeError(max_bytes=settings.IMAGE_MAX_BYTES)


class PhotoCheck:
    """Takes all of a photo's bytes once, in any portions: from the client, or from staging where they came earlier.

    Raises the errors of this app as soon as a portion shows that the photo cannot be taken.
    """

    def __init__(self):
        self.size = 0  # bytes so far
        self._sha256 = hashlib.sha256()
        self._head = bytearray()
        self._signature_checked = False

    @property
    def sha256(self) -> str:
        """Of the bytes so far, in hex."""
        return self._sha256.hexdigest()

    def feed(self, portion: bytes) -> None:
        self.size += len(portion)
        require_not_too_large(self.size)
        self._sha256.update(portion)
        if len(self._head) < HEAD_BYTES:
            self._head += portion[: HEAD_BYTES - len(self._head)]
        if not self._signature_checked and self.size >= SIGNATURE_BYTES:
            self._check_signature()

    def require_content(self) -> None:
        """Raise what stands against bytes that end here, as far as their first ones tell."""
        if not self.size:
            raise ImageEmptyError
        if not self._signature_checked:
            self._check_signature()

    def read_header(self, read_at: Callable[[int, int], bytes]) -> formats.PhotoHeader:
        """Returns the header of the photo, which ends here. `read_at(offset, length)` reads what came before."""

        def read(offset: int, length: int) -> bytes:
            if offset + length <= len(self._head) or len(self._head) == self.size:
                return bytes(self._head[offset : offset + length])
            return read_at(offset, length)

        with _as_refusal():
            header = formats.read_header(read, size=self.size)
        if header.pixels > settings.IMAGE_MAX_PIXELS:
            raise ImageTooManyPixelsError(max_pixels=settings.IMAGE_MAX_PIXELS)
        return header

    def _check_signature(self) -> None:
        with _as_refusal():
            formats.sniff_format(bytes(self._head[:SIGNATURE_BYTES]))
        self._signature_checked = True


@contextmanager
def _as_refusal():
    try:
        yield
    except formats.NotAPhotoError as exc:
        raise REFUSALS.get(type(exc), UnsupportedImageError) from exc
