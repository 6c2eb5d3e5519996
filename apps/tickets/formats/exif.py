"""EXIF (CIPA DC-008) within photos of other formats: a TIFF in small, whose first directory has the orientation.

EXIF that cannot be read is no reason to refuse a photo: viewers show such a photo as it is stored.
"""

from .directory import layout_of, orientation_of, read_entries
from .reader import HeaderReader, NotAPhotoError

PREFIX = b"Exif\x00"  # and a byte that is 0 in most files
PREFIX_BYTES = 6
SHORTEST = 8 + 2 + 12


def orientation(file: HeaderReader, start: int, end: int) -> int:
    """Returns 1 to 8, from the EXIF between two offsets, with or without its prefix; 1 where none can be read."""
    end = min(end, file.size)
    if end - start < SHORTEST:
        return 1
    try:
        if file.take(start, PREFIX_BYTES).startswith(PREFIX):
            start += PREFIX_BYTES
        layout = layout_of(file.take(start, 8))
        if layout is None:
            return 1
        directory = start + file.uint(start + layout.first_directory_at, layout.pointer_bytes, layout.byteorder)
        return orientation_of(read_entries(file, layout, directory, end=end), layout)
    except NotAPhotoError:
        return 1
