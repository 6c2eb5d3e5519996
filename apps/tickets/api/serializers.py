"""What tickets and images look like to a client. The field names are the contract's.

A new field is one line here, where `shown` says what follows from it: the JSON, the schema, its example and the Postman
collection (`python -m script.make_postman` writes that).
"""

from collections.abc import Mapping
from operator import attrgetter

from django.conf import settings
from django.core.validators import RegexValidator
from django.utils.translation import get_language, gettext
from django.utils.translation import gettext_lazy as _
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail
from rest_framework.serializers import (
    CharField,
    ChoiceField,
    DateTimeField,
    DictField,
    FloatField,
    IntegerField,
    ListField,
    RegexField,
    URLField,
    UUIDField,
)

from apps.common.api.fields import FutureMomentField, NullIsLeftOut, StrictCharField, StrictIntegerField
from apps.common.db.snapshot import one_snapshot
from apps.tickets.api.new_slots import MetadataField, NewSlotSerializer, require_names_once
from apps.tickets.api.shown import ShownSerializer, shown
from apps.tickets.direct import settling
from apps.tickets.kinds.copying import slots_in
from apps.tickets.models import Image, Progress, Ticket, TicketKind, missing, slots_now
from apps.tickets.models.kind import in_language
from apps.tickets.models.slots import NAME_MAX_LENGTH
from apps.tickets.models.statuses import (
    ImageStatus,
    RejectionReason,
    SlotSource,
    SlotStatus,
    TicketReview,
    TicketStatus,
)
from apps.tickets.storage import cloudinary


class NewTicketSerializer(NullIsLeftOut, serializers.Serializer):
    """A ticket to open."""

    title = StrictCharField(max_length=200, required=False, allow_blank=True, default="")
    description = StrictCharField(max_length=5000, required=False, allow_blank=True, default="")
    expires_at = FutureMomentField(
        required=False, default=None, help_text="After this moment the ticket takes no more photos."
    )
    reference = StrictCharField(
        max_length=100,
        required=False,
        allow_blank=True,
        default="",
        help_text="Your own id of it, by which a list can be filtered. It need not be unique.",
    )
    metadata = MetadataField(required=False, default=dict, help_text="Up to 20 strings of your own, kept and shown.")
    kind = StrictCharField(
        max_length=NAME_MAX_LENGTH,
        required=False,
        default=None,
        help_text="The name of a kind of tickets, whose slots or number of photos, instructions and time to expiry are "
        "copied into the ticket, in the language of the request. `num_images` may be larger than the kind's, "
        "`expires_at` another.",
    )

    class Meta:
        swagger_schema_fields = {"example": {"num_images": 7, "title": "Flat 3B, hand-over"}}

    def get_fields(self):
        """With the bound that the settings name at this moment, for the schema too."""
        num_images = StrictIntegerField(
            min_value=1,
            max_value=settings.TICKET_MAX_IMAGES,
            error_messages={"max_value": _("A ticket takes at most {max_value} photos.")},
            required=False,
            help_text="How many photos make the set complete. With `slots` or `kind` it may be left out, or be larger "
            "than their number: then the places after them have no name.",
        )
        slots = NewSlotSerializer(
            many=True,
            required=False,
            max_length=settings.TICKET_MAX_IMAGES,
            help_text='Names for the first places, in order, each once. One may be its name alone: `["front"]`.',
        )
        num_images.allow_null = slots.allow_null = True  # as if left out; not of one slot
        return {"num_images": num_images} | super().get_fields() | {"slots": slots}

    def validate_slots(self, slots):
        require_names_once(slots)
        return slots

    def validate_kind(self, name):
        """Returns the TicketKind with its slots, all of one moment."""
        if name is None:
            return None
        if self.initial_data.get("slots") is not None:
            message = _("A ticket is opened by a kind or by slots of its own, not by both.")
            raise serializers.ValidationError(message, code="beside_slots")
        with one_snapshot():
            kind = TicketKind.objects.offered().filter(name=name).first()
        if kind is None:
            raise serializers.ValidationError(_("There is no kind of this name."), code="kind_unknown")
        if kind.number_of_places > settings.TICKET_MAX_IMAGES:
            message = _("A ticket takes at most {max_value} photos.").format(max_value=settings.TICKET_MAX_IMAGES)
            raise serializers.ValidationError(message, code="max_value")
        return kind

    def to_internal_value(self, data):
        """Says beside whatever else is wrong that the number is missing, as of any field that is required."""
        no_number = self._no_number(data) if isinstance(data, Mapping) else {}
        try:
            new = super().to_internal_value(data)
        except serializers.ValidationError as refusal:
            raise serializers.ValidationError(no_number | refusal.detail) from refusal
        if no_number:
            raise serializers.ValidationError(no_number)
        return new

    def _no_number(self, data: Mapping) -> dict:
        """Returns the error of a ticket for which neither the number, nor slots, nor a kind are given."""
        if any(data.get(name) not in (None, []) for name in ("num_images", "slots", "kind")):
            return {}
        message = self.fields["num_images"].error_messages["required"]
        return {"num_images": [ErrorDetail(message, code="required")]}

    def validate(self, new):
        kind, slots = new["kind"], new.get("slots", [])
        number = new.setdefault("num_images", kind.number_of_places if kind else len(slots))
        if kind and number < kind.number_of_places:
            message = _("A ticket of this kind takes at least {min_value} photos.")
            told = message.format(min_value=kind.number_of_places)
            raise serializers.ValidationError({"num_images": told}, code="min_value")
        if number < len(slots):
            message = _("There are more slots than that: {number}.").format(number=len(slots))
            raise serializers.ValidationError({"num_images": message}, code="fewer_than_slots")
        return new


