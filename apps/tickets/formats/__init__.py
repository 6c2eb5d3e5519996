"""What is a photo, decided by the file's own bytes and not by its name or Content-Type.

Only headers are read, in few and small reads, and no pixel is ever decoded: a decoder in the web process would be the
softest target a hostile file could wish for. The formats are those that Cloudinary takes as photographs.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from . import bmp, gif, heif, jpeg, png, tiff, webp
from .claims import Claims
from .raw import has_raw_signature
from .reader import EncodedPhotoError, HeaderReader, NotAPhotoError, RawFileError

__all__ = ["EncodedPhotoError", "NotAPhotoError", "PhotoHeader", "RawFileError", "read_header", "sniff_format"]

SIGNATURE_BYTES = 32
# How a data URL begins, and a JPEG, PNG, GIF, WebP, HEIC or AVIF, TIFF in base64.
BASE64 = re.compile(rb"\s*\"?(data:image/|/9j/|iVBORw0KGgo|R0lGOD[dl]h|UklGR|AAAA..Z0eXB|SUkqAA|TU0AKg)")
FAMILIES = {"jpeg": jpeg, "png": png, "gif": gif, "webp": webp, "heic": heif, "avif": heif, "tiff": tiff, "bmp": bmp}


@dataclass(frozen=True)
class PhotoHeader:
    """What a photo's header says: its format, and its size in pixels as a person sees it, turned and cropped.

    `orientation` is how it is stored, in EXIF's numbers (1 to 8). Of a photo with several frames or pages it is the
    canvas, or the first page. `pixels` are those that a decoder makes of it, cropped or not. `claims` are what it
    says of itself by EXIF.
    """

    format: str
    width: int
    height: int
    orientation: int
    pixels: int
    claims: Claims

    @property
    def content_type(self) -> str:
        return f"image/{self.format}"


def sniff_format(first_bytes: bytes) -> str:
    """Returns the format that the first bytes announce: "jpeg", "png", "gif", "webp", "heic", "avif", "tiff" or "bmp".

    Takes the first 32 bytes of the file, or all of a shorter one. It looks at the signature alone, to refuse most other
    files before the rest of them arrives; `read_header` has the last word, also on HEIC or AVIF.
    Raises NotAPhotoError, its RawFileError and EncodedPhotoError where it knows more.
    """
    if not first_bytes:
        raise NotAPhotoError("The file is empty.")
    if has_raw_signature(first_bytes):
        raise RawFileError
    for family in (jpeg, png, gif, webp, heif, tiff, bmp):
        if found := family.signature(first_bytes):
            return found
    if BASE64.match(first_bytes):
        raise EncodedPhotoError
    raise NotAPhotoError("The content is not a JPEG, PNG, GIF, WebP, HEIC, AVIF, TIFF or BMP image.")


def read_header(read_at: Callable[[int, int], bytes], *, size: int) -> PhotoHeader:
    """Returns the header of a photo of `size` bytes, checked up to where its pixel data begins.

    `read_at(offset, length)` returns up to `length` bytes from `offset`, fewer only at the file's end. It is called at
    most `reader.MAX_READS` times: for a few KiB each, and for more where a JPEG goes on and on between two segments. A
    file cut within its pixel data passes, one cut within its header does not. Raises NotAPhotoError,
    and whatever `read_at` raises.
    """
    file = HeaderReader(read_at, size=size)
    sniffed = sniff_format(file.start(SIGNATURE_BYTES))
    format, width, height, orientation, crop, claims = FAMILIES[sniffed].read(file)
    if not (width and height):
        raise NotAPhotoError(f"The {format.upper()} header says {width} x {height} pixels.")
    shown = crop or (width, height)
    if orientation > 4:
        shown = shown[::-1]
    return PhotoHeader(format, *shown, orientation=orientation, pixels=width * height, claims=claims)
