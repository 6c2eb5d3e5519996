"""What tickets and images look like to a client. The field names are the contract's."""

from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from drf_yasg.utils import swagger_serializer_method
from rest_framework import serializers
from rest_framework.reverse import reverse

from apps.common.api.fields import MomentField, NullIsLeftOut, StrictCharField, StrictIntegerField
from apps.tickets.models import Image, Ticket
from apps.tickets.models.statuses import ImageStatus, TicketStatus
from apps.tickets.storage import cloudinary


class ProgressSerializer(serializers.Serializer):
    """How far a ticket is, counted in the database."""

    declared = serializers.IntegerField(help_text="Photos the ticket was opened for.")
    received = serializers.IntegerField(help_text="Photos accepted and not failed.")
    stored = serializers.IntegerField(help_text="Photos stored at Cloudinary.")
    failed = serializers.IntegerField(help_text="Photos that failed; their places are free again.")
    remaining = serializers.IntegerField(help_text="How many uploads the ticket still takes: declared - received.")
    percent = serializers.IntegerField(help_text="100 * stored / declared, rounded down.")

    def to_representation(self, progress):
        """By hand, as all that many polls read: REST framework makes the fields anew for each answer."""
        return {name: getattr(progress, name) for name in PROGRESS_FIELDS}


PROGRESS_FIELDS = tuple(ProgressSerializer._declared_fields)


class NewTicketSerializer(NullIsLeftOut, serializers.Serializer):
    """A ticket to open."""

    title = StrictCharField(max_length=200, required=False, allow_blank=True, default="")
    description = StrictCharField(max_length=5000, required=False, allow_blank=True, default="")
    expires_at = MomentField(
        required=False, default=None, help_text="After this moment the ticket takes no more photos."
    )

    class Meta:
        swagger_schema_fields = {"example": {"num_images": 7, "title": "Flat 3B, hand-over"}}

    def get_fields(self):
        """With the bound that the settings name at this moment, for the schema too."""
        num_images = StrictIntegerField(
            min_value=1,
            max_value=settings.TICKET_MAX_IMAGES,
            error_messages={"max_value": _("A ticket takes at most {max_value} photos.")},
            help_text="How many photos make the set complete.",
        )
        return {"num_images": num_images} | super().get_fields()

    def validate_expires_at(self, value):
        if value is not None and value <= timezone.now():
            raise serializers.ValidationError(_("This moment is in the past."), code="in_the_past")
        return value


class TicketSerializer(serializers.ModelSerializer):
    """A ticket. Set `ticket.counted` to its Progress beforehand where many are shown: else each is counted alone."""

    ticket_id = serializers.IntegerField(source="id", read_only=True, help_text="The same as `id`.")
    status = serializers.ChoiceField(choices=TicketStatus.values, read_only=True)
    progress = serializers.SerializerMethodField()
    images_url = serializers.SerializerMethodField()
    status_url = serializers.SerializerMethodField()

    class Meta:
        model = Ticket
        fields = [
            "id",
            "ticket_id",
            "title",
            "description",
            "num_images",
            "status",
            "progress",
            "created_at",
            "updated_at",
            "completed_at",
            "expires_at",
            "images_url",
            "status_url",
        ]
        read_only_fields = fields

    def to_representation(self, ticket):
        """By hand: see ProgressSerializer."""
        return {
            "id": ticket.pk,
            "ticket_id": ticket.pk,
            "title": ticket.title,
            "description": ticket.description,
            "num_images": ticket.num_images,
            "status": ticket.status,
            "progress": self.get_progress(ticket),
            "created_at": timestamp(ticket.created_at),
            "updated_at": timestamp(ticket.updated_at),
            "completed_at": timestamp(ticket.completed_at),
            "expires_at": timestamp(ticket.expires_at),
            "images_url": self.get_images_url(ticket),
            "status_url": self.get_status_url(ticket),
        }

    @swagger_serializer_method(ProgressSerializer)
    def get_progress(self, ticket):
        return ProgressSerializer().to_representation(counted(ticket))

    @swagger_serializer_method(serializers.URLField)
    def get_images_url(self, ticket):
        return self._url("ticket-images", ticket)

    @swagger_serializer_method(serializers.URLField)
    def get_status_url(self, ticket):
        return self._url("ticket-status", ticket)

    def _url(self, name, ticket):
        return reverse(name, kwargs={"ticket_id": ticket.pk}, request=self.context.get("request"))


class ErrorSerializer(serializers.Serializer):
    """Why the last attempt came to nothing."""

    class Meta:
        ref_name = "ImageError"

    code = serializers.CharField()
    detail = serializers.CharField()


class LocationSerializer(serializers.Serializer):
    """Where the photo says it was taken, in degrees (WGS 84)."""

    class Meta:
        ref_name = "ImageLocation"

    latitude = serializers.FloatField(min_value=-90, max_value=90, help_text="North is positive.")
    longitude = serializers.FloatField(min_value=-180, max_value=180, help_text="East is positive.")


