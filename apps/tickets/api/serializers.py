"""What tickets and images look like to a client. The field names are the contract's.

A new field is one line here, where `shown` says what follows from it: the JSON, the schema, its example and the Postman
collection (`python -m script.make_postman` writes that).
"""

from collections.abc import Mapping
from operator import attrgetter
from types import SimpleNamespace

from django.conf import settings
from django.utils import timezone
from django.utils.translation import get_language, gettext
from django.utils.translation import gettext_lazy as _
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail
from rest_framework.serializers import CharField, ChoiceField, DateTimeField, IntegerField, URLField, UUIDField

from apps.common.api.fields import MomentField, NullIsLeftOut, StrictCharField, StrictIntegerField
from apps.common.db.snapshot import one_snapshot
from apps.tickets.api.shown import ShownSerializer, shown
from apps.tickets.kinds.copying import slot_in
from apps.tickets.models import Image, Progress, Ticket, TicketKind
from apps.tickets.models.kind import NAME_MAX_LENGTH, PhotoSource, in_language
from apps.tickets.models.statuses import ImageStatus, TicketStatus
from apps.tickets.storage import cloudinary


class NewTicketSerializer(NullIsLeftOut, serializers.Serializer):
    """A ticket to open."""

    title = StrictCharField(max_length=200, required=False, allow_blank=True, default="")
    description = StrictCharField(max_length=5000, required=False, allow_blank=True, default="")
    expires_at = MomentField(
        required=False, default=None, help_text="After this moment the ticket takes no more photos."
    )
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
            required=False,
            allow_null=True,  # as NullIsLeftOut has it of the others
            error_messages={"max_value": _("A ticket takes at most {max_value} photos.")},
            help_text="How many photos make the set complete. Needed unless `kind` says it.",
        )
        return {"num_images": num_images} | super().get_fields()

    def validate_expires_at(self, value):
        if value is not None and value <= timezone.now():
            raise serializers.ValidationError(_("This moment is in the past."), code="in_the_past")
        return value

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
        missing = self._missing(data) if isinstance(data, Mapping) else {}
        try:
            fields = super().to_internal_value(data)
        except serializers.ValidationError as refusal:
            raise serializers.ValidationError(missing | refusal.detail) from refusal
        if missing:
            raise serializers.ValidationError(missing)
        return fields

    def _missing(self, data: Mapping) -> dict:
        """Returns the error of a ticket for which neither the number nor a kind is given."""
        if data.get("num_images") is not None or data.get("kind") is not None:
            return {}
        code = "null" if "num_images" in data else "required"
        return {"num_images": [ErrorDetail(self.fields["num_images"].error_messages[code], code=code)]}

    def validate(self, fields):
        kind, num_images = fields["kind"], fields.get("num_images")
        if kind is not None and num_images is not None and num_images < kind.number_of_places:
            message = _("A ticket of this kind takes at least {min_value} photos.")
            told = message.format(min_value=kind.number_of_places)
            raise serializers.ValidationError({"num_images": [told]}, code="min_value")
        return fields


class ProgressSerializer(ShownSerializer):
    """How far a ticket is, counted in the database."""

    declared = shown(IntegerField, 7, help_text="Photos the ticket was opened for.")
    received = shown(IntegerField, 3, help_text="Photos accepted and not failed.")
    stored = shown(IntegerField, 2, help_text="Photos stored at Cloudinary.")
    failed = shown(IntegerField, 1, help_text="Photos that failed; their places are free again.")
    remaining = shown(IntegerField, 4, help_text="How many uploads the ticket still takes: declared - received.")
    percent = shown(IntegerField, 28, help_text="100 * stored / declared, rounded down.")


def counted(ticket: Ticket) -> Progress:
    return getattr(ticket, "counted", None) or ticket.progress()


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
    status = shown(ChoiceField, "in_progress", choices=TicketStatus.values)
    progress = shown(ProgressSerializer, ProgressSerializer.example(), read=counted)
    created_at = shown(DateTimeField, "2026-11-21T10:00:00Z")
    updated_at = shown(DateTimeField, "2026-11-21T10:02:41.120000Z")
    completed_at = shown(DateTimeField, None, allow_null=True)
    expires_at = shown(DateTimeField, None, allow_null=True)
    images_url = shown(URLField, "https://hopla.example/api/v1/tickets/94/images/", route="ticket-images")
    status_url = shown(URLField, "https://hopla.example/api/v1/tickets/94/status/", route="ticket-status")


