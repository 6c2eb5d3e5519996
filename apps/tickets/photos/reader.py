"""Bounded reading of a file's header: every format is read through this, so none can be made to read without end."""

from collections.abc import Callable

WINDOW_BYTES = 4096
# A camera's JPEG takes one to thirty reads, with an embedded preview or depth map up to two hundred 64 KiB segments.
MAX_READS = 256


class NotAPhotoError(Exception):
    """The content is not a photo in a format we take; the message says why, in words fit for the client."""


class HeaderReader:
    """Reads single fields of a file through one window, which moves forward as the fields are asked for.

    All offsets count from the start of the file. Asking for bytes beyond its end raises NotAPhotoError, and so does
    asking for too many places: the work on any file, however hostile, is MAX_READS reads and no more.
    """

    def __init__(self, read_at: Callable[[int, int], bytes], *, size: int) -> None:
        self.size = size
        self._read_at = read_at
        self._reads_left = MAX_READS
        self._window = b""
        self._window_start = 0

    def start(self, length: int) -> bytes:
        """The first `length` bytes, or all of a file that is shorter."""
        return self.take(0, min(length, self.size))

    def take(self, offset: int, length: int) -> bytes:
        """Exactly `length` bytes from `offset`."""
        if offset + length > self.size:
            raise NotAPhotoError("The file ends within its header.")
        begin = offset - self._window_start
        if begin < 0 or begin + length > len(self._window):
            self._move_window(offset, length)
            begin = 0
        return self._window[begin : begin + length]

    def uint(self, offset: int, length: int, byteorder: str = "big") -> int:
        """The unsigned integer in `length` bytes at `offset`."""
        return int.from_bytes(self.take(offset, length), byteorder)

    def _move_window(self, offset: int, length: int) -> None:
        if self._reads_left == 0:
            raise NotAPhotoError("The header is scattered over too many places of the file.")
        self._reads_left -= 1
        self._window = self._read_at(offset, min(max(length, WINDOW_BYTES), self.size - offset))
        self._window_start = offset
        if len(self._window) < length:
            raise NotAPhotoError("The file ends within its header.")