class ImageSerializer(serializers.ModelSerializer):
    """One photo of a ticket."""

    status = serializers.ChoiceField(choices=ImageStatus.values, read_only=True)
    slot = serializers.CharField(read_only=True, default=None, allow_null=True)
    attempts = serializers.IntegerField(
        source="attempts_counted",
        read_only=True,
        help_text="Attempts to store it: not those that were put off for all photos, nor those before staff had it "
        "tried again.",
    )
    duplicate_of = serializers.UUIDField(source="duplicate_of_id", read_only=True, allow_null=True)
    url = serializers.SerializerMethodField()
    thumbnail_url = serializers.SerializerMethodField()
    error = serializers.SerializerMethodField()
    captured_at = serializers.RegexField(
        r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)?$",
        read_only=True,
        allow_null=True,
        help_text="When the photo says it was taken, by the camera's clock; null where it does not. ISO 8601, with an "
        "offset from UTC only if the photo names one: without one it is local time, wherever that was.",
    )
    location = serializers.SerializerMethodField()

    class Meta:
        model = Image
        fields = [
            "id",
            "position",
            "slot",
            "status",
            "filename",
            "content_type",
            "size",
            "sha256",
            "duplicate_of",
            "width",
            "height",
            "orientation",
            "format",
            "captured_at",
            "location",
            "camera",
            "url",
            "thumbnail_url",
            "attempts",
            "error",
            "next_retry_at",
            "created_at",
            "stored_at",
        ]
        read_only_fields = fields
        extra_kwargs = {
            "width": {"help_text": "In pixels, as a person sees the photo: turned and cropped as it asks for."},
            "height": {"help_text": "Likewise."},
            "orientation": {
                "min_value": 1,
                "max_value": 8,
                "help_text": "How the photo is stored, in the numbers of EXIF: 1 is upright, 6 takes a quarter turn "
                "clockwise to be seen. From 5 on, the stored width is the `height` here.",
            },
            "camera": {"help_text": "Make and model of the camera, as the photo says; null where it does not."},
        }

    def to_representation(self, image):
        """By hand: REST framework makes all these fields anew for each answer, which costs more than its queries."""
        return {
            "id": str(image.pk),
            "position": image.position,
            "slot": None,
            "status": image.status,
            "filename": image.filename,
            "content_type": image.content_type,
            "size": image.size,
            "sha256": image.sha256,
            "duplicate_of": image.duplicate_of_id and str(image.duplicate_of_id),
            "width": image.width,
            "height": image.height,
            "orientation": image.orientation,
            "format": image.format,
            **image.claims,
            "url": self.get_url(image),
            "thumbnail_url": self.get_thumbnail_url(image),
            "attempts": image.attempts_counted,
            "error": self.get_error(image),
            "next_retry_at": timestamp(image.next_retry_at),
            "created_at": timestamp(image.created_at),
            "stored_at": timestamp(image.stored_at),
        }

    @swagger_serializer_method(serializers.URLField(allow_null=True, help_text="The photo itself; null until stored."))
    def get_url(self, image):
        if image.status != ImageStatus.STORED:
            return None
        return cloudinary.delivery_url(
            public_id=image.public_id, version=image.asset_version, format=image.asset_format
        )

    @swagger_serializer_method(serializers.URLField(allow_null=True, help_text="400 x 400; null until stored."))
    def get_thumbnail_url(self, image):
        if image.status != ImageStatus.STORED:
            return None
        return cloudinary.thumbnail_url(public_id=image.public_id, version=image.asset_version)

    @swagger_serializer_method(
        LocationSerializer(
            allow_null=True,
            help_text="Where the photo says it was taken; null where it does not, or the operator keeps no places.",
        )
    )
    def get_location(self, image):
        return image.claims["location"]

    @swagger_serializer_method(ErrorSerializer(allow_null=True))
    def get_error(self, image):
        if not image.error_code:
            return None
        # Kept in English, as the pipeline or Cloudinary put it; shown in the reader's language where that is known.
        return {"code": image.error_code, "detail": gettext(image.error_detail)}


class TicketDetailSerializer(TicketSerializer):
    """A ticket as `Ticket.objects.read_with_images` reads it."""

    images = ImageSerializer(many=True, read_only=True)

    class Meta(TicketSerializer.Meta):
        fields = [*TicketSerializer.Meta.fields, "images"]
        read_only_fields = fields

    def to_representation(self, ticket):
        one = ImageSerializer()
        return super().to_representation(ticket) | {
            "images": [one.to_representation(each) for each in ticket.images_read]
        }


class TicketStatusSerializer(serializers.Serializer):
    """The short answer for watching a ticket."""

    ticket_id = serializers.IntegerField(source="id")
    status = serializers.ChoiceField(choices=TicketStatus.values)
    progress = serializers.SerializerMethodField()

    def to_representation(self, ticket):
        return {"ticket_id": ticket.pk, "status": ticket.status, "progress": self.get_progress(ticket)}

    @swagger_serializer_method(ProgressSerializer)
    def get_progress(self, ticket):
        return ProgressSerializer().to_representation(counted(ticket))


def timestamp(moment) -> str | None:
    """As REST framework writes it: ISO 8601, with Z for UTC."""
    return moment and moment.isoformat().replace("+00:00", "Z")


def counted(ticket: Ticket):
    return getattr(ticket, "counted", None) or ticket.progress()
