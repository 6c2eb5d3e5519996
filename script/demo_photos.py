"""Photos to try hopla with, and to show in pictures of it: as a phone would take them, of nothing that exists."""

import io
from datetime import datetime

from PIL import Image as Picture

MAKE, MODEL, EXIF_DIRECTORY, CAPTURED = 0x010F, 0x0110, 0x8769, 0x9003


def colourful_photo(
    seed: int, *, size: tuple[int, int] = (1200, 900), captured_at: datetime | None = None, light: float = 1
) -> bytes:
    """A JPEG, another for each seed. `light`: less than 1 is darker."""
    left, top = -2.2 + 0.15 * seed, -1.2 + 0.1 * seed
    shape = Picture.effect_mandelbrot(size, (left, top, left + 3.2, top + 2.4), 30 + 20 * seed)
    slope = Picture.linear_gradient("L").resize(size)
    photo = Picture.merge(
        "RGB", (shape, slope.rotate(180 * (seed % 2)), Picture.eval(shape, lambda value: 255 - value))
    )
    if light < 1:
        photo = Picture.eval(photo, lambda value: int(value * light))
    exif = Picture.Exif()
    if captured_at is not None:
        exif[MAKE], exif[MODEL] = "Fairphone", "FP5"
        exif.get_ifd(EXIF_DIRECTORY)[CAPTURED] = f"{captured_at:%Y:%m:%d %H:%M:%S}"
    buffer = io.BytesIO()
    photo.save(buffer, "JPEG", quality=92, exif=exif)
    return buffer.getvalue()
