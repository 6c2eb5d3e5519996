"""PNG (W3C PNG, third edition): the IHDR chunk with its checksum, then chunks up to the first with pixel data."""

import zlib

from . import exif
from .reader import HeaderReader, NotAPhotoError
from .stored import Stored

SIGNATURE = b"\x89PNG\r\n\x1a\n"
MAX_CHUNKS_BEFORE_DATA = 256
MAX_UINT31 = 2**31 - 1
EXIF = b"eXIf"
TAIL_BYTES = 16 * 1024  # hold the EXIF that some writers put behind the pixel data, in nearly every file
MAX_GUESSES = 16
# Which bit depths each colour type allows (table 11.1 of the specification).
BIT_DEPTHS = {0: {1, 2, 4, 8, 16}, 2: {8, 16}, 3: {1, 2, 4, 8}, 4: {8, 16}, 6: {8, 16}}


def signature(first_bytes: bytes) -> str | None:
    return "png" if first_bytes.startswith(SIGNATURE) else None


def read(file: HeaderReader) -> Stored:
    """Returns how the photo is stored, once IHDR is found sound and followed, sooner or later, by pixel data."""
    width, height = header_dimensions(file)
    found = None
    offset = len(SIGNATURE) + 12 + 13
    for _ in range(MAX_CHUNKS_BEFORE_DATA):
        length, name = file.uint(offset, 4), file.take(offset + 4, 4)
        if name == b"IDAT":
            orientation, claims = found or exif_behind(file, offset)
            return Stored("png", width, height, orientation, claims=claims)
        if length > MAX_UINT31 or not (name.isascii() and name.isalpha()) or name == b"IEND":
            break
        if name == EXIF and found is None:
            found = exif.read(file, offset + 8, offset + 8 + length)
        offset += 12 + length
    raise NotAPhotoError("The PNG has no pixel data where it belongs.")


def header_dimensions(file: HeaderReader) -> tuple[int, int]:
    chunk = file.take(len(SIGNATURE), 12 + 13)
    if chunk[:8] != b"\x00\x00\x00\x0dIHDR" or zlib.crc32(chunk[4:-4]) != int.from_bytes(chunk[-4:], "big"):
        raise NotAPhotoError("The PNG does not begin with a sound IHDR chunk.")
    width, height = int.from_bytes(chunk[8:12], "big"), int.from_bytes(chunk[12:16], "big")
    bit_depth, colour_type, compression, filtering, interlace = chunk[16:21]
    if bit_depth not in BIT_DEPTHS.get(colour_type, ()) or compression or filtering or interlace > 1:
        raise NotAPhotoError("The PNG's header describes no kind of PNG.")
    if width > MAX_UINT31 or height > MAX_UINT31:
        raise NotAPhotoError(f"The PNG header says {width} x {height} pixels.")
    return width, height


def exif_behind(file: HeaderReader, pixel_data: int) -> exif.Exif:
    """Returns the EXIF behind the pixel data, looked for from the end: a thousand chunks may lie between."""
    start = max(pixel_data, file.size - TAIL_BYTES)
    tail = file.take(start, file.size - start)
    at = len(tail)
    for _ in range(MAX_GUESSES):
        at = tail.rfind(EXIF, 4, at)
        if at < 0:
            break
        checksum_at = at + 4 + int.from_bytes(tail[at - 4 : at], "big")
        if zlib.crc32(tail[at:checksum_at]) == int.from_bytes(tail[checksum_at : checksum_at + 4], "big"):
            return exif.read(file, start + at + 4, start + checksum_at)
    return exif.NO_EXIF
