"""HEIC and AVIF: images in the HEIF container (ISO/IEC 23008-12), whose boxes are those of MP4 (ISO/IEC 14496-12).

The size is the `ispe` property of the primary item. Of a photo stored in tiles, as phones do, the primary item is the
grid that joins them, so the size is that of the whole.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from .reader import HeaderReader, NotAPhotoError

HEIC_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"})
AVIF_BRANDS = frozenset({b"avif", b"avis"})
# Any codec within HEIF: the brands behind it and the primary item tell which.
STRUCTURAL_BRANDS = frozenset({b"mif1", b"mif2", b"msf1", b"miaf"})
CODEC_FORMATS = {b"hvc1": "heic", b"av01": "avif"}
DERIVED_ITEMS = frozenset({b"grid", b"iovl", b"iden"})

MAX_BOXES = 64  # side by side, other than items and their properties
MAX_ITEMS = 4096  # a photo of 200 megapixels has about eight hundred
MAX_BRANDS_BYTES = 1024
MAX_ASSOCIATIONS_BYTES = 128 * 1024


@dataclass(frozen=True)
class Box:
    kind: bytes
    start: int  # of what it holds, behind its own header
    end: int


def signature(first_bytes: bytes) -> str | None:
    if first_bytes[4:8] != b"ftyp" or not 16 <= int.from_bytes(first_bytes[:4], "big") <= MAX_BRANDS_BYTES:
        return None
    major, compatible = first_bytes[8:12], first_bytes[16:]
    if major in STRUCTURAL_BRANDS:
        brands = {compatible[at : at + 4] for at in range(0, len(compatible), 4)}
        return "avif" if brands & AVIF_BRANDS else "heic"
    if major in AVIF_BRANDS:
        return "avif"
    return "heic" if major in HEIC_BRANDS else None  # otherwise MP4, MOV or another relative


def read(file: HeaderReader) -> tuple[str, int, int]:
    """("heic" or "avif", width, height) as stored, before any rotation or cropping that the container asks for."""
    brands_format = signature(file.take(0, file.uint(0, 4)))
    meta = child(file, boxes(file, 0, file.size), b"meta", header_bytes=4)
    primary = primary_item(file, meta)
    kind = item_kind(file, meta, primary)
    if kind not in CODEC_FORMATS and kind not in DERIVED_ITEMS:
        raise NotAPhotoError("The HEIF's image is neither HEVC nor AV1.")
    return CODEC_FORMATS.get(kind, brands_format), *item_dimensions(file, meta, primary)


def boxes(file: HeaderReader, start: int, end: int, limit: int = MAX_BOXES) -> Iterator[Box]:
    """The boxes side by side between two offsets."""
    for _ in range(limit):
        if start == end:
            return
        length, kind, header = file.uint(start, 4), file.take(start + 4, 4), 8
        if length == 1:
            length, header = file.uint(start + 8, 8), 16
        elif length == 0:  # to the end
            length = end - start
        if not header <= length <= end - start:
            raise NotAPhotoError("The HEIF has a box shorter than its own header, or longer than there is room.")
        yield Box(kind, start + header, start + length)
        start += length
    raise NotAPhotoError("The HEIF has too many boxes.")


def child(file: HeaderReader, siblings: Iterator[Box], kind: bytes, *, header_bytes: int = 0) -> Box:
    """The first box of a kind, its own version, flags or counter (`header_bytes`) left out."""
    for box in siblings:
        if box.kind == kind:
            return Box(kind, box.start + header_bytes, box.end)
    raise NotAPhotoError(f"The HEIF lacks the {kind.decode()} box.")


def primary_item(file: HeaderReader, meta: Box) -> int:
    """The id of the image that stands for the file."""
    box = child(file, boxes(file, meta.start, meta.end), b"pitm", header_bytes=4)
    version = file.uint(box.start - 4, 1)
    return file.uint(box.start, 4 if version else 2)


def item_kind(file: HeaderReader, meta: Box, item: int) -> bytes:
    """How an item is coded, such as b"hvc1", b"av01" or b"grid"."""
    items = child(file, boxes(file, meta.start, meta.end), b"iinf", header_bytes=4)
    count_bytes = 4 if file.uint(items.start - 4, 1) else 2
    for box in boxes(file, items.start + count_bytes, items.end, MAX_ITEMS):
        version = file.uint(box.start, 1)
        id_bytes = 4 if version == 3 else 2
        if box.kind == b"infe" and version in (2, 3) and file.uint(box.start + 4, id_bytes) == item:
            return file.take(box.start + 4 + id_bytes + 2, 4)
    raise NotAPhotoError("The HEIF does not say how its primary image is coded.")


def item_dimensions(file: HeaderReader, meta: Box, item: int) -> tuple[int, int]:
    """(width, height) from the item's `ispe` property."""
    properties = child(file, boxes(file, meta.start, meta.end), b"iprp")
    container = child(file, boxes(file, properties.start, properties.end), b"ipco")
    indices = associated_properties(file, properties, item)
    for index, box in enumerate(boxes(file, container.start, container.end, MAX_ITEMS), start=1):
        if box.kind == b"ispe" and index in indices:
            if box.end - box.start != 12:
                break
            return file.uint(box.start + 4, 4), file.uint(box.start + 8, 4)
    raise NotAPhotoError("The HEIF does not say how large its primary image is.")


def associated_properties(file: HeaderReader, properties: Box, item: int) -> set[int]:
    """The places, counted from 1, of the item's properties in `ipco`."""
    indices: set[int] = set()
    for box in boxes(file, properties.start, properties.end):
        if box.kind == b"ipma":
            indices |= read_associations(file, box, item)
    return indices


def read_associations(file: HeaderReader, box: Box, item: int) -> set[int]:
    if not 8 <= box.end - box.start <= MAX_ASSOCIATIONS_BYTES:
        raise NotAPhotoError("The HEIF's table of properties has an impossible length.")
    table = file.take(box.start, box.end - box.start)
    id_bytes = 4 if table[0] else 2
    index_bytes = 2 if table[3] & 1 else 1
    mask = 0x7FFF if index_bytes == 2 else 0x7F  # the top bit says whether a reader must understand the property
    at = 8
    for _ in range(int.from_bytes(table[4:8], "big")):
        first = at + id_bytes + 1
        if first > len(table):
            break
        found, count = int.from_bytes(table[at : at + id_bytes], "big"), table[first - 1]
        at = first + count * index_bytes
        if found == item:
            return {int.from_bytes(table[i : i + index_bytes], "big") & mask for i in range(first, at, index_bytes)}
    return set()
