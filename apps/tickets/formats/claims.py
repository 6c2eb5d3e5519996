"""What a photo claims of itself by EXIF: when it was taken, where, and by which camera.

Anybody can write anything there, and hopla checks only that it makes sense: what does not, or cannot be read, counts
as not claimed, and is no reason to refuse a photo. The tags are those of CIPA DC-008 (EXIF 3.0), sections 4.6.5 to
4.6.8.
"""

import re
from contextlib import suppress
from datetime import datetime, timezone
from typing import NamedTuple

from .directory import Entry, Layout, integer_of, read_entries
from .reader import HeaderReader, NotAPhotoError

MAKE, MODEL, EXIF_DIRECTORY, GPS_DIRECTORY = 271, 272, 0x8769, 0x8825
CAPTURED, CAPTURED_OFFSET, CAPTURED_FRACTION = 0x9003, 0x9011, 0x9291
LATITUDE_REF, LATITUDE, LONGITUDE_REF, LONGITUDE = 1, 2, 3, 4
TEXT_KINDS = frozenset({2, 129})  # ASCII, UTF-8
FRACTION_KINDS = frozenset({5, 10})  # RATIONAL, SRATIONAL
MAX_TEXT_BYTES = 128
MAX_CAMERA_LENGTH = 100
OLDEST_PHOTOGRAPH = 1826  # a camera whose clock was never set says 0000 or 0001
PLACES_OF_DEGREES = 7  # a centimetre
# EXIF has colons; some programs write the others.
MOMENT = re.compile(r"(\d{4})[:/-](\d\d)[:/-](\d\d)[ T](\d\d):(\d\d):(\d\d)", re.ASCII)
OFFSET = re.compile(r"[+-](0\d|1[0-3]):[0-5]\d|\+14:00", re.ASCII)
UTC_OFFSETS = frozenset({"Z", "+00:00", "-00:00"})


class Claims(NamedTuple):
    """`captured_at`: ISO 8601 in the camera's local time, such as "2026-11-26T10:00:00.12+01:00", with as many digits
    of a second as it claims, up to six. It ends with the offset from UTC, Z where that is none, if the photo has one,
    and says nothing about the zone otherwise. `location`: latitude and longitude in degrees, north and east positive.
    `camera`: its make and model, of at most 100 printable characters.
    """

    captured_at: str | None = None
    location: tuple[float, float] | None = None
    camera: str | None = None


NOTHING_CLAIMED = Claims()


class Values:
    """The values in one directory. What is missing, of another kind or out of reach is an empty one."""

    def __init__(self, file: HeaderReader, layout: Layout, entries: list[Entry]) -> None:
        self._file = file
        self._layout = layout
        self._entries = {entry.tag: entry for entry in reversed(entries)}  # of two with the same tag the first counts

    def __contains__(self, tag: int) -> bool:
        return tag in self._entries

    def directory(self, tag: int) -> "Values":
        """Returns the values in the directory to which the tag points."""
        entries = []
        start = integer_of(self._entries[tag], self._layout) if tag in self else None
        if start:
            with suppress(NotAPhotoError):
                entries = read_entries(self._file, self._layout, start, end=self._file.size)
        return Values(self._file, self._layout, entries)

    def text(self, tag: int) -> str:
        """Returns its printable characters up to the first NUL, without blanks around them; "" for no text."""
        entry = self._entries.get(tag)
        if entry is None or entry.kind not in TEXT_KINDS:
            return ""
        text = self._bytes_of(entry, 1, limit=MAX_TEXT_BYTES).partition(b"\0")[0].decode(errors="ignore")
        if not text.isprintable():
            text = "".join(letter if letter.isprintable() else " " for letter in text)
        return text.strip()

    def three_fractions(self, tag: int) -> list[float]:
        """Returns its numbers, without those whose denominator is 0; none unless there are three fractions."""
        entry = self._entries.get(tag)
        if entry is None or entry.kind not in FRACTION_KINDS or entry.count != 3:
            return []
        data, byteorder, signed = self._bytes_of(entry, 8, limit=24), self._layout.byteorder, entry.kind == 10
        numbers = [int.from_bytes(data[at : at + 4], byteorder, signed=signed) for at in range(0, len(data), 4)]
        pairs = list(zip(numbers[::2], numbers[1::2], strict=True))
        return [numerator / denominator for numerator, denominator in pairs if denominator]

    def _bytes_of(self, entry: Entry, item_bytes: int, *, limit: int) -> bytes:
        length = entry.count * item_bytes
        if length <= self._layout.pointer_bytes:
            return entry.value[:length]
        try:
            return self._file.take(int.from_bytes(entry.value, self._layout.byteorder), min(length, limit))
        except NotAPhotoError:
            return b""


def claims_of(file: HeaderReader, layout: Layout, entries: list[Entry]) -> Claims:
    """Returns the claims in the file's first directory, whose entries these are, and in those to which it points."""
    first = Values(file, layout, entries)
    return Claims(
        captured_at=captured_at(first.directory(EXIF_DIRECTORY)),
        location=location(first.directory(GPS_DIRECTORY)),
        camera=camera(first),
    )


def captured_at(exif: Values) -> str | None:
    found = MOMENT.fullmatch(exif.text(CAPTURED))
    if not found:
        return None
    try:
        moment = datetime(*map(int, found.groups()), tzinfo=timezone.utc)
    except ValueError:  # no such day or time
        return None
    if moment.year < OLDEST_PHOTOGRAPH:
        return None
    year, month, day, *time = found.groups()
    fraction, offset = exif.text(CAPTURED_FRACTION), exif.text(CAPTURED_OFFSET)
    fraction = f".{fraction[:6]}" if fraction.isascii() and fraction.isdigit() else ""
    if offset in UTC_OFFSETS:
        offset = "Z"
    elif not OFFSET.fullmatch(offset):
        offset = ""
    return f"{year}-{month}-{day}T{':'.join(time)}{fraction}{offset}"


def location(gps: Values) -> tuple[float, float] | None:
    """Returns (latitude, longitude); None without the letters for the hemispheres, as the other three places are as
    likely, and for 0, 0, where there is only sea: cameras write that when they do not know.
    """
    latitude = degrees(gps.three_fractions(LATITUDE), gps.text(LATITUDE_REF), hemispheres="NS", most=90)
    longitude = degrees(gps.three_fractions(LONGITUDE), gps.text(LONGITUDE_REF), hemispheres="EW", most=180)
    if latitude is None or longitude is None or latitude == longitude == 0:
        return None
    return latitude, longitude


def degrees(parts: list[float], hemisphere: str, *, hemispheres: str, most: int) -> float | None:
    """Returns them, made of degrees, minutes and seconds, any of which may have a fraction."""
    if len(parts) != 3 or not hemisphere or hemisphere[0].upper() not in hemispheres:
        return None
    whole, minutes, seconds = parts
    value = whole + minutes / 60 + seconds / 3600
    # 60 is what is left of 59.9996 after rounding.
    if not (whole >= 0 and 0 <= minutes <= 60 and 0 <= seconds <= 60 and value <= most):
        return None
    value = round(value, PLACES_OF_DEGREES)
    return -value if value and hemisphere[0].upper() == hemispheres[1] else value


def camera(first: Values) -> str | None:
    """Returns make and model; the model alone where it begins with the make: "NIKON CORPORATION", "NIKON D750"."""
    make, model = (" ".join(first.text(tag).split()) for tag in (MAKE, MODEL))
    if make and model and model.split()[0].casefold() != make.split()[0].casefold():
        model = f"{make} {model}"
    return (model or make)[:MAX_CAMERA_LENGTH].rstrip() or None
