"""What the page shows of each place of a ticket: what to take, and what the server has."""

from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from django.conf import settings
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from apps.tickets.api.serializers import thumbnail_url_of
from apps.tickets.models import Image, Ticket
from apps.tickets.models.slots import slot_as_kept, status_of
from apps.tickets.models.statuses import ImageStatus, RejectionReason, SlotSource, SlotStatus

# Of a direct upload that its client took back, to send the photo in another way, or another one.
GIVEN_UP = "direct_upload_given_up"
# Why staff want another photo, as whoever took it reads it.
REASONS = {
    RejectionReason.BLURRED: _("It is blurred."),
    RejectionReason.TOO_DARK: _("It is too dark."),
    RejectionReason.WRONG_SUBJECT: _("It shows something else."),
    RejectionReason.INCOMPLETE: _("It does not show all of it."),
    RejectionReason.OTHER: "",  # the note says it
}
STATES = {
    SlotStatus.MISSING: _("Still missing"),
    SlotStatus.AWAITING: _("Being sent"),
    SlotStatus.RECEIVED: _("Arrived, being stored"),
    SlotStatus.STORED: _("Arrived"),
}


@dataclass(frozen=True)
class Tile:
    """One place. `refusal`: why the photo that was sent just now was not taken."""

    position: int
    slot: str  # "" of a place without a name
    title: str
    instructions: str
    example_url: str | None
    shows_example: bool  # whether the page's policy lets a browser load it; else it is a link
    source: str
    image: Image | None = None  # that holds the place
    earlier: Image | None = None  # of an empty place: the last that held it, rejected or failed
    refusal: str = ""

    @property
    def state(self) -> str:
        if self.image is None:
            return SlotStatus.MISSING
        return status_of(self.image.status)

    @property
    def state_in_words(self) -> str:
        return STATES[self.state]

    @property
    def thumbnail_url(self) -> str | None:
        return self.image and thumbnail_url_of(self.image)

    @property
    def is_for_camera(self) -> bool:
        return self.source == SlotSource.CAMERA

    @property
    def reason(self) -> str:
        """Why another photo is wanted, as far as the list of reasons says."""
        is_rejected = self.earlier is not None and self.earlier.status == ImageStatus.REJECTED
        return REASONS[self.earlier.rejection_reason] if is_rejected else ""

    @property
    def error(self) -> str:
        """Why the last photo for this place failed."""
        has_failed = self.earlier is not None and self.earlier.status == ImageStatus.FAILED
        return gettext(self.earlier.error_detail) if has_failed and self.earlier.error_detail else ""


def tiles_of(ticket: Ticket, *, origin: str, refusals: dict[int, str]) -> list[Tile]:
    """Returns a tile for each place, in order. The ticket comes from `read_ticket_with_images`; `origin`: of the page,
    `refusals`: by position.
    """
    holding, earlier = _images_by_place(ticket.images_read)
    tiles = []
    for position in range(1, ticket.num_images + 1):
        state = {
            "image": holding.get(position),
            "earlier": None if position in holding else earlier.get(position),
            "refusal": refusals.get(position, ""),
        }
        tiles.append(Tile(position=position, **_described(ticket, position, origin), **state))
    return tiles


def _described(ticket: Ticket, position: int, origin: str) -> dict:
    slot = ticket.slots[position - 1] if position <= len(ticket.slots) else None
    if slot is None:
        slot = slot_as_kept("", title=gettext("Photo {number}").format(number=position))
    parts = urlsplit(slot["example_url"] or "")
    return {
        "slot": slot["name"],
        "title": slot["title"] or slot["name"],
        "instructions": slot["instructions"],
        "example_url": slot["example_url"],
        "shows_example": f"{parts.scheme}://{parts.netloc}" in (settings.DELIVERY_ORIGIN, origin),
        "source": slot["source"],
    }


def _images_by_place(images: Iterable[Image]) -> tuple[dict[int, Image], dict[int, Image]]:
    """Returns the image that holds each place, and the last that held it, by position."""
    holding, earlier = {}, {}
    for image in images:  # of a place the oldest first
        if image.status == ImageStatus.FAILED and image.error_code == GIVEN_UP:
            continue
        (holding if image.holds_a_place else earlier)[image.position] = image
    return holding, earlier
