"""The tables: events, the endpoints that get them, one delivery for each of both, e-mails, and API keys."""

from apps.integrations.models.api_key import ApiKey
from apps.integrations.models.delivery import Delivery, DeliveryStatus
from apps.integrations.models.email import WebhookEmail
from apps.integrations.models.endpoint import DisabledReason, Endpoint
from apps.integrations.models.event import Event, EventType

__all__ = ["ApiKey", "Delivery", "DeliveryStatus", "DisabledReason", "Endpoint", "Event", "EventType", "WebhookEmail"]
