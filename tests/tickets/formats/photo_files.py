"""Files for the tests of apps.tickets.formats: whole photos by Pillow, and single parts to build odd ones from."""

import io
import struct
import zlib
from functools import cache

import pillow_heif
from PIL import Image

pillow_heif.register_heif_opener()

FORMATS = ("jpeg", "png", "gif", "webp", "heic", "avif", "tiff", "bmp")
WIDTH, HEIGHT = 96, 64


def saved(image: Image.Image, format: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format="HEIF" if format == "heic" else format.upper(), **options)
    return buffer.getvalue()


@cache
def tiny(format: str) -> bytes:
    """A valid photo of 96 x 64 pixels."""
    return saved(Image.linear_gradient("L").resize((WIDTH, HEIGHT)).convert("RGB"), format)


def segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def jpeg_frame(width: int = WIDTH, height: int = HEIGHT, *, marker: int = 0xC0, precision: int = 8) -> bytes:
    return segment(marker, struct.pack(">BHHB", precision, height, width, 1) + b"\x01\x11\x00")


def jpeg(*segments: bytes) -> bytes:
    """A JPEG of the given segments, a scan header and a few bytes of a scan."""
    return b"\xff\xd8" + b"".join(segments) + segment(0xDA, b"\x01\x01\x00\x00\x3f\x00") + b"\x2a" * 16


def png_chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(
    width: int = WIDTH, height: int = HEIGHT, *, kind: bytes = b"\x08\x02\x00\x00\x00", chunks: bytes = b""
) -> bytes:
    """A PNG up to the name of its IDAT chunk; `kind` is bit depth, colour type, compression, filter, interlacing."""
    ihdr = png_chunk(b"IHDR", struct.pack(">II", width, height) + kind)
    return b"\x89PNG\r\n\x1a\n" + ihdr + chunks + struct.pack(">I", 999) + b"IDAT"


def gif(
    width: int, height: int, *, blocks: bytes = b"", frame: tuple[int, ...] = (0, 0, 1, 1), code_size: int = 2
) -> bytes:
    screen = b"GIF89a" + struct.pack("<HHBBB", width, height, 0, 0, 0)
    return screen + blocks + b"," + struct.pack("<HHHHBB", *frame, 0, code_size) + b"\x01\x00\x00;"


def riff(*chunks: bytes) -> bytes:
    body = b"WEBP" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def riff_chunk(name: bytes, body: bytes) -> bytes:
    return name + struct.pack("<I", len(body)) + body + b"\x00" * (len(body) % 2)


def vp8x(width: int, height: int, flags: int = 0) -> bytes:
    canvas = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return riff_chunk(b"VP8X", bytes([flags, 0, 0, 0]) + canvas)


def vp8l(width: int, height: int) -> bytes:
    return riff_chunk(b"VP8L", b"\x2f" + struct.pack("<I", width - 1 | height - 1 << 14) + b"\x00" * 8)


def tiff(*entries: tuple, order: str = "<", next: tuple = (), at: int = 8) -> bytes:
    """A TIFF whose directory at an offset has the given (tag, type, count, value) entries.

    A value is a number, the bytes of one too long for its entry, or a list of directories that it shall point to.
    `next` are the entries of a directory (page) that follows.
    """
    magic = b"II*\x00" if order == "<" else b"MM\x00*"
    file = bytearray(magic + struct.pack(order + "I", at)).ljust(at, b"\0")
    write_directory(file, entries, order, next)
    return bytes(file) + bytes(8)


def write_directory(file: bytearray, entries: tuple, order: str, next: tuple = ()) -> None:
    start = len(file)
    pointer_at = start + 2 + 12 * len(entries)
    file += struct.pack(order + "H", len(entries)) + bytes(12 * len(entries) + 4)
    for number, (tag, kind, count, value) in enumerate(entries):
        if isinstance(value, list):
            value = write_directories(file, value, order)
        elif isinstance(value, bytes):
            file += value
            value = len(file) - len(value)
        short = kind == 3 and order == ">"  # a SHORT lies to the left in its four bytes
        struct.pack_into(order + "HHII", file, start + 2 + 12 * number, tag, kind, count, value << 16 * short)
    if next:
        struct.pack_into(order + "I", file, pointer_at, len(file))
        write_directory(file, next, order)


def write_directories(file: bytearray, directories: list, order: str) -> int:
    """Answers what an entry holds that points to them: where the one is, or where the list of several is."""
    starts = []
    for entries in directories:
        starts.append(len(file))
        write_directory(file, entries, order)
    if len(starts) == 1:
        return starts[0]
    file += struct.pack(f"{order}{len(starts)}I", *starts)
    return len(file) - 4 * len(starts)


def exif(orientation: int, *, order: str = ">", kind: int = 3) -> bytes:
    """EXIF with nothing but the orientation, without its prefix."""
    return tiff((274, kind, 1, orientation), order=order)


MAKE, MODEL, EXIF, GPS = 271, 272, 0x8769, 0x8825
CAPTURED, OFFSET, FRACTION = 0x9003, 0x9011, 0x9291
NOON = "2026:11:26 12:00:00"
WARSAW = ((52, 1), (13, 1), (4692, 100)), ((21, 1), (0, 1), (4428, 100))


