"""EXIF (CIPA DC-008) within photos of other formats: a TIFF in small, whose first directory has the orientation, and
with two more what the photo claims of itself.

EXIF that cannot be read is no reason to refuse a photo: viewers show such a photo as it is stored.
"""

from typing import NamedTuple

from .claims import NOTHING_CLAIMED, Claims, claims_of
from .directory import layout_of, orientation_of, read_entries
from .reader import HeaderReader, NotAPhotoError

PREFIX = b"Exif\x00"  # and a byte that is 0 in most files
PREFIX_BYTES = 6
SHORTEST = 8 + 2 + 12
# Of its beginning, where the directories are; behind lie a thumbnail and what a maker keeps for itself.
MOST_BYTES = 64 * 1024


class Exif(NamedTuple):
    orientation: int = 1
    claims: Claims = NOTHING_CLAIMED


NO_EXIF = Exif()


def read(file: HeaderReader, start: int, end: int) -> Exif:
    """Returns the EXIF between two offsets, with or without its prefix; NO_EXIF where none can be read.

    It takes one read of the file, however much it jumps within itself.
    """
    length = min(end, file.size) - start
    if length < SHORTEST:
        return NO_EXIF
    try:
        content = file.take(start, min(length, MOST_BYTES))
        if content.startswith(PREFIX):
            content = content[PREFIX_BYTES:]
        layout = layout_of(content)
        if layout is None:
            return NO_EXIF
        within = HeaderReader(lambda offset, length: content[offset : offset + length], size=len(content))
        directory = within.uint(layout.first_directory_at, layout.pointer_bytes, layout.byteorder)
        entries = read_entries(within, layout, directory, end=within.size)
    except NotAPhotoError:
        return NO_EXIF
    return Exif(orientation_of(entries, layout), claims_of(within, layout, entries))
