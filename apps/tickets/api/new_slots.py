"""What a client may say of a new ticket's slots and metadata."""

from urllib.parse import urlsplit

from django.conf import settings
from django.core.validators import URLValidator
from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from apps.common.api.fields import NullIsLeftOut, StrictCharField
from apps.tickets.models.slots import (
    INSTRUCTIONS_MAX_LENGTH,
    NAME_MAX_LENGTH,
    TITLE_MAX_LENGTH,
    is_a_name,
    slot_as_kept,
)
from apps.tickets.models.statuses import SlotSource

MAX_KEYS = 20
MAX_KEY_LENGTH = 40
MAX_VALUE_LENGTH = 500


class NewSlotSerializer(NullIsLeftOut, serializers.Serializer):
    """A named place of a new ticket: the name alone, or an object with it. Returns what `Ticket.slots` holds of it."""

    name = StrictCharField(max_length=NAME_MAX_LENGTH, trim_whitespace=False, validators=[is_a_name])
    title = StrictCharField(max_length=TITLE_MAX_LENGTH, required=False, allow_blank=True)
    instructions = StrictCharField(max_length=INSTRUCTIONS_MAX_LENGTH, required=False, allow_blank=True)
    example_url = serializers.URLField(
        max_length=2000, required=False, help_text="https; in development http, too.", trim_whitespace=False
    )
    source = serializers.ChoiceField(
        choices=SlotSource.values,
        required=False,
        help_text="`camera`: the photo is to be taken, not chosen; apps ask for it, nothing is refused.",
    )

    class Meta:
        ref_name = "NewSlot"
        swagger_schema_fields = {"example": {"name": "front", "title": "The car from the front"}}

    def to_internal_value(self, data):
        return slot_as_kept(**super().to_internal_value({"name": data} if isinstance(data, str) else data))

    def validate_example_url(self, value):
        schemes = ("https", "http") if settings.DEBUG else ("https",)
        if urlsplit(value).scheme.lower() not in schemes:
            raise serializers.ValidationError(URLValidator.message, code="invalid")
        return value


def require_names_once(slots: list[dict]) -> None:
    """Raise ValidationError for a name that comes again."""
    seen = set()
    for slot in slots:
        if slot["name"] in seen:
            raise serializers.ValidationError(
                _("The name {name} comes more than once.").format(name=slot["name"]), code="repeated"
            )
        seen.add(slot["name"])


class MetadataField(serializers.DictField):
    """Strings by name, within bounds."""

    default_error_messages = {
        "too_many_keys": _("There are at most {max_keys} keys."),
    }
    key = StrictCharField(max_length=MAX_KEY_LENGTH, trim_whitespace=False, allow_blank=True)

    class Meta:
        swagger_schema_fields = {"maxProperties": MAX_KEYS, "example": {"order": "A-1002"}}

    def __init__(self, **options):
        value = StrictCharField(max_length=MAX_VALUE_LENGTH, trim_whitespace=False, allow_blank=True)
        super().__init__(child=value, **options)

    def to_internal_value(self, data):
        if isinstance(data, dict):
            if len(data) > MAX_KEYS:
                self.fail("too_many_keys", max_keys=MAX_KEYS)
            for name in data:
                self.key.run_validation(name)
        return super().to_internal_value(data)