class ProgressSerializer(ShownSerializer):
    """How far a ticket is, counted in the database."""

    declared = shown(IntegerField, 7, help_text="Photos the ticket was opened for.")
    received = shown(IntegerField, 3, help_text="Photos that hold a place: not failed, not rejected.")
    stored = shown(IntegerField, 2, help_text="Photos stored at Cloudinary.")
    failed = shown(IntegerField, 1, help_text="Photos that failed; their places are free again.")
    rejected = shown(IntegerField, 0, help_text="Photos of which staff want another; their places are free again.")
    remaining = shown(IntegerField, 4, help_text="How many uploads the ticket still takes: declared - received.")
    percent = shown(IntegerField, 28, help_text="100 * stored / declared, rounded down.")


def counted(ticket: Ticket) -> Progress:
    return getattr(ticket, "counted", None) or ticket.progress()


class KindSlotSerializer(ShownSerializer):
    """A named place: of a kind in the reader's language, of a ticket in that of whoever opened it."""

    name = shown(CharField, "front")
    title = shown(CharField, "The car from the front")
    instructions = shown(CharField, "")
    example_url = shown(URLField, None, allow_null=True, help_text="A picture of what the photo should look like.")
    source = shown(
        ChoiceField,
        "any",
        choices=SlotSource.values,
        help_text="`camera`: apps should have the photo taken now, and offer no file to choose.",
    )


class SlotSerializer(KindSlotSerializer):
    """A named place of a ticket, and what is there."""

    status = shown(ChoiceField, "missing", choices=SlotStatus.values)
    image_id = shown(UUIDField, None, allow_null=True, help_text="The photo that holds the place.")


def shown_slots() -> ListField:
    return shown(
        SlotSerializer,
        [],
        read=attrgetter("slots_read"),
        many=True,
        help_text="The named places, in order: the nth is `position` n.",
    )


def shown_missing() -> ListField:
    return shown(
        ListField,
        [],
        child=CharField(),
        read=lambda ticket: missing(ticket.slots_read),
        help_text="The names of the slots that no photo has taken.",
    )


def shown_review() -> ChoiceField:
    return shown(
        ChoiceField,
        None,
        choices=TicketReview.values,
        read=lambda ticket: ticket.review or None,
        allow_null=True,
        help_text="What staff said of the photos: `approved`, or `retake_requested` when they want another of some; "
        "null again when the ticket completes anew.",
    )


