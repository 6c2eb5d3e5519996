"""Webhook endpoints and their deliveries as JSON. The field names are the contract's."""

from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from rest_framework import serializers
from rest_framework.serializers import (
    BooleanField,
    CharField,
    ChoiceField,
    DateTimeField,
    IntegerField,
    JSONField,
    ListField,
    UUIDField,
)

from apps.common.api.fields import (
    MomentField,
    NullIsLeftOut,
    RefusesFixedFields,
    StrictBooleanField,
    StrictCharField,
)
from apps.integrations.models import DeliveryStatus, DisabledReason, EventType
from apps.integrations.models.delivery import ANSWER_MAX_LENGTH
from apps.integrations.models.endpoint import DESCRIPTION_MAX_LENGTH, URL_MAX_LENGTH
from apps.tickets.api.shown import ShownSerializer, shown

EXAMPLE_OF_A_SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"  # noqa: S105
MOST_EVENTS = 50  # each may be named more than once


class WebhookSerializer(ShownSerializer):
    """A webhook endpoint, without its secret."""

    id = shown(IntegerField, 7)
    url = shown(CharField, "https://erp.example/hooks/hopla")
    events = shown(
        ListField,
        ["ticket.completed", "image.rejected"],
        child=ChoiceField(choices=EventType.values),
        help_text="The types of events that it gets; empty: all.",
    )
    description = shown(CharField, "The ERP")
    enabled = shown(BooleanField, True, help_text="Whether events are sent to it.")
    disabled_reason = shown(
        ChoiceField,
        None,
        choices=DisabledReason.values,
        allow_null=True,
        read=lambda endpoint: endpoint.disabled_reason or None,
        help_text="Why not: it answered 410 (`gone`), nothing but failures came of it for days (`failing`), or you "
        "disabled it (`owner`).",
    )
    failing_since = shown(
        DateTimeField, None, allow_null=True, help_text="Since when every delivery to it has failed; null: it works."
    )
    last_success_at = shown(DateTimeField, "2026-11-21T10:04:11Z", allow_null=True)
    created_at = shown(DateTimeField, "2026-11-21T10:00:00Z")


class NewlyMadeWebhookSerializer(WebhookSerializer):
    """A webhook endpoint as the answer to its making shows it."""

    class Meta:
        ref_name = "NewlyMadeWebhook"

    secret = shown(CharField, EXAMPLE_OF_A_SECRET, help_text="Verify with it what it gets: shown only once.")


class WebhookSecretSerializer(ShownSerializer):
    """The secret that signs from now on."""

    class Meta:
        ref_name = "WebhookSecret"

    secret = shown(CharField, EXAMPLE_OF_A_SECRET, help_text="Shown only once.")
    old_secret_until = shown(
        DateTimeField, "2026-11-22T10:00:00Z", help_text="Until then the one before it signs beside it."
    )


class EventTypeField(ChoiceField):
    default_error_messages = {"invalid_choice": _("There is no event “{input}”. Known events are {known}.")}

    def fail(self, key, **details):
        super().fail(key, known=", ".join(EventType.values), **details)


class EventTypesField(ListField):
    """Types of events, each once, in the order in which they were named."""

    def __init__(self, **options):
        child = EventTypeField(choices=EventType.values)
        super().__init__(child=child, required=False, max_length=MOST_EVENTS, **options)

    def run_validation(self, *data):
        return list(dict.fromkeys(super().run_validation(*data)))


class WebhookChangeSerializer(NullIsLeftOut, RefusesFixedFields, serializers.Serializer):
    """What can be changed of a webhook endpoint. What is left out stays."""

    url = StrictCharField(
        max_length=URL_MAX_LENGTH,
        required=False,
        help_text="Where the events are posted: https, by a name or address that is reachable from the Internet.",
    )
    events = EventTypesField(help_text="The types of events that it gets; empty: all.")
    description = StrictCharField(
        max_length=DESCRIPTION_MAX_LENGTH, required=False, allow_blank=True, help_text="What it is for, for you."
    )
    enabled = StrictBooleanField(required=False, help_text="With `true` it begins anew, whatever disabled it.")

    fixed_fields = tuple(
        name for name in NewlyMadeWebhookSerializer.names() if name not in ("url", "events", "description", "enabled")
    )

    class Meta:
        ref_name = "WebhookChange"
        swagger_schema_fields = {"example": {"events": ["ticket.completed"], "enabled": True}}


class NewWebhookSerializer(NullIsLeftOut, serializers.Serializer):
    """A webhook endpoint to make."""

    url = StrictCharField(
        max_length=URL_MAX_LENGTH,
        help_text="Where the events are posted: https, by a name or address that is reachable from the Internet.",
    )
    events = EventTypesField(default=list, help_text="The types of events that it gets; empty: all.")
    description = StrictCharField(
        max_length=DESCRIPTION_MAX_LENGTH,
        required=False,
        allow_blank=True,
        default="",
        help_text="What it is for, for you.",
    )

    class Meta:
        ref_name = "NewWebhook"
        swagger_schema_fields = {
            "example": {"url": "https://erp.example/hooks/hopla", "events": ["ticket.completed", "image.rejected"]}
        }


class DeliverySerializer(ShownSerializer):
    """How it goes with one event for one endpoint. Read it with its event."""

    id = shown(IntegerField, 4711)
    event_id = shown(UUIDField, "019ab2c4-5d6e-7f01-8a2b-3c4d5e6f7081", help_text="The `webhook-id` of the request.")
    type = shown(ChoiceField, "ticket.completed", choices=EventType.values, source="event.type")
    status = shown(ChoiceField, "delivered", choices=DeliveryStatus.values)
    attempts = shown(IntegerField, 1, help_text="How many were begun.")
    http_status = shown(
        IntegerField, 200, allow_null=True, help_text="Of the last attempt's answer; null: there was none."
    )
    milliseconds = shown(IntegerField, 84, allow_null=True, help_text="How long the last attempt took.")
    answer = shown(
        CharField,
        "ok",
        help_text="What the last attempt got: the answer, or why there was none. At most "
        f"{ANSWER_MAX_LENGTH} characters of it.",
    )
    next_try_at = shown(DateTimeField, None, allow_null=True, help_text="Null once it is settled.")
    created_at = shown(DateTimeField, "2026-11-21T10:04:10Z")
    delivered_at = shown(DateTimeField, "2026-11-21T10:04:11Z", allow_null=True)


class DeliveryWithDataSerializer(DeliverySerializer):
    """The same with what was sent."""

    class Meta:
        ref_name = "DeliveryWithData"

    timestamp = shown(DateTimeField, "2026-11-21T10:04:10Z", source="event.at", help_text="Of the event.")
    data = shown(
        JSONField,
        {"ticket": {"id": 94, "status": "completed"}, "sequence": 9},
        source="event.data",
        help_text="What the request said of it.",
    )


class RecoverSerializer(serializers.Serializer):
    """From when on events are to be sent again."""

    since = MomentField(help_text="A date or a timestamp.")

    class Meta:
        ref_name = "Recover"
        swagger_schema_fields = {"example": {"since": "2026-11-20T08:00:00Z"}}

    def validate_since(self, value):
        if value > timezone.now():
            raise serializers.ValidationError(_("This moment is in the future."), code="in_the_future")
        return value


class RecoveredSerializer(ShownSerializer):
    """How many events are sent again."""

    class Meta:
        ref_name = "Recovered"

    count = shown(IntegerField, 12)
