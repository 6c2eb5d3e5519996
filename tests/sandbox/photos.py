import io

from PIL import Image

from apps.sandbox import pictures

ORIENTATION = 0x0112
LEFT_TO_BE_TURNED_RIGHT = 6


def photo(format="JPEG", size=(64, 48), *, color="teal", orientation=None) -> bytes:
    """A picture of one colour; with `orientation`, one that a viewer has to turn."""
    assert format != "HEIF" or pictures.HEIF, "pillow-heif is missing"
    image, out = Image.new("RGB", size, color), io.BytesIO()
    exif = Image.Exif()
    if orientation:
        exif[ORIENTATION] = orientation
    # An MPO holds several pictures, or Pillow writes a plain JPEG.
    options = {"save_all": True, "append_images": [image.copy()]} if format == "MPO" else {}
    image.save(out, format, **options, **({"exif": exif} if orientation else {}))
    return out.getvalue()


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))
