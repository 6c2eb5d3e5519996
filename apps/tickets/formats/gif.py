"""GIF (GIF89a specification): the screen, its colours, and blocks up to the first frame."""

from .reader import HeaderReader, NotAPhotoError
from .stored import Stored

MAX_BLOCKS_BEFORE_FRAME = 8192  # a comment or XMP block of 1 MiB, in its sub-blocks of at most 255 bytes, and to spare
FRAME, EXTENSION = 0x2C, 0x21


def signature(first_bytes: bytes) -> str | None:
    return "gif" if first_bytes[:6] in (b"GIF87a", b"GIF89a") else None


def read(file: HeaderReader) -> Stored:
    """Returns the screen, widened to hold the first frame, as browsers and Pillow show it.

    Old encoders left the screen 0 x 0; then the first frame alone decides.
    """
    screen_width, screen_height = file.uint(6, 2, "little"), file.uint(8, 2, "little")
    frame = first_frame(file, 13 + colour_table_bytes(file.uint(10, 1)))
    left, top, width, height = (file.uint(frame + at, 2, "little") for at in (1, 3, 5, 7))
    if not (width and height):
        raise NotAPhotoError("The GIF's first frame is empty.")
    check_pixel_data(file, frame)
    return Stored("gif", max(screen_width, left + width), max(screen_height, top + height))


def colour_table_bytes(flags: int) -> int:
    return 3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0


def first_frame(file: HeaderReader, offset: int) -> int:
    """Returns where the first frame's descriptor is, past any number of extensions."""
    in_extension = False
    for _ in range(MAX_BLOCKS_BEFORE_FRAME):
        byte = file.uint(offset, 1)
        if in_extension:
            in_extension = byte != 0  # a length; the one of 0 ends the extension
            offset += 1 + byte
        elif byte == EXTENSION:
            in_extension = True
            offset += 2
        elif byte == FRAME:
            return offset
        else:
            break
    raise NotAPhotoError("The GIF has no frame where the first belongs.")


def check_pixel_data(file: HeaderReader, frame: int) -> None:
    code_size_at = frame + 10 + colour_table_bytes(file.uint(frame + 9, 1))
    if not 1 <= file.uint(code_size_at, 1) <= 11:  # the format ends at codes of 12 bits, one more than this
        raise NotAPhotoError("The GIF's first frame has an impossible code size.")
