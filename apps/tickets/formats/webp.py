"""WebP (RFC 9649): RIFF chunks, the first of which is a lossy frame, a lossless one, or a canvas with frames behind."""

from . import exif
from .reader import HeaderReader, NotAPhotoError
from .stored import Stored

FIRST_CHUNK = 12
CANVAS_BYTES = 10
MAX_CHUNKS_BEFORE_FRAME = 64
MAX_CHUNKS_BEHIND_FRAME = 128
ANIMATION_FLAG, EXIF_FLAG = 0x02, 0x08


def signature(first_bytes: bytes) -> str | None:
    return "webp" if first_bytes[:4] == b"RIFF" and first_bytes[8:12] == b"WEBP" else None


def read(file: HeaderReader) -> Stored:
    """Returns how the frame is stored, or the canvas where there is one, once its first frame is found to fit in."""
    end = 8 + file.uint(4, 4, "little")  # of the RIFF chunk; the file may be cut before, or go on behind
    if file.take(FIRST_CHUNK, 4) != b"VP8X":
        return Stored("webp", *frame_dimensions(file, FIRST_CHUNK, end))
    if chunk_bytes(file, FIRST_CHUNK, end) < CANVAS_BYTES:
        raise NotAPhotoError("The WebP's canvas header is too short.")
    flags = file.uint(FIRST_CHUNK + 8, 1)
    canvas = (1 + file.uint(FIRST_CHUNK + 12, 3, "little"), 1 + file.uint(FIRST_CHUNK + 15, 3, "little"))
    frame = first_frame(file, end, canvas, animated=bool(flags & ANIMATION_FLAG))
    orientation, claims = exif_behind(file, frame, end) if flags & EXIF_FLAG else exif.NO_EXIF
    return Stored("webp", *canvas, orientation, claims=claims)


def chunk_bytes(file: HeaderReader, chunk: int, end: int) -> int:
    length = file.uint(chunk + 4, 4, "little")
    if chunk + 8 + length > end:
        raise NotAPhotoError("The WebP has a chunk that reaches beyond the image.")
    return length


def first_frame(file: HeaderReader, end: int, canvas: tuple[int, int], *, animated: bool) -> int:
    """Returns where the first frame is: a still one as large as the canvas, or an animation's, which lies within it."""
    chunk = FIRST_CHUNK
    for _ in range(MAX_CHUNKS_BEFORE_FRAME):
        length = chunk_bytes(file, chunk, end)
        chunk += 8 + length + length % 2
        name = file.take(chunk, 4)
        if name == b"ANMF" and animated:
            left, top, width, height = (file.uint(chunk + 8 + at, 3, "little") for at in (0, 3, 6, 9))
            if 2 * left + width + 1 <= canvas[0] and 2 * top + height + 1 <= canvas[1]:
                return chunk
            raise NotAPhotoError("The WebP's first frame reaches beyond its canvas.")
        if name in (b"VP8 ", b"VP8L") and not animated:
            if frame_dimensions(file, chunk, end) == canvas:
                return chunk
            raise NotAPhotoError("The WebP's frame differs from its canvas.")
    raise NotAPhotoError("The WebP has no frame.")


def exif_behind(file: HeaderReader, frame: int, end: int) -> exif.Exif:
    """Returns the EXIF chunk behind the frames; NO_EXIF where there is none, or the file was cut before it."""
    chunk = frame
    try:
        for _ in range(MAX_CHUNKS_BEHIND_FRAME):
            length = chunk_bytes(file, chunk, end)
            if file.take(chunk, 4) == b"EXIF":
                return exif.read(file, chunk + 8, chunk + 8 + length)
            chunk += 8 + length + length % 2
    except NotAPhotoError:
        pass
    return exif.NO_EXIF


def frame_dimensions(file: HeaderReader, chunk: int, end: int) -> tuple[int, int]:
    """Returns (width, height) of the still frame in the chunk."""
    name = file.take(chunk, 4)
    length = chunk_bytes(file, chunk, end)
    if name == b"VP8 " and length >= 10:
        return lossy_dimensions(file.take(chunk + 8, 10), length)
    if name == b"VP8L" and length >= 5:
        return lossless_dimensions(file.take(chunk + 8, 5))
    raise NotAPhotoError("The WebP has no frame where the first belongs.")


def lossy_dimensions(frame: bytes, length: int) -> tuple[int, int]:
    """Returns (width, height) of a VP8 key frame (RFC 6386, section 9.1); the top two bits of each ask for scaling."""
    tag = int.from_bytes(frame[:3], "little")
    is_key_frame, version, is_shown, first_partition_bytes = not tag & 1, tag >> 1 & 7, tag >> 4 & 1, tag >> 5
    if not (is_key_frame and version <= 3 and is_shown and first_partition_bytes < length):
        raise NotAPhotoError("The WebP's frame is no VP8 key frame.")
    if frame[3:6] != b"\x9d\x01\x2a":
        raise NotAPhotoError("The WebP's frame lacks the start code of VP8.")
    return int.from_bytes(frame[6:8], "little") & 0x3FFF, int.from_bytes(frame[8:10], "little") & 0x3FFF


def lossless_dimensions(frame: bytes) -> tuple[int, int]:
    bits = int.from_bytes(frame[1:5], "little")
    if frame[0] != 0x2F or bits >> 29:
        raise NotAPhotoError("The WebP's lossless frame lacks its signature.")
    return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
