"""BMP: the file header and the bitmap header after it, in the versions that Windows and OS/2 wrote."""

import struct

from .reader import HeaderReader, NotAPhotoError
from .stored import Stored

CORE_HEADER_BYTES = 12
# BITMAPCOREHEADER, OS22XBITMAPHEADER short and long, BITMAPINFOHEADER, and its versions 2 to 5.
HEADER_BYTES = frozenset({CORE_HEADER_BYTES, 16, 64, 40, 52, 56, 108, 124})
BITS_PER_PIXEL = frozenset({1, 2, 4, 8, 16, 24, 32})
# BI_RGB, BI_RLE8, BI_RLE4, BI_BITFIELDS, BI_ALPHABITFIELDS. Decoders of photographs do not take the JPEG and PNG that
# a BMP may wrap for printers (4 and 5).
COMPRESSIONS = frozenset({0, 1, 2, 3, 6})


def signature(first_bytes: bytes) -> str | None:
    # Many texts begin with "BM", so a bitmap header of a known length has to follow.
    if first_bytes[:2] == b"BM" and int.from_bytes(first_bytes[14:18], "little") in HEADER_BYTES:
        return "bmp"
    return None


def read(file: HeaderReader) -> Stored:
    """Returns how the bitmap is stored; a negative height, of rows stored from the top, without its sign."""
    data_offset, header_bytes = struct.unpack("<II", file.take(10, 8))
    fields = file.take(14, header_bytes)
    if header_bytes == CORE_HEADER_BYTES:
        width, height, planes, bits = struct.unpack("<HHHH", fields[4:])
        compression = 0
    else:
        width, height, planes, bits = struct.unpack("<iiHH", fields[4:16])
        compression = int.from_bytes(fields[16:20], "little")
    if planes != 1 or bits not in BITS_PER_PIXEL or compression not in COMPRESSIONS or width < 0:
        raise NotAPhotoError("The BMP's header describes no kind of BMP.")
    if not 14 + header_bytes <= data_offset < file.size:
        raise NotAPhotoError("The BMP's pixel data would lie outside of the file.")
    return Stored("bmp", width, abs(height))
