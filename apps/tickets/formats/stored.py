"""How a photo is stored, as each format's module returns it."""

from typing import NamedTuple

from .claims import NOTHING_CLAIMED, Claims


class Stored(NamedTuple):
    """Size in pixels before any turn. `orientation` is what turns it for a person, in EXIF's numbers (1 to 8), and
    `crop` the size that is left of it before the turn, where the file asks for less than all. `claims`: see there.
    """

    format: str
    width: int
    height: int
    orientation: int = 1
    crop: tuple[int, int] | None = None
    claims: Claims = NOTHING_CLAIMED


# By EXIF's numbers (CIPA DC-008, tag 274): whether the photo is mirrored, left to right, and then by how many quarters
# it is turned clockwise.
TURNS = {1: (0, 0), 2: (1, 0), 3: (0, 2), 4: (1, 2), 5: (1, 3), 6: (0, 1), 7: (1, 1), 8: (0, 3)}
ORIENTATIONS = {turn: orientation for orientation, turn in TURNS.items()}


def turned(orientation: int, quarters: int) -> int:
    """Returns the orientation that turns by so many quarters more, clockwise."""
    mirrored, turn = TURNS[orientation]
    return ORIENTATIONS[mirrored, (turn + quarters) % 4]


def mirrored(orientation: int) -> int:
    """Returns the orientation that also mirrors, left to right. A turn before a mirror is the opposite one after it."""
    was_mirrored, turn = TURNS[orientation]
    return ORIENTATIONS[1 - was_mirrored, -turn % 4]