def text_entry(tag: int, content: str | bytes, order: str, *, kind: int = 2, count: int | None = None) -> tuple:
    content = (content.encode() if isinstance(content, str) else content) + b"\0"
    value = content
    if (count or len(content)) <= 4:
        value = int.from_bytes(content.ljust(4, b"\0"), "little" if order == "<" else "big")
    return tag, kind, count or len(content), value


def fractions_entry(tag: int, pairs, order: str, *, kind: int = 5) -> tuple:
    numbers = [number for pair in pairs for number in pair]
    return tag, kind, len(pairs), struct.pack(f"{order}{len(numbers)}{'i' if kind == 10 else 'I'}", *numbers)


def claiming_entries(
    order: str = "<",
    *,
    make="Canon",
    model="EOS 7D",
    captured=NOON,
    offset="+01:00",
    fraction="25",
    latitude=WARSAW[0],
    latitude_ref="N",
    longitude=WARSAW[1],
    longitude_ref="E",
    kind: int = 5,
    more: tuple = (),
) -> tuple:
    """Of a first directory that claims all there is; None leaves a tag out."""
    first = [text_entry(tag, value, order) for tag, value in ((MAKE, make), (MODEL, model)) if value is not None]
    exif = [
        text_entry(tag, value, order)
        for tag, value in ((CAPTURED, captured), (OFFSET, offset), (FRACTION, fraction))
        if value is not None
    ]
    gps = [text_entry(tag, value, order) for tag, value in ((1, latitude_ref), (3, longitude_ref)) if value is not None]
    gps += [fractions_entry(tag, value, order, kind=kind) for tag, value in ((2, latitude), (4, longitude)) if value]
    directories = [(tag, 4, 1, [directory]) for tag, directory in ((EXIF, exif), (GPS, gps)) if directory]
    return (*first, *directories, *more)


def jpeg_that_claims(**claims) -> bytes:
    """A JPEG whose EXIF claims what `claiming_entries` says."""
    return jpeg(segment(0xE1, b"Exif\0\0" + tiff(*claiming_entries(**claims))), jpeg_frame())


TIFF_SIZE = ((256, 4, 1, WIDTH), (257, 4, 1, HEIGHT), (273, 4, 1, 8))


def bmp(
    width: int,
    height: int,
    *,
    bits: int = 24,
    planes: int = 1,
    compression: int = 0,
    offset: int = 54,
    header_bytes: int = 40,
) -> bytes:
    info = struct.pack("<IiiHHIIIIII", header_bytes, width, height, planes, bits, compression, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 0, 0, 0, offset) + info + b"\x00" * 16


def box(kind: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I", 8 + len(body)) + kind + body


def full_box(kind: bytes, *parts: bytes, version: int = 0) -> bytes:
    return box(kind, bytes([version, 0, 0, 0]), *parts)


def ftyp(major: bytes, *compatible: bytes) -> bytes:
    return box(b"ftyp", major, b"\x00" * 4, *compatible)


def meta(
    *,
    item_kind: bytes = b"hvc1",
    primary: int = 1,
    associated: tuple[int, ...] = (2,),
    sizes=((512, 512), (WIDTH, HEIGHT)),
    properties: tuple[bytes, ...] = (),
    exif: bytes = b"",
) -> bytes:
    """A `meta` box with the items 1 (of the kind) and 2 (a thumbnail), as many `ispe` as there are sizes, and more
    properties behind these, all of which are associated with item 1. With `exif`, which lies in `idat`, as item 3.
    """
    associated += tuple(range(len(sizes) + 1, len(sizes) + len(properties) + 1))
    infe = [
        full_box(b"infe", struct.pack(">HH", item, 0), kind, b"\x00", version=2)
        for item, kind in ((2, b"hvc1"), (1, item_kind), *([(3, b"Exif")] if exif else []))
    ]
    iloc = struct.pack(">BBHHHHHII", 0x44, 0, 1, 3, 1, 0, 1, 0, 10 + len(exif))
    location = [
        full_box(b"iloc", iloc, version=1),
        box(b"idat", struct.pack(">I", 6), b"Exif\0\0", exif),
    ]
    ispe = [full_box(b"ispe", struct.pack(">II", *size)) for size in sizes]
    ipma = struct.pack(">IHBBHB", 2, 2, 1, 1, 1, len(associated)) + bytes(0x80 | index for index in associated)
    return full_box(
        b"meta",
        full_box(b"hdlr", b"\x00" * 4, b"pict", b"\x00" * 13),
        full_box(b"pitm", struct.pack(">H", primary)),
        full_box(b"iinf", struct.pack(">H", len(infe)), *infe),
        box(b"iprp", box(b"ipco", *ispe, *properties), full_box(b"ipma", ipma)),
        *(location if exif else []),
    )


def irot(quarters_anticlockwise: int) -> bytes:
    return box(b"irot", bytes([quarters_anticlockwise]))


def imir(axis: int) -> bytes:
    """0 exchanges top and bottom, 1 left and right."""
    return box(b"imir", bytes([axis]))


def clap(width: int, height: int, denominator: int = 1) -> bytes:
    """A clean aperture of width / denominator by height / denominator, in the middle."""
    return box(b"clap", struct.pack(">IIIIiIiI", width, denominator, height, denominator, 0, 1, 0, 1))


HEIC = ftyp(b"heic", b"mif1", b"heic")
