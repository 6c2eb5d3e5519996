"""TIFF (TIFF 6.0, and BigTIFF): the first directory of tags, which may lie at the very end of the file."""

from dataclasses import dataclass

from .reader import HeaderReader, NotAPhotoError

MAX_ENTRIES = 1024  # TIFF defines about a hundred tags, DNG another hundred
WIDTH, HEIGHT = 256, 257
# StripOffsets, TileOffsets, and the JPEGInterchangeFormat of old-style JPEG within TIFF.
PIXEL_DATA = frozenset({273, 324, 513})
# SHORT, LONG and, in BigTIFF, LONG8, by the number that names the type.
INTEGER_BYTES = {3: 2, 4: 4, 16: 8}


@dataclass(frozen=True)
class Layout:
    """Where the fields of a TIFF lie: BigTIFF widens all that counts or points from 2 or 4 bytes to 8."""

    byteorder: str
    first_directory_at: int
    pointer_bytes: int
    count_bytes: int

    @property
    def entry_bytes(self) -> int:
        return 4 + 2 * self.pointer_bytes


LAYOUTS = {
    b"II*\x00": Layout("little", 4, 4, 2),
    b"MM\x00*": Layout("big", 4, 4, 2),
    b"II+\x00\x08\x00\x00\x00": Layout("little", 8, 8, 8),
    b"MM\x00+\x00\x08\x00\x00": Layout("big", 8, 8, 8),
}


def signature(first_bytes: bytes) -> str | None:
    return "tiff" if first_bytes.startswith(tuple(LAYOUTS)) else None


def read(file: HeaderReader) -> tuple[str, int, int]:
    """("tiff", width, height) of the first page: of a raw file like DNG or CR2 that may be its preview."""
    start = file.start(8)
    layout = next(layout for magic, layout in LAYOUTS.items() if start.startswith(magic))
    directory = file.uint(layout.first_directory_at, layout.pointer_bytes, layout.byteorder)
    if directory < layout.first_directory_at + layout.pointer_bytes:
        raise NotAPhotoError("The TIFF's first directory would lie within its header.")
    tags = read_directory(file, layout, directory)
    if WIDTH not in tags or HEIGHT not in tags or not PIXEL_DATA & tags.keys():
        raise NotAPhotoError("The TIFF's first directory describes no image.")
    return "tiff", tags[WIDTH], tags[HEIGHT]


def read_directory(file: HeaderReader, layout: Layout, directory: int) -> dict[int, int]:
    """The directory's tags that matter here, each with its integer (of the tags for pixel data just 0)."""
    count = file.uint(directory, layout.count_bytes, layout.byteorder)
    if not 1 <= count <= MAX_ENTRIES:
        raise NotAPhotoError(f"The TIFF's first directory has {count} entries.")
    entries = file.take(directory + layout.count_bytes, count * layout.entry_bytes)
    tags: dict[int, int] = {}
    for at in range(0, len(entries), layout.entry_bytes):
        entry = entries[at : at + layout.entry_bytes]
        tag = int.from_bytes(entry[:2], layout.byteorder)
        if tag in (WIDTH, HEIGHT):
            if tags.setdefault(tag, single_integer(entry, layout)) != single_integer(entry, layout):
                raise NotAPhotoError("The TIFF's first directory has two sizes.")  # decoders differ on which counts
        elif tag in PIXEL_DATA:
            tags[tag] = 0
    return tags


def single_integer(entry: bytes, layout: Layout) -> int:
    length = INTEGER_BYTES.get(int.from_bytes(entry[2:4], layout.byteorder), 0)
    count = int.from_bytes(entry[4 : 4 + layout.pointer_bytes], layout.byteorder)
    if count != 1 or not 0 < length <= layout.pointer_bytes:
        raise NotAPhotoError("The TIFF's width or height is no integer.")
    value_at = 4 + layout.pointer_bytes
    return int.from_bytes(entry[value_at : value_at + length], layout.byteorder)