class TicketSerializer(ShownSerializer):
    """A ticket. Set `ticket.counted` to its Progress beforehand where many are shown: else each is counted alone."""

    id = shown(IntegerField, 94)
    ticket_id = shown(IntegerField, 94, source="id", help_text="The same as `id`.")
    title = shown(CharField, "Flat 3B, hand-over")
    description = shown(CharField, "")
    kind = shown(CharField, "", help_text="The name of the kind that it was opened by; empty when by none.")
    instructions = shown(
        CharField, "", help_text="Of its kind, in the language of whoever opened it; for people who take the photos."
    )
    num_images = shown(IntegerField, 7)
    reference = shown(CharField, "", help_text="Your own id of it.")
    metadata = shown(DictField, {}, child=CharField(), help_text="Strings of your own.")
    status = shown(ChoiceField, "in_progress", choices=TicketStatus.values)
    review = shown_review()
    progress = shown(ProgressSerializer, ProgressSerializer.example(), read=counted)
    created_at = shown(DateTimeField, "2026-11-21T10:00:00Z")
    updated_at = shown(DateTimeField, "2026-11-21T10:02:41.120000Z")
    completed_at = shown(DateTimeField, None, allow_null=True)
    expires_at = shown(DateTimeField, None, allow_null=True)
    images_url = shown(URLField, "https://hopla.example/api/v1/tickets/94/images/", route="ticket-images")
    status_url = shown(URLField, "https://hopla.example/api/v1/tickets/94/status/", route="ticket-status")


class TicketWithSlotsSerializer(TicketSerializer):
    """A ticket with its slots as they were read with it, in `slots_read`. Lists do without."""

    slots = shown_slots()
    missing = shown_missing()


class ErrorSerializer(ShownSerializer):
    """Why the last attempt came to nothing."""

    class Meta:
        ref_name = "ImageError"

    code = shown(CharField, "cloudinary_refused", source="error_code")
    # Kept in English, as the pipeline or Cloudinary put it; shown in the reader's language where that is known.
    detail = shown(CharField, "Invalid image file", read=lambda image: gettext(image.error_detail))


class ReviewSerializer(ShownSerializer):
    """Why staff want another photo."""

    class Meta:
        ref_name = "ImageReview"

    reason = shown(ChoiceField, "blurred", source="rejection_reason", choices=RejectionReason.values)
    note = shown(CharField, "Hold the phone still, please.", source="rejection_note", help_text="For people to read.")
    at = shown(DateTimeField, "2026-11-21T15:30:12.001000Z", source="rejected_at")


class LocationSerializer(ShownSerializer):
    """Where the photo says it was taken, in degrees (WGS 84)."""

    class Meta:
        ref_name = "ImageLocation"

    latitude = shown(FloatField, 52.2296756, min_value=-90, max_value=90, help_text="North is positive.")
    longitude = shown(FloatField, 21.0122287, min_value=-180, max_value=180, help_text="East is positive.")


def shown_claims() -> tuple[RegexField, LocationSerializer, CharField]:
    """When, where and with what camera a photo says it was taken."""
    return (
        shown(
            RegexField,
            "2026-11-21T10:58:47.120+01:00",
            regex=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)?$",
            allow_null=True,
            help_text="When the photo says it was taken, by the camera's clock; null where it does not. ISO 8601, with "
            "an offset from UTC only if the photo names one: without one it is local time, wherever that was.",
        ),
        shown(
            LocationSerializer,
            LocationSerializer.example(),
            read=lambda image: image if image.shows_location else None,
            allow_null=True,
            help_text="Where the photo says it was taken; null where it does not, or the operator keeps no places.",
        ),
        shown(
            CharField,
            "Apple iPhone 13 Pro",
            max_length=100,
            allow_null=True,
            help_text="Make and model of the camera, as the photo says; null where it does not.",
        ),
    )


def url_of(image: Image) -> str | None:
    if not image.has_an_asset:
        return None
    return cloudinary.delivery_url(public_id=image.public_id, version=image.asset_version, format=image.asset_format)


def thumbnail_url_of(image: Image) -> str | None:
    if not image.has_an_asset:
        return None
    return cloudinary.thumbnail_url(public_id=image.public_id, version=image.asset_version)


