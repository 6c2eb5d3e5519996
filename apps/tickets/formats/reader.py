"""Bounded reading of a file's header: every format is read through it, so no file can be read without end."""

import re
from collections.abc import Callable

WINDOW_BYTES = 4096
MAX_WINDOW_BYTES = 128 * 1024  # as it grows while a file is read on and on
# A camera's JPEG takes one to thirty reads, with an embedded preview or depth map up to two hundred 64 KiB segments.
MAX_READS = 256
MAX_BYTES = 16 * 1024 * 1024


class NotAPhotoError(Exception):
    """The content is not a photo in a format that hopla takes; the message says why, in words fit for the client."""


class RawFileError(NotAPhotoError):
    """A camera's raw file, which hopla does not take."""

    def __init__(self):
        super().__init__("The file is a camera's raw file.")


class EncodedPhotoError(NotAPhotoError):
    """A photo as text, in base64."""

    def __init__(self):
        super().__init__("The content is a photo in base64.")


class HeaderReader:
    """Reads single fields of a file through one window, which moves forward as the fields are asked for.

    All offsets count from the start of the file. Asking for bytes beyond its end raises NotAPhotoError, and so does
    asking for too many places or bytes: the work on any file, however hostile, is MAX_READS reads of MAX_BYTES in all.
    """

    def __init__(self, read_at: Callable[[int, int], bytes], *, size: int) -> None:
        self.size = size
        self._read_at = read_at
        self._reads_left = MAX_READS
        self._bytes_left = MAX_BYTES
        self._window = b""
        self._window_start = 0
        self._window_bytes = WINDOW_BYTES

    def start(self, length: int) -> bytes:
        """Returns the first `length` bytes, or all of a shorter file."""
        return self.take(0, min(length, self.size))

    def take(self, offset: int, length: int) -> bytes:
        """Returns exactly `length` bytes from `offset`."""
        if offset + length > self.size:
            raise NotAPhotoError("The file ends within its header.")
        begin = offset - self._window_start
        if begin < 0 or begin + length > len(self._window):
            self._move_window(offset, length)
            begin = 0
        return self._window[begin : begin + length]

    def uint(self, offset: int, length: int, byteorder: str = "big") -> int:
        """Returns the unsigned integer in `length` bytes at `offset`."""
        return int.from_bytes(self.take(offset, length), byteorder)

    def search(self, pattern: re.Pattern[bytes], offset: int, *, width: int) -> int:
        """Returns where the first match from `offset` on begins, of a pattern for exactly `width` bytes.

        However far that is, it takes few reads, and no step for each byte.
        """
        while True:
            self.take(offset, width)
            if found := pattern.search(self._window, offset - self._window_start):
                return self._window_start + found.start()
            offset = self._window_start + len(self._window) - (width - 1)

    def _move_window(self, offset: int, length: int) -> None:
        reads_on = self._window_start < offset <= self._window_start + len(self._window)
        self._window_bytes = min(2 * self._window_bytes, MAX_WINDOW_BYTES) if reads_on else WINDOW_BYTES
        wanted = min(max(length, self._window_bytes), self.size - offset)
        if self._reads_left == 0 or wanted > self._bytes_left:
            raise NotAPhotoError("The header is scattered over too many places of the file.")
        self._reads_left -= 1
        self._bytes_left -= wanted
        self._window = self._read_at(offset, wanted)
        self._window_start = offset
        if len(self._window) < length:
            raise NotAPhotoError("The file ends within its header.")
