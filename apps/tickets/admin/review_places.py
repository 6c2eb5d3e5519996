"""A ticket's photos by place, as the page on which staff review them shows them."""

from dataclasses import dataclass, field
from datetime import timedelta, timezone
from uuid import UUID

from django.core.paginator import Page, Paginator
from django.urls import reverse
from django.utils.dateparse import parse_datetime
from django.utils.html import format_html
from django.utils.timesince import timesince
from django.utils.translation import gettext

from apps.tickets.admin.parts import badge_of, the_first
from apps.tickets.kinds.examples import FORMATS
from apps.tickets.models import Image, Ticket
from apps.tickets.models.statuses import ImageStatus
from apps.tickets.storage import cloudinary

PLACES_ON_A_PAGE = 500
EARLIER_SHOWN = 500
# Most cameras name no time zone: what they claim may be off by more than half a day and still be right.
STRIKING = timedelta(days=1)


@dataclass
class ShownPhoto:
    """A photo, and what is asked of the photographer instead: the form for it, if it was filled in."""

    image: Image
    ask: object | None = None
    hints: list[str] = field(default_factory=list)

    @property
    def badge(self) -> str:
        return badge_of(self.image)

    @property
    def thumbnail_url(self) -> str:
        return cloudinary.thumbnail_url(**self._asset)

    @property
    def large_url(self) -> str:
        return cloudinary.large_url(**self._asset)

    @property
    def whole_url(self) -> str:
        """Where the photo itself is, or the same in a format that every browser shows."""
        if self.image.format in FORMATS:
            return cloudinary.delivery_url(**self._asset, format=self.image.asset_format)
        return cloudinary.whole_url(**self._asset)

    @property
    def _asset(self) -> dict:
        return {"public_id": self.image.public_id, "version": self.image.asset_version}


@dataclass
class Place:
    """A place of the ticket: its slot, the photo that holds it, and those before that."""

    position: int
    slot: dict | None
    photo: ShownPhoto | None = None
    failed: ShownPhoto | None = None  # the last one, of a place that is free
    earlier: list[ShownPhoto] = field(default_factory=list)  # that were rejected, the newest first

    @property
    def name(self) -> str:
        return self.slot["title"] or self.slot["name"] if self.slot else ""

    @property
    def example_is_shown(self) -> bool:
        """Whether the page may show the example; that of another host is a link."""
        return cloudinary.delivers(self.slot["example_url"])


def page_of_places(ticket: Ticket, *, number: str | None, asks: dict[UUID, object]) -> tuple[Page, bool]:
    """Returns this page of the ticket's places, and whether some earlier photos were left out.

    `asks`: the forms that were filled in, by the ids of the photos. Three queries, whatever the number of photos.
    """
    page = Paginator(range(1, ticket.num_images + 1), PLACES_ON_A_PAGE).get_page(number)
    images = ticket.images.filter(position__range=(page.start_index(), page.end_index()))
    current = list(images.holding_a_place())
    rejected, are_cut = the_first(EARLIER_SHOWN, images.filter(status=ImageStatus.REJECTED).order_by("-rejected_at"))
    failed, _ = the_first(EARLIER_SHOWN, images.filter(status=ImageStatus.FAILED).order_by("-created_at"))
    known = {image.pk: image for image in (*current, *rejected)}
    slots = dict(enumerate(ticket.slots, start=1))
    page.object_list = [Place(position, slots.get(position)) for position in page.object_list]
    places = {place.position: place for place in page.object_list}

    def shown(image: Image) -> ShownPhoto:
        return ShownPhoto(image, asks.get(image.pk), hints_of(image, known))

    for image in current:
        places[image.position].photo = shown(image)
    for image in rejected:
        places[image.position].earlier.append(shown(image))
    for image in reversed(failed):
        if places[image.position].photo is None:
            places[image.position].failed = shown(image)
    return page, are_cut


def hints_of(image: Image, known: dict[UUID, Image]) -> list[str]:
    """Returns what is striking about it, for a person to judge. `known`: photos on the same page."""
    return [hint for hint in (_hint_of_time(image), _hint_of_twin(image, known)) if hint]


def _hint_of_time(image: Image) -> str:
    captured_at = image.captured_at and parse_datetime(image.captured_at)
    if not captured_at:
        return ""
    if captured_at.tzinfo is None:
        captured_at = captured_at.replace(tzinfo=timezone.utc)
    if captured_at > image.created_at + STRIKING:
        return gettext("It says that it was taken after it was received.")
    if captured_at < image.ticket.created_at - STRIKING:
        told = gettext("It says that it was taken %(time)s before the ticket was opened.")
        return told % {"time": timesince(captured_at, image.ticket.created_at)}
    return ""


def _hint_of_twin(image: Image, known: dict[UUID, Image]) -> str:
    if image.duplicate_of_id is None:
        return ""
    twin = known.get(image.duplicate_of_id)
    if twin is None:
        link = reverse("admin:tickets_image_change", args=[image.duplicate_of_id])
        return format_html('{} <a href="{}">{}</a>', gettext("Its bytes were sent before:"), link, gettext("photo"))
    if twin.status == ImageStatus.REJECTED:
        told = gettext("Its bytes are the same as those of the rejected photo of place %(place)d.")
    else:
        told = gettext("Its bytes are the same as those of the photo of place %(place)d.")
    return told % {"place": twin.position}
