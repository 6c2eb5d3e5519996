"""What is a photo: decided by the file's own bytes, whatever its name or its Content-Type say.

Only headers are read, in few and small reads, and no pixel is ever decoded: a decoder in the web process would be the
softest target a hostile file could wish for. The formats are those that Cloudinary takes as photographs.
"""

from collections.abc import Callable
from dataclasses import dataclass

from . import bmp, gif, heif, jpeg, png, tiff, webp
from .reader import HeaderReader, NotAPhotoError

__all__ = ["NotAPhotoError", "PhotoHeader", "read_header", "sniff_format"]

SIGNATURE_BYTES = 32
FAMILIES = {"jpeg": jpeg, "png": png, "gif": gif, "webp": webp, "heic": heif, "avif": heif, "tiff": tiff, "bmp": bmp}


@dataclass(frozen=True)
class PhotoHeader:
    """What a photo's header says: its format, and its size in pixels as stored, before any rotation for display.

    Of a photo with several frames or pages it is the canvas, or the first page.
    """

    format: str
    width: int
    height: int

    @property
    def content_type(self) -> str:
        return f"image/{self.format}"

    @property
    def pixels(self) -> int:
        return self.width * self.height


def sniff_format(first_bytes: bytes) -> str:
    """Which format the first bytes announce: "jpeg", "png", "gif", "webp", "heic", "avif", "tiff" or "bmp".

    Wants the first 32 bytes of the file, or all of it when it is shorter. It looks at the signature alone, so as to
    refuse most of what is no photo before the rest arrives; `read_header` has the last word, also on HEIC or AVIF.
    Raises NotAPhotoError.
    """
    if not first_bytes:
        raise NotAPhotoError("The file is empty.")
    for family in (jpeg, png, gif, webp, heif, tiff, bmp):
        if found := family.signature(first_bytes):
            return found
    raise NotAPhotoError("The content is not a JPEG, PNG, GIF, WebP, HEIC, AVIF, TIFF or BMP image.")


def read_header(read_at: Callable[[int, int], bytes], *, size: int) -> PhotoHeader:
    """The header of a photo of `size` bytes, checked up to where its pixel data begins.

    `read_at(offset, length)` answers up to `length` bytes from `offset`, fewer only at the file's end. It is called at
    most `reader.MAX_READS` times, for a few KiB each. A file cut within its pixel data passes, one cut within its
    header does not. Raises NotAPhotoError, and whatever `read_at` raises.
    """
    file = HeaderReader(read_at, size=size)
    sniffed = sniff_format(file.start(SIGNATURE_BYTES))
    format, width, height = FAMILIES[sniffed].read(file)
    if not (width and height):
        raise NotAPhotoError(f"The {format.upper()} header says {width} x {height} pixels.")
    return PhotoHeader(format=format, width=width, height=height)
