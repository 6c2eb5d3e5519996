"""JPEG (ITU-T T.81): segments of markers and lengths up to the first scan, one of them the frame header."""

import re

from . import exif
from .reader import HeaderReader, NotAPhotoError
from .stored import Stored

# Before the scan. Real files stay below three hundred.
MAX_SEGMENTS = 4096
START_OF_SCAN, EXIF = 0xDA, 0xE1
# What lies between segments is stepped over, as every decoder does: stray bytes (of a marker that was written as 00 E1,
# of a segment longer than it says), fill bytes (B.1.1.2), and RST0 to RST7 and TEM, which have no length.
NEXT_MARKER = re.compile(rb"\xff[^\x00\x01\xff\xd0-\xd7]")
# SOF0 to SOF15 without DHT (C4), JPG (C8) and DAC (CC), which share the range.
FRAME_HEADERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
LOSSLESS = frozenset({0xC3, 0xC7, 0xCB, 0xCF})
# APP0 to APP15, and comments: a decoder needs nothing of them, and takes those that are shorter than their own length.
ADDITIONS = frozenset({*range(0xE0, 0xF0), 0xFE})
# Tables, DRI, DNL, DHP, EXP, JPG0 to JPG13. Anything else has no place before the scan.
OTHER_SEGMENTS = frozenset({0xC4, 0xCC, 0xDB, 0xDC, 0xDD, 0xDE, 0xDF, *range(0xF0, 0xFE)}) | ADDITIONS


def signature(first_bytes: bytes) -> str | None:
    return "jpeg" if first_bytes.startswith(b"\xff\xd8\xff") else None


def read(file: HeaderReader) -> Stored:
    """Returns how the photo is stored, once every segment up to the first scan is found sound."""
    offset = 2
    dimensions = found = None
    for _ in range(MAX_SEGMENTS):
        offset = file.search(NEXT_MARKER, offset, width=2)
        marker = file.uint(offset + 1, 1)
        length = segment_length(file, offset, marker)
        if marker in FRAME_HEADERS:
            if dimensions:  # decoders differ on which would count
                raise NotAPhotoError("The JPEG has two frame headers.")
            dimensions = frame_dimensions(file, offset, marker, length)
        if marker == EXIF and found is None and is_exif(file, offset, length):
            found = exif.read(file, offset + 4, offset + 2 + length)
        if marker == START_OF_SCAN:
            if not dimensions:
                raise NotAPhotoError("The JPEG begins its scan without a frame header.")
            check_scan_header(file, offset, length)
            orientation, claims = found or exif.NO_EXIF
            return Stored("jpeg", *dimensions, orientation, claims=claims)
        offset += 2 + length
    raise NotAPhotoError("The JPEG has no scan where it belongs.")


def segment_length(file: HeaderReader, offset: int, marker: int) -> int:
    if marker not in FRAME_HEADERS and marker not in OTHER_SEGMENTS and marker != START_OF_SCAN:
        raise NotAPhotoError(f"The JPEG has the marker {marker:#04x} where none such belongs.")
    length = file.uint(offset + 2, 2)
    if length < 2 and marker not in ADDITIONS:
        raise NotAPhotoError("The JPEG has a segment shorter than its own length field.")
    return max(length, 2)


def is_exif(file: HeaderReader, offset: int, length: int) -> bool:
    """Returns whether an APP1 segment holds EXIF; others hold XMP."""
    prefix = exif.PREFIX
    return length >= 2 + len(prefix) and file.take(offset + 4, len(prefix)) == prefix


def frame_dimensions(file: HeaderReader, offset: int, marker: int, length: int) -> tuple[int, int]:
    """Returns (width, height) of the frame header at `offset`. A height of 0, left for a later DNL marker, stays 0."""
    precision = file.uint(offset + 4, 1)
    height, width = file.uint(offset + 5, 2), file.uint(offset + 7, 2)
    components = file.uint(offset + 9, 1)
    if not (1 <= components <= 4 and length == 8 + 3 * components):
        raise NotAPhotoError("The JPEG's frame header has a wrong length or number of components.")
    if not (2 <= precision <= 16 if marker in LOSSLESS else precision in (8, 12)):
        raise NotAPhotoError(f"The JPEG has {precision} bits per sample.")
    for _identifier, sampling, _table in zip(*[iter(file.take(offset + 10, 3 * components))] * 3, strict=True):
        if not (1 <= sampling >> 4 <= 4 and 1 <= sampling & 15 <= 4):
            raise NotAPhotoError("The JPEG has a component with an impossible sampling factor.")
    return width, height


def check_scan_header(file: HeaderReader, offset: int, length: int) -> None:
    components = file.uint(offset + 4, 1)
    if not (1 <= components <= 4 and length == 6 + 2 * components):
        raise NotAPhotoError("The JPEG's scan header has a wrong length or number of components.")
    file.take(offset + 5, length - 3)