class ImageSerializer(ShownSerializer):
    """One photo of a ticket."""

    id = shown(UUIDField, "7d0f8a34-52b5-4c5c-9a5c-1f6d3b9f0a11")
    position = shown(IntegerField, 1)
    slot = shown(CharField, None, allow_null=True, help_text="The name of its place; null where that has none.")
    status = shown(ChoiceField, "stored", choices=ImageStatus.values)
    filename = shown(CharField, "kitchen.jpg")
    content_type = shown(
        CharField,
        "image/jpeg",
        read=lambda image: image.content_type or None,
        allow_null=True,
        help_text="Null of a direct upload until it is stored, as are `width`, `height` and `format`.",
    )
    size = shown(
        IntegerField,
        3482911,
        allow_null=True,
        help_text="In bytes. Of a direct upload, until it is stored, what was announced; else null.",
    )
    sha256 = shown(
        CharField,
        "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        read=lambda image: image.sha256 or None,
        allow_null=True,
        help_text="Null of a direct upload, whose bytes this service has not seen.",
    )
    md5 = shown(
        CharField,
        None,
        read=lambda image: image.md5 or None,
        allow_null=True,
        help_text="Of a direct upload alone: what Cloudinary counted; until it is stored, what was announced.",
    )
    duplicate_of = shown(UUIDField, None, source="duplicate_of_id", allow_null=True)
    width = shown(
        IntegerField,
        4032,
        allow_null=True,
        help_text="In pixels, as a person sees the photo: turned and cropped as it asks for. Of a direct upload, as "
        "Cloudinary says.",
    )
    height = shown(IntegerField, 3024, allow_null=True, help_text="Likewise.")
    orientation = shown(
        IntegerField,
        1,
        min_value=1,
        max_value=8,
        help_text="How the photo is stored, in the numbers of EXIF: 1 is upright, 6 takes a quarter turn clockwise to "
        "be seen. From 5 on, the stored width is the `height` here.",
    )
    format = shown(CharField, "jpeg", read=lambda image: image.format or None, allow_null=True)
    captured_at, location, camera = shown_claims()
    url = shown(
        URLField,
        "https://res.cloudinary.com/demo/image/upload/v1795255201/hopla/7d0f8a34-52b5-4c5c-9a5c-1f6d3b9f0a11.jpg",
        read=url_of,
        allow_null=True,
        help_text="The photo itself; null until stored.",
    )
    thumbnail_url = shown(
        URLField,
        "https://res.cloudinary.com/demo/image/upload/c_fill,h_400,w_400/v1795255201"
        "/hopla/7d0f8a34-52b5-4c5c-9a5c-1f6d3b9f0a11",
        read=thumbnail_url_of,
        allow_null=True,
        help_text="400 x 400; null until stored.",
    )
    attempts = shown(
        IntegerField,
        1,
        source="attempts_counted",
        help_text="Attempts to store it: not those that were put off for all photos, nor those before staff had it "
        "tried again.",
    )
    error = shown(ErrorSerializer, None, read=lambda image: image if image.error_code else None, allow_null=True)
    next_retry_at = shown(DateTimeField, None, allow_null=True)
    review = shown(
        ReviewSerializer,
        None,
        read=lambda image: image if image.status == ImageStatus.REJECTED else None,
        allow_null=True,
        help_text="Of a rejected photo: staff want another for its place, which is free again. Null for others.",
    )
    created_at = shown(DateTimeField, "2026-11-21T10:00:05.310000Z")
    stored_at = shown(DateTimeField, "2026-11-21T10:00:07.842000Z", allow_null=True)


AWAITED_IMAGE = ImageSerializer.example(
    status="awaiting_upload",
    **dict.fromkeys(("content_type", "sha256", "width", "height", "format", "url", "thumbnail_url", "stored_at")),
    **dict.fromkeys(("captured_at", "location", "camera")),
    attempts=0,
)


class NewDirectUploadSerializer(NullIsLeftOut, serializers.Serializer):
    """A photo that the client will post to Cloudinary itself."""

    filename = StrictCharField(max_length=1000)
    content_type = StrictCharField(max_length=255, required=False, allow_blank=True, default="")
    size = StrictIntegerField(
        min_value=0, required=False, default=None, help_text="In bytes. Another number that comes fails the photo."
    )
    md5 = StrictCharField(
        required=False,
        default=None,
        validators=[RegexValidator(r"^[0-9a-fA-F]{32}\Z", _("An md5 has 32 hexadecimal digits."))],
        help_text="In hexadecimal digits. Other bytes that come fail the photo.",
    )
    slot = StrictCharField(
        required=False, allow_blank=True, default="", help_text="The name of the place that the photo is for."
    )

    class Meta:
        swagger_schema_fields = {"example": {"filename": "kitchen.jpg", "size": 3482911, "slot": ""}}

    def validate_md5(self, md5):
        return (md5 or "").lower()


