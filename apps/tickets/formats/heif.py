"""HEIC and AVIF: images in the HEIF container (ISO/IEC 23008-12), whose boxes are those of MP4 (ISO/IEC 14496-12).

The size is the `ispe` property of the primary item. Of a photo stored in tiles, as phones do, the primary item is the
grid that joins them, so the size is that of the whole. Other properties crop it (`clap`), turn it (`irot`) or mirror it
(`imir`), in the order in which they are associated.

EXIF names a turn again in photos of phones, and is not applied then. In a file of the brand `miaf`, which all AVIFs
have, it never is (ISO/IEC 23000-22, 7.3.10.1); in others without `irot` and `imir` it counts, as on Apple's systems.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import tee

from . import exif
from .reader import HeaderReader, NotAPhotoError
from .stored import Stored, mirrored, turned

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
MAX_LOCATIONS_BYTES = 128 * 1024
EXIF_IS_INFORMATIVE = b"miaf"


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


def read(file: HeaderReader) -> Stored:
    """Returns how the primary item is stored."""
    file_type = file.take(0, file.uint(0, 4))
    brands_format = signature(file_type)
    meta = child(file, boxes(file, 0, file.size), b"meta", header_bytes=4)
    primary = primary_item(file, meta)
    listed, listed_again = tee(items(file, meta))  # a phone's photo has fifty
    kind = item_kind(listed, primary)
    if kind not in CODEC_FORMATS and kind not in DERIVED_ITEMS:
        raise NotAPhotoError("The HEIF's image is neither HEVC nor AV1.")
    format = CODEC_FORMATS.get(kind, brands_format)
    properties = item_properties(file, meta, primary)
    width, height = dimensions(file, properties)
    orientation, crop = transformation(file, properties, width, height)
    turned_by_exif, claims = read_exif(file, meta, listed_again)
    if orientation is None:
        brands = {file_type[at : at + 4] for at in range(8, len(file_type), 4)}
        orientation = 1 if EXIF_IS_INFORMATIVE in brands else turned_by_exif
    return Stored(format, width, height, orientation, crop, claims)


def boxes(file: HeaderReader, start: int, end: int, limit: int = MAX_BOXES) -> Iterator[Box]:
    """Yields the boxes side by side between two offsets."""
    for _ in range(limit):
        if start == end:
            return
        begin = file.take(start, 8)
        length, kind, header = int.from_bytes(begin[:4], "big"), begin[4:], 8
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
    """Returns the first box of a kind, its own version, flags or counter (`header_bytes`) left out."""
    for box in siblings:
        if box.kind == kind:
            return Box(kind, box.start + header_bytes, box.end)
    raise NotAPhotoError(f"The HEIF lacks the {kind.decode()} box.")


def primary_item(file: HeaderReader, meta: Box) -> int:
    """Returns the id of the image that stands for the file."""
    box = child(file, boxes(file, meta.start, meta.end), b"pitm", header_bytes=4)
    version = file.uint(box.start - 4, 1)
    return file.uint(box.start, 4 if version else 2)


def item_kind(listed: Iterator[tuple[int, bytes]], item: int) -> bytes:
    """Returns how an item is coded, such as b"hvc1", b"av01" or b"grid"."""
    for each, kind in listed:
        if each == item:
            return kind
    raise NotAPhotoError("The HEIF does not say how its primary image is coded.")


def item_of_kind(listed: Iterator[tuple[int, bytes]], kind: bytes) -> int:
    for item, each in listed:
        if each == kind:
            return item
    raise NotAPhotoError(f"The HEIF has no item of the kind {kind.decode()}.")


def items(file: HeaderReader, meta: Box) -> Iterator[tuple[int, bytes]]:
    """Yields the id and the kind of each item."""
    table = child(file, boxes(file, meta.start, meta.end), b"iinf", header_bytes=4)
    count_bytes = 4 if file.uint(table.start - 4, 1) else 2
    for box in boxes(file, table.start + count_bytes, table.end, MAX_ITEMS):
        version = file.uint(box.start, 1)
        id_bytes = 4 if version == 3 else 2
        if box.kind == b"infe" and version in (2, 3):
            yield file.uint(box.start + 4, id_bytes), file.take(box.start + 4 + id_bytes + 2, 4)


def item_properties(file: HeaderReader, meta: Box, item: int) -> list[Box]:
    """Returns the properties of an item, in the order in which they are associated with it."""
    properties = child(file, boxes(file, meta.start, meta.end), b"iprp")
    container = child(file, boxes(file, properties.start, properties.end), b"ipco")
    indices = associated_properties(file, properties, item)
    last = max(indices, default=0)
    found = {}
    for index, box in enumerate(boxes(file, container.start, container.end, MAX_ITEMS), start=1):
        if index in indices:
            found[index] = box
        if index >= last:
            break
    return [found[index] for index in indices if index in found]


def dimensions(file: HeaderReader, properties: list[Box]) -> tuple[int, int]:
    """Returns (width, height) by the first `ispe`."""
    for box in properties:
        if box.kind == b"ispe" and box.end - box.start == 12:
            return file.uint(box.start + 4, 4), file.uint(box.start + 8, 4)
    raise NotAPhotoError("The HEIF does not say how large its primary image is.")


def transformation(
    file: HeaderReader, properties: list[Box], width: int, height: int
) -> tuple[int | None, tuple[int, int] | None]:
    """Returns (orientation, width and height left before the turn); None for each that the properties do not name."""
    orientation = crop = None
    for box in properties:
        if box.kind == b"irot":  # by quarters, anticlockwise
            orientation = turned(orientation or 1, -(file.uint(box.start, 1) & 3))
        elif box.kind == b"imir":  # 0: top and bottom change places, 1: left and right
            left_to_right = file.uint(box.start, 1) & 1
            orientation = mirrored(orientation or 1)
            orientation = orientation if left_to_right else turned(orientation, 2)
        elif box.kind == b"clap":
            width, height = crop or (width, height)
            on_its_side = (orientation or 1) > 4
            across, down = (file.take(box.start + at, 8) for at in ((8, 0) if on_its_side else (0, 8)))
            crop = aperture(across, width), aperture(down, height)
    return orientation, crop


def aperture(fraction: bytes, whole: int) -> int:
    """Returns a side of the clean aperture, in whole pixels, no longer than the side that it is cut out of."""
    numerator, denominator = int.from_bytes(fraction[:4], "big"), int.from_bytes(fraction[4:], "big")
    if not (0 < numerator < 2**31 and 0 < denominator < 2**31):
        raise NotAPhotoError("The HEIF crops its image to an impossible size.")
    return min(max(1, (2 * numerator + denominator) // (2 * denominator)), whole)


def read_exif(file: HeaderReader, meta: Box, listed: Iterator[tuple[int, bytes]]) -> exif.Exif:
    """Returns the first item of EXIF; NO_EXIF where there is none that can be read."""
    try:
        item = item_of_kind(listed, b"Exif")
        start, end = item_location(file, meta, item)
        # The data begins with how far behind that number the TIFF lies.
        return exif.read(file, start + 4 + file.uint(start, 4), end)
    except NotAPhotoError:
        return exif.NO_EXIF


def item_location(file: HeaderReader, meta: Box, item: int) -> tuple[int, int]:
    """Returns (start, end) of an item in one piece, in the file or in `idat`."""
    box = child(file, boxes(file, meta.start, meta.end), b"iloc", header_bytes=4)
    if not 4 <= box.end - box.start <= MAX_LOCATIONS_BYTES:
        raise NotAPhotoError("The HEIF's table of locations has an impossible length.")
    version = file.uint(box.start - 4, 1)
    fields = Fields(file.take(box.start, box.end - box.start))
    sizes = fields.uint(2)
    offset_bytes, length_bytes, base_bytes, index_bytes = (sizes >> shift & 15 for shift in (12, 8, 4, 0))
    id_bytes = 2 if version < 2 else 4
    method_bytes = 2 if version else 0
    index_bytes = index_bytes if version else 0
    wanted = item.to_bytes(id_bytes, "big") if item >> 8 * id_bytes == 0 else b""
    for _ in range(fields.uint(id_bytes)):
        # Its id, how its offset counts, which file (0 for this one), where its offsets begin, how many pieces.
        entry = fields.take(id_bytes + method_bytes + 2 + base_bytes + 2)
        extents = int.from_bytes(entry[-2:], "big")
        if entry[:id_bytes] == wanted and extents == 1:
            fields.take(index_bytes)
            start = int.from_bytes(entry[-2 - base_bytes : -2], "big") + fields.uint(offset_bytes)
            if method_bytes and entry[id_bytes + 1] & 15 == 1:
                start += child(file, boxes(file, meta.start, meta.end), b"idat").start
            return start, start + fields.uint(length_bytes)
        fields.take(extents * (index_bytes + offset_bytes + length_bytes))
    raise NotAPhotoError("The HEIF does not say where its EXIF is.")


class Fields:
    """Unsigned integers one behind the other."""

    def __init__(self, table: bytes):
        self._table = table
        self._at = 0

    def uint(self, length: int) -> int:
        return int.from_bytes(self.take(length), "big")

    def take(self, length: int) -> bytes:
        start, self._at = self._at, self._at + length
        if self._at > len(self._table):
            raise NotAPhotoError("The HEIF has a table that is cut off.")
        return self._table[start : self._at]


def associated_properties(file: HeaderReader, properties: Box, item: int) -> list[int]:
    """Returns the places, counted from 1, of the item's properties in `ipco`, in the order of their association."""
    indices: list[int] = []
    for box in boxes(file, properties.start, properties.end):
        if box.kind == b"ipma":
            indices += read_associations(file, box, item)
    return indices


def read_associations(file: HeaderReader, box: Box, item: int) -> list[int]:
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
            return [int.from_bytes(table[i : i + index_bytes], "big") & mask for i in range(first, at, index_bytes)]
    return []
