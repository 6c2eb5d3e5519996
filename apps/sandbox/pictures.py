"""What Pillow sees in a photo, and the smaller pictures it makes of one."""

import io
from dataclasses import dataclass

from PIL import Image, ImageOps

try:
    from pillow_heif import register_heif_opener
except ImportError:  # without it an iPhone's photo is refused like any other thing that cannot be opened
    HEIF = []
else:
    register_heif_opener()
    HEIF = ["HEIF"]

# Pillow's name of a format, and Cloudinary's, which is also the file's extension. EPS, PDF and the like stay out.
FORMATS = {
    "JPEG": "jpg",
    "MPO": "jpg",  # several JPEGs in one file, as some phones write
    "PNG": "png",
    "GIF": "gif",
    "WEBP": "webp",
    "AVIF": "avif",
    "HEIF": "heic",
    "TIFF": "tif",
    "BMP": "bmp",
    "ICO": "ico",
    "JPEG2000": "jp2",
}
OPENED = [name for name in FORMATS if name not in ("MPO", "HEIF")] + HEIF  # Pillow opens an MPO as a JPEG
CONTENT_TYPES = {
    "jpg": "image/jpeg",
    "png": "image/png",
    "gif": "image/gif",
    "webp": "image/webp",
    "avif": "image/avif",
    "heic": "image/heic",
    "tif": "image/tiff",
    "bmp": "image/bmp",
    "ico": "image/x-icon",
    "jp2": "image/jp2",
}
ALIASES = {"jpeg": "jpg", "jpe": "jpg", "tiff": "tif", "heif": "heic"}
WRITTEN = {"jpg": "JPEG", "png": "PNG", "gif": "GIF", "webp": "WEBP", "avif": "AVIF"}
MAX_SIDE = 5000
# What Pillow and its plugins raise over a broken file, found by feeding them some.
DECODER_ERRORS = (OSError, EOFError, SyntaxError, ValueError, TypeError, RuntimeError, Image.DecompressionBombError)


class NotAPicture(Exception):
    """Pillow cannot open or decode these bytes."""


@dataclass(frozen=True)
class Picture:
    """Width and height in pixels, as stored, before any EXIF rotation."""

    width: int
    height: int
    format: str


def describe(data: bytes) -> Picture:
    """Dimensions and format from the header; nothing is decoded. Raises NotAPicture."""
    with _opened(data) as image:
        return Picture(image.width, image.height, FORMATS[image.format])


def render(data: bytes, steps: list[dict[str, str]], *, format: str) -> bytes:
    """The photo upright, put through the transformation `steps`, written as `format`. Raises NotAPicture.

    Of Cloudinary's transformations c, w, h and q are honoured, any gravity is the centre, and the rest is left out:
    enough for thumbnails.
    """
    try:
        with _opened(data) as image:
            picture = ImageOps.exif_transpose(image)
            for step in steps:
                picture = _resized(picture, step)
            return _written(picture, format, quality=_quality(steps))
    except DECODER_ERRORS as exc:
        raise NotAPicture("cannot be decoded") from exc


def has_transparency(data: bytes) -> bool:
    with _opened(data) as image:
        return image.has_transparency_data


def _opened(data: bytes) -> Image.Image:
    try:
        return Image.open(io.BytesIO(data), formats=OPENED)
    except DECODER_ERRORS as exc:
        raise NotAPicture("cannot be opened") from exc


def _resized(picture: Image.Image, step: dict[str, str]) -> Image.Image:
    size = _target_size(picture, step)
    if size is None:
        return picture
    mode = step.get("c", "scale")
    if mode in ("fill", "lfill", "thumb", "crop", "auto"):
        return ImageOps.fit(picture, size)
    if mode in ("pad", "lpad"):
        return ImageOps.pad(picture, size)
    if mode == "limit" and picture.width <= size[0] and picture.height <= size[1]:
        return picture
    if mode in ("fit", "limit"):
        return ImageOps.contain(picture, size)
    return picture.resize(size)


def _target_size(picture: Image.Image, step: dict[str, str]) -> tuple[int, int] | None:
    """Width and height asked for; a missing one follows from the proportions. None when the step names no size."""
    width, height = _side(step.get("w"), picture.width), _side(step.get("h"), picture.height)
    if not width and not height:
        return None
    width = width or max(1, min(MAX_SIDE, round(picture.width * height / picture.height)))
    height = height or max(1, min(MAX_SIDE, round(picture.height * width / picture.width)))
    return width, height


def _side(value: str | None, whole: int) -> int | None:
    """Pixels from `400`, or from `0.5` of the whole; None for `auto` and other words."""
    try:
        number = float(value or 0)
    except ValueError:
        return None
    if not 0 < number < float("inf"):
        return None
    return max(1, min(MAX_SIDE, round(number * whole if number < 1 or "." in value else number)))


def _quality(steps: list[dict[str, str]]) -> int:
    asked = [step["q"] for step in steps if step.get("q", "").isdecimal()]
    return min(100, max(1, int(asked[-1]))) if asked else 80


def _written(picture: Image.Image, format: str, *, quality: int) -> bytes:
    if format == "jpg":
        picture = _on_white(picture)
    elif picture.mode not in ("RGB", "RGBA", "L", "P"):
        picture = picture.convert("RGBA" if picture.has_transparency_data else "RGB")
    out = io.BytesIO()
    picture.save(out, WRITTEN[format], quality=quality)
    return out.getvalue()


def _on_white(picture: Image.Image) -> Image.Image:
    if not picture.has_transparency_data:
        return picture.convert("RGB")
    cutout = picture.convert("RGBA")
    paper = Image.new("RGBA", cutout.size, "white")
    return Image.alpha_composite(paper, cutout).convert("RGB")