class SignedFormSerializer(ShownSerializer):
    """What to post to Cloudinary, as multipart/form-data: each of `fields` as it is, and then the photo as `file`."""

    url = shown(
        CharField,
        "https://api.cloudinary.com/v1_1/demo/image/upload",
        read=lambda it: it["form"].url,
    )
    method = shown(CharField, "POST", read=lambda it: "POST")
    fields = shown(
        DictField,
        {
            "public_id": "hopla/7d0f8a34-52b5-4c5c-9a5c-1f6d3b9f0a11",
            "timestamp": "1795255201",
            "signature": "bfd09f95…",
        },
        child=CharField(),
        read=lambda it: it["form"].fields,
        help_text="All signed: change none, and add none.",
    )
    expires_at = shown(
        DateTimeField,
        "2026-11-21T10:15:05Z",
        read=lambda it: it["expires_at"],
        help_text="Then the form ends, and the place is free unless the photo has come.",
    )


class DirectUploadSerializer(ShownSerializer):
    """A direct upload that has begun."""

    image = shown(ImageSerializer, AWAITED_IMAGE, read=lambda it: it["image"])
    upload = shown(SignedFormSerializer, SignedFormSerializer.example(), read=lambda it: it["upload"])


class ConfirmationSerializer(serializers.Serializer):
    """Cloudinary's answer to an upload. What else it has is not read."""

    public_id = StrictCharField(max_length=255, trim_whitespace=False)
    version = StrictIntegerField(min_value=0, max_value=2**63 - 1)
    signature = StrictCharField(max_length=64)

    class Meta:
        swagger_schema_fields = {
            "example": {
                "public_id": "hopla/7d0f8a34-52b5-4c5c-9a5c-1f6d3b9f0a11",
                "version": 1795255201,
                "signature": "bfd09f95f331f558cbd1320e67aa8d488770583e",
            }
        }


class NotificationOutcomeSerializer(ShownSerializer):
    """What a notification of Cloudinary's came to."""

    outcome = shown(ChoiceField, "stored", choices=settling.OUTCOMES)


class TicketDetailSerializer(TicketWithSlotsSerializer):
    """A ticket as `read_ticket_with_images` reads it."""

    class Meta:
        swagger_schema_fields = {"x-not-for-guests": ["reference", "metadata"]}

    images = shown(ImageSerializer, [ImageSerializer.example()], read=attrgetter("images_read"), many=True)


class TicketForGuestsSerializer(TicketDetailSerializer):
    """Likewise, without what is the owner's own."""

    reference = metadata = None


class TicketStatusSerializer(ShownSerializer):
    """What a client that watches a ticket reads."""

    ticket_id = shown(IntegerField, 94, source="id")
    status = shown(ChoiceField, "in_progress", choices=TicketStatus.values)
    review = shown_review()
    progress = shown(ProgressSerializer, ProgressSerializer.example(), read=counted)
    slots = shown_slots()
    missing = shown_missing()


class KindSerializer(ShownSerializer):
    """A kind of tickets, in the reader's language; else in English, or in the first language it is written in."""

    class Meta:
        ref_name = "TicketKind"

    name = shown(CharField, "car-damage")
    version = shown(IntegerField, 3, help_text="Raised with every change.")
    title = shown(CharField, "A damaged car", read=lambda kind: in_language(kind.titles, get_language()))
    instructions = shown(
        CharField,
        "Take the photos in daylight.",
        read=lambda kind: in_language(kind.instructions, get_language()),
    )
    slots = shown(
        KindSlotSerializer,
        [KindSlotSerializer.example()],
        read=lambda kind: slots_now(slots_in(get_language(), kind), []),
        many=True,
    )
    num_images = shown(IntegerField, 1, source="number_of_places", help_text="How many photos its tickets take.")
    expires_in_seconds = shown(
        IntegerField, None, allow_null=True, help_text="How long its tickets take photos; null: without end."
    )
