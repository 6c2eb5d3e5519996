"""The formats of photos by Cloudinary's names and by those of MIME, which hopla cannot see for itself here."""

from apps.tickets.errors import UnsupportedImageError

# By Cloudinary's name: hopla's own.
FORMATS = {
    "jpg": "jpeg",
    "jpeg": "jpeg",
    "png": "png",
    "gif": "gif",
    "webp": "webp",
    "heic": "heic",
    "heif": "heic",
    "avif": "avif",
    "tif": "tiff",
    "tiff": "tiff",
    "bmp": "bmp",
}
# That clients announce; browsers have more than one for some.
CONTENT_TYPES = {f"image/{name}" for pair in FORMATS.items() for name in pair} | {"image/pjpeg", "image/x-ms-bmp"}


def require_photo_type(content_type: str) -> None:
    """Raise UnsupportedImageError for a type that no photo has. What it really is Cloudinary decides by its content."""
    if content_type.partition(";")[0].strip().lower() not in CONTENT_TYPES:
        raise UnsupportedImageError
