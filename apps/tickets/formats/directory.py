"""Directories of tags, as TIFF 6.0, BigTIFF and EXIF have them."""

import struct
from dataclasses import dataclass
from typing import NamedTuple

from .reader import HeaderReader, NotAPhotoError

MAX_ENTRIES = 1024  # TIFF defines about a hundred tags, DNG another hundred
ORIENTATION = 274
# BYTE, SHORT, LONG, IFD and, in BigTIFF, LONG8 and IFD8, by the number that names the type.
INTEGER_BYTES = {1: 1, 3: 2, 4: 4, 13: 4, 16: 8, 18: 8}


@dataclass(frozen=True)
class Layout:
    """Where the fields of a TIFF lie: BigTIFF widens all that counts or points from 2 or 4 bytes to 8."""

    byteorder: str
    first_directory_at: int
    pointer_bytes: int
    count_bytes: int
    entry: struct.Struct  # the fields of an Entry

    @property
    def entry_bytes(self) -> int:
        return self.entry.size


LAYOUTS = {
    b"II*\x00": Layout("little", 4, 4, 2, struct.Struct("<HHI4s")),
    b"MM\x00*": Layout("big", 4, 4, 2, struct.Struct(">HHI4s")),
    b"II+\x00\x08\x00\x00\x00": Layout("little", 8, 8, 8, struct.Struct("<HHQ8s")),
    b"MM\x00+\x00\x08\x00\x00": Layout("big", 8, 8, 8, struct.Struct(">HHQ8s")),
}


class Entry(NamedTuple):
    tag: int
    kind: int
    count: int
    value: bytes  # itself, or where it lies when it is too long for the entry


def layout_of(first_bytes: bytes) -> Layout | None:
    return next((layout for magic, layout in LAYOUTS.items() if first_bytes.startswith(magic)), None)


def read_entries(file: HeaderReader, layout: Layout, directory: int, *, end: int) -> list[Entry]:
    """Returns the entries of the directory at an offset, none of which may reach beyond `end`."""
    entries_at = directory + layout.count_bytes
    count = file.uint(directory, layout.count_bytes, layout.byteorder) if entries_at <= end else 0
    if not 1 <= count <= MAX_ENTRIES or entries_at + count * layout.entry_bytes > end:
        raise NotAPhotoError(f"A directory of tags has {count} entries, or reaches beyond its end.")
    table = file.take(entries_at, count * layout.entry_bytes)
    return [Entry._make(fields) for fields in layout.entry.iter_unpack(table)]


def integer_of(entry: Entry, layout: Layout) -> int | None:
    """Returns the entry's one integer; None when it has several, or another type."""
    length = INTEGER_BYTES.get(entry.kind, 0)
    if entry.count != 1 or not 0 < length <= layout.pointer_bytes:
        return None
    return int.from_bytes(entry.value[:length], layout.byteorder)


def orientation_of(entries: list[Entry], layout: Layout) -> int:
    """Returns 1 to 8; 1 without the tag or with an undefined value, as every viewer shows it."""
    for entry in entries:
        if entry.tag == ORIENTATION:
            value = integer_of(entry, layout)
            return value if value in range(1, 9) else 1
    return 1
