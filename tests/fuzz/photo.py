"""A photo to send, made without Django."""

import io

from PIL import Image


def photo(number: int = 0) -> bytes:
    """A JPEG of 8 x 8 pixels; another one for each number."""
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), (number % 256, 0, 0)).save(buffer, "JPEG")
    return buffer.getvalue()
