"""The named places of a ticket: the nth slot is the name of place n. They are written as the ticket is opened, and
never changed; places past the last slot have no name.
"""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass

from django.core.validators import RegexValidator
from django.utils.translation import gettext_lazy as _

from apps.tickets.models.statuses import ImageStatus, SlotSource, SlotStatus

NAME_MAX_LENGTH = 64
TITLE_MAX_LENGTH = 200
INSTRUCTIONS_MAX_LENGTH = 2000

# Of a slot, and of a kind of tickets.
is_a_name = RegexValidator(
    r"^[a-z0-9][a-z0-9_-]{0,63}$(?!\n)",
    _("A name has up to 64 characters: a to z, 0 to 9, hyphens and underscores, none of these two first."),
)


@dataclass(frozen=True)
class Slot:
    """A named place, and what is there at the moment."""

    name: str
    title: str
    instructions: str
    example_url: str | None
    source: str  # a SlotSource
    status: str = SlotStatus.MISSING
    image_id: uuid.UUID | None = None

    def get_status_display(self) -> str:
        return SlotStatus(self.status).label

    def get_source_display(self) -> str:
        return SlotSource(self.source).label


def slot_as_kept(name: str, *, title="", instructions="", example_url=None, source=SlotSource.ANY) -> dict:
    """Returns the slot as `Ticket.slots` holds it."""
    return {
        "name": name,
        "title": title,
        "instructions": instructions,
        "example_url": example_url,
        "source": str(source),
    }


def slots_now(kept: list[dict], images: Iterable[tuple]) -> list[Slot]:
    """The slots, with the images on their places: (position, status, id) of each image that holds one."""
    if not kept:
        return []
    by_position = {position: (status, image_id) for position, status, image_id in images}
    return [
        Slot(**slot, **_state(*by_position[position])) if position in by_position else Slot(**slot)
        for position, slot in enumerate(kept, start=1)
    ]


def missing(slots: list[Slot]) -> list[str]:
    """The names of the slots that no photo has taken, and for which none is awaited."""
    return [slot.name for slot in slots if slot.status == SlotStatus.MISSING]


def status_of(image_status: str) -> str:
    """The SlotStatus of a place that an image with this status holds."""
    told = {ImageStatus.STORED: SlotStatus.STORED, ImageStatus.AWAITING_UPLOAD: SlotStatus.AWAITING}
    return told.get(image_status, SlotStatus.RECEIVED)


def _state(status: str, image_id) -> dict:
    return {"status": status_of(status), "image_id": uuid.UUID(str(image_id))}
