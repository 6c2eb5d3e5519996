"""What events look like to a client."""

from operator import attrgetter

from rest_framework.serializers import CharField, ChoiceField, DateTimeField, DictField, IntegerField, UUIDField

from apps.integrations.models import EventType
from apps.integrations.models.facts import ImageThenSerializer, TicketThenSerializer
from apps.tickets.api.shown import ShownSerializer, shown


class EventDataSerializer(ShownSerializer):
    """What an event tells. It is kept as it was told first."""

    class Meta:
        ref_name = "EventData"
        swagger_schema_fields = {"x-not-in-each": ["ticket", "image", "sequence", "webhook"]}

    ticket = shown(
        TicketThenSerializer,
        TicketThenSerializer.example(),
        help_text="Of `ticket.…` and `image.…`: the ticket as lists show it, as it was.",
    )
    image = shown(ImageThenSerializer, ImageThenSerializer.example(), help_text="Of `image.…`: the photo, as it was.")
    sequence = shown(
        IntegerField, 12, help_text="Grows from event to event of a ticket: whatever came first has the lower one."
    )
    webhook = shown(DictField, None, child=CharField(), help_text="Of `webhook.disabled` and `ping`: that webhook.")

    def to_representation(self, data):
        return data


class EventSerializer(ShownSerializer):
    """Something that happened."""

    class Meta:
        ref_name = "Event"

    id = shown(UUIDField, "019ac1d4-7a1c-7a52-9e0f-4b8f5f1d2c3e", help_text="The same as the webhook-id.")
    type = shown(ChoiceField, "image.stored", choices=EventType.values)
    timestamp = shown(DateTimeField, "2026-11-21T10:00:07.842000Z", source="at", help_text="When it happened.")
    data = shown(
        EventDataSerializer,
        {name: value for name, value in EventDataSerializer.example().items() if name != "webhook"},
        read=attrgetter("data"),
    )
