"""TIFF (TIFF 6.0, and BigTIFF): the first directory of tags, which may lie at the very end of the file."""

from .claims import claims_of
from .directory import LAYOUTS, Entry, Layout, integer_of, layout_of, orientation_of, read_entries
from .raw import is_raw_tiff
from .reader import HeaderReader, NotAPhotoError, RawFileError
from .stored import Stored

WIDTH, HEIGHT = 256, 257
# StripOffsets, TileOffsets, and the JPEGInterchangeFormat of old-style JPEG within TIFF.
PIXEL_DATA = frozenset({273, 324, 513})


def signature(first_bytes: bytes) -> str | None:
    return "tiff" if first_bytes.startswith(tuple(LAYOUTS)) else None


def read(file: HeaderReader) -> Stored:
    """Returns how the first page is stored. Raises RawFileError for a raw file."""
    layout = layout_of(file.start(8))
    directory = file.uint(layout.first_directory_at, layout.pointer_bytes, layout.byteorder)
    if directory < layout.first_directory_at + layout.pointer_bytes:
        raise NotAPhotoError("The TIFF's first directory would lie within its header.")
    entries = read_entries(file, layout, directory, end=file.size)
    if is_raw_tiff(file, layout, directory, entries):
        raise RawFileError
    if not PIXEL_DATA & {entry.tag for entry in entries}:
        raise NotAPhotoError("The TIFF's first directory describes no image.")
    width, height = (single_integer(entries, tag, layout) for tag in (WIDTH, HEIGHT))
    return Stored("tiff", width, height, orientation_of(entries, layout), claims=claims_of(file, layout, entries))


def single_integer(entries: list[Entry], tag: int, layout: Layout) -> int:
    values = {integer_of(entry, layout) for entry in entries if entry.tag == tag}
    if len(values) != 1:  # decoders differ on which of two counts
        raise NotAPhotoError("The TIFF's first directory describes no image, or has two sizes.")
    value = values.pop()
    if value is None:
        raise NotAPhotoError("The TIFF's width or height is no integer.")
    return value
