"""API keys as JSON. The field names are the contract's."""

from django.utils.translation import gettext_lazy as _
from rest_framework import serializers
from rest_framework.serializers import CharField, ChoiceField, DateTimeField, IntegerField, ListField

from apps.common.api.fields import FutureMomentField, NullIsLeftOut, StrictCharField
from apps.integrations.keys.form import prefix_of
from apps.integrations.keys.scopes import Scope
from apps.integrations.models.api_key import NAME_MAX_LENGTH, is_a_name
from apps.tickets.api.shown import ShownSerializer, shown

EXAMPLE_KEY = "hopla_EXAMPLEexampleEXAMPLEexampleEXAMPLEexampleXXXXXXX"


class ScopeField(ChoiceField):
    default_error_messages = {"invalid_choice": _("There is no scope {input}. The scopes are: {scopes}.")}

    def fail(self, key, **named):
        super().fail(key, scopes=", ".join(Scope.values), **named)


class NewApiKeySerializer(NullIsLeftOut, serializers.Serializer):
    """An API key to make."""

    name = StrictCharField(
        max_length=NAME_MAX_LENGTH,
        validators=[is_a_name],
        help_text="What it is for, so that you know it again.",
    )
    scopes = ListField(
        child=ScopeField(choices=Scope.values),
        allow_empty=False,
        min_length=1,  # the same, for the schema
        max_length=100,
        help_text="What it may do.",
    )
    expires_at = FutureMomentField(
        required=False, default=None, help_text="From this moment on it is refused. Without one it works until revoked."
    )

    class Meta:
        ref_name = "NewApiKey"
        swagger_schema_fields = {"example": {"name": "Order system", "scopes": ["tickets:write", "images:write"]}}


class ApiKeySerializer(ShownSerializer):
    """An API key, without what it is used by."""

    id = shown(IntegerField, 3)
    name = shown(CharField, "Order system")
    prefix = shown(CharField, prefix_of(EXAMPLE_KEY), help_text="How it begins, so that you know which one it is.")
    scopes = shown(
        ListField,
        ["tickets:write", "images:write"],
        child=ChoiceField(choices=Scope.values),
        help_text="What it may do.",
    )
    created_at = shown(DateTimeField, "2026-11-21T10:00:00Z")
    expires_at = shown(DateTimeField, None, allow_null=True, help_text="Null: it works until it is revoked.")
    last_used_at = shown(DateTimeField, None, allow_null=True, help_text="To the minute.")


class NewlyMadeApiKeySerializer(ApiKeySerializer):
    """An API key as the answer to its making shows it."""

    class Meta:
        ref_name = "NewlyMadeApiKey"

    key = shown(
        CharField,
        EXAMPLE_KEY,
        allow_null=True,
        help_text="For `Authorization: Token <key>`: shown only once. Null for a repeated Idempotency-Key.",
    )
