"""The fields that responses have, at least: those of tickets and images are the serializers' own."""

from apps.guests.serializers import GuestLinkSerializer, ShownOnceSerializer
from apps.integrations.api.keys_serializers import ApiKeySerializer, NewlyMadeApiKeySerializer
from apps.integrations.api.webhooks_serializers import (
    DeliverySerializer,
    DeliveryWithDataSerializer,
    NewlyMadeWebhookSerializer,
    WebhookSecretSerializer,
    WebhookSerializer,
)
from apps.tickets.api.handover_schema import ManifestSerializer
from apps.tickets.api.serializers import (
    ImageSerializer,
    KindSerializer,
    ProgressSerializer,
    TicketDetailSerializer,
    TicketForGuestsSerializer,
    TicketSerializer,
    TicketStatusSerializer,
    TicketWithSlotsSerializer,
)

PROBLEM = ("type", "title", "status", "detail", "code", "request_id")
USER = ("id", "username", "email", "email_verified", "name", "phone", "is_staff", "date_joined")
SESSION = ("token", "expiry", "user")
PROGRESS = ProgressSerializer.names()
TICKET = TicketSerializer.names()
TICKET_WITH_SLOTS = TicketWithSlotsSerializer.names()
TICKET_WITH_IMAGES = TicketDetailSerializer.names()
TICKET_STATUS = TicketStatusSerializer.names()
KIND = KindSerializer.names()
IMAGE = ImageSerializer.names()
MANIFEST = ManifestSerializer.names()
GUEST_LINK = GuestLinkSerializer.names()
NEW_GUEST_LINK = ShownOnceSerializer.names()
API_KEY = ApiKeySerializer.names()
NEW_API_KEY = NewlyMadeApiKeySerializer.names()
TICKET_FOR_GUESTS = TicketForGuestsSerializer.names()
WEBHOOK = WebhookSerializer.names()
NEW_WEBHOOK = NewlyMadeWebhookSerializer.names()
WEBHOOK_SECRET = WebhookSecretSerializer.names()
DELIVERY = DeliverySerializer.names()
DELIVERY_WITH_DATA = DeliveryWithDataSerializer.names()
PAGE = ("count", "next", "previous", "results")
CURSOR_PAGE = ("next", "previous", "results")
SUPPORT_TICKET = ("id", "title", "body_text", "owner", "ticket", "status", "messages", "created_at", "updated_at")
MESSAGE = ("id", "text", "author", "is_staff", "created_at")
