"""The support desk as JSON. The field names are part of the contract."""

from django.apps import apps
from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from apps.common.api.fields import NullIsLeftOut, RefusesFixedFields, StrictCharField, StrictIntegerField
from apps.support.models import Message, SupportStatus, SupportTicket


class MessageSerializer(serializers.ModelSerializer):
    author = serializers.IntegerField(source="author_id", read_only=True, help_text="The id of the user who wrote it.")

    class Meta:
        model = Message
        fields = ["id", "text", "author", "is_staff", "created_at"]
        read_only_fields = fields


class NewMessageSerializer(serializers.Serializer):
    text = StrictCharField(max_length=10_000)


class SupportTicketSerializer(serializers.ModelSerializer):
    owner = serializers.IntegerField(source="owner_id", read_only=True, help_text="The id of the user who opened it.")
    ticket = serializers.IntegerField(
        source="ticket_id", read_only=True, allow_null=True, help_text="The upload ticket it is about."
    )
    status = serializers.ChoiceField(
        choices=SupportStatus.values, read_only=True, help_text="`AC` active, `FR` frozen, `CL` closed."
    )
    subscribed = serializers.BooleanField(
        source="owner_subscribed", read_only=True, help_text="Whether its owner gets e-mails about it."
    )
    messages = MessageSerializer(many=True, read_only=True)

    class Meta:
        model = SupportTicket
        fields = [
            "id",
            "title",
            "body_text",
            "owner",
            "ticket",
            "status",
            "subscribed",
            "messages",
            "created_at",
            "updated_at",
        ]
        read_only_fields = fields


class NewSupportTicketSerializer(NullIsLeftOut, serializers.Serializer):
    """A ticket to open. `ticket` is the id of an upload ticket of the same user."""

    class Meta:
        swagger_schema_fields = {
            "example": {"title": "A photo failed", "body_text": "The third photo of my ticket failed twice."}
        }

    title = StrictCharField(max_length=200)
    body_text = StrictCharField(max_length=10_000)
    ticket = StrictIntegerField(required=False, default=None, min_value=1, max_value=2**63 - 1)

    def validate_ticket(self, value):
        if value is None:
            return None
        own = apps.get_model("tickets", "Ticket").objects.filter(owner=self.context["request"].user, pk=value)
        if (ticket := own.first()) is None:
            raise serializers.ValidationError(_("You have no upload ticket of this id."), code="does_not_exist")
        return ticket


class StatusChangeSerializer(RefusesFixedFields, serializers.Serializer):
    """`status` alone can be changed."""

    status = serializers.ChoiceField(choices=SupportStatus.values)

    fixed_fields = tuple(name for name in SupportTicketSerializer.Meta.fields if name != "status")