class ErrorSerializer(ShownSerializer):
    """Why the last attempt came to nothing."""

    class Meta:
        ref_name = "ImageError"

    code = shown(CharField, "cloudinary_refused", source="error_code")
    # Kept in English, as the pipeline or Cloudinary put it; shown in the reader's language where that is known.
    detail = shown(CharField, "Invalid image file", read=lambda image: gettext(image.error_detail))


def url_of(image: Image) -> str | None:
    if image.status != ImageStatus.STORED:
        return None
    return cloudinary.delivery_url(public_id=image.public_id, version=image.asset_version, format=image.asset_format)


def thumbnail_url_of(image: Image) -> str | None:
    if image.status != ImageStatus.STORED:
        return None
    return cloudinary.thumbnail_url(public_id=image.public_id, version=image.asset_version)


class ImageSerializer(ShownSerializer):
    """One photo of a ticket."""

    id = shown(UUIDField, "7d0f8a34-52b5-4c5c-9a5c-1f6d3b9f0a11")
    position = shown(IntegerField, 1)
    slot = shown(CharField, None, read=lambda image: None, allow_null=True)
    status = shown(ChoiceField, "stored", choices=ImageStatus.values)
    filename = shown(CharField, "kitchen.jpg")
    content_type = shown(CharField, "image/jpeg")
    size = shown(IntegerField, 3482911)
    sha256 = shown(CharField, "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")
    duplicate_of = shown(UUIDField, None, source="duplicate_of_id", allow_null=True)
    width = shown(
        IntegerField, 4032, help_text="In pixels, as a person sees the photo: turned and cropped as it asks for."
    )
    height = shown(IntegerField, 3024, help_text="Likewise.")
    orientation = shown(
        IntegerField,
        1,
        min_value=1,
        max_value=8,
        help_text="How the photo is stored, in the numbers of EXIF: 1 is upright, 6 takes a quarter turn clockwise to "
        "be seen. From 5 on, the stored width is the `height` here.",
    )
    format = shown(CharField, "jpeg")
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
    created_at = shown(DateTimeField, "2026-11-21T10:00:05.310000Z")
    stored_at = shown(DateTimeField, "2026-11-21T10:00:07.842000Z", allow_null=True)


class TicketDetailSerializer(TicketSerializer):
    """A ticket as `read_ticket_with_images` reads it."""

    images = shown(ImageSerializer, [ImageSerializer.example()], read=attrgetter("images_read"), many=True)


class TicketStatusSerializer(ShownSerializer):
    """The short answer for watching a ticket."""

    ticket_id = shown(IntegerField, 94, source="id")
    status = shown(ChoiceField, "in_progress", choices=TicketStatus.values)
    progress = shown(ProgressSerializer, ProgressSerializer.example(), read=counted)


class SlotSerializer(ShownSerializer):
    """A named place, as a ticket that is opened by the kind will have it, in the reader's language."""

    name = shown(CharField, "front")
    title = shown(CharField, "Front")
    instructions = shown(CharField, "The whole car, the number plate in the picture.")
    example_url = shown(
        URLField,
        "https://res.cloudinary.com/demo/image/upload/v1795255201"
        "/hopla-examples/0b1f6a52-8a3e-4a57-9a59-5f5a1c1f7f0e.jpg",
        allow_null=True,
        help_text="A picture of what the photo should look like.",
    )
    source = shown(
        ChoiceField,
        "any",
        choices=PhotoSource.values,
        help_text="`camera`: apps should have the photo taken now, and offer no file to choose.",
    )


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
        SlotSerializer,
        [SlotSerializer.example()],
        read=lambda kind: [SimpleNamespace(**slot_in(get_language(), slot)) for slot in kind.slots.all()],
        many=True,
    )
    num_images = shown(IntegerField, 1, source="number_of_places", help_text="How many photos its tickets take.")
    expires_in_seconds = shown(
        IntegerField, None, allow_null=True, help_text="How long its tickets take photos; null: without end."
    )
