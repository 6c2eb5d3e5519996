"""An endpoint as its events show it: `ping` and `webhook.disabled`. The API has WebhookSerializer."""

from apps.common.api.timestamps import shown_timestamp
from apps.integrations.models import Endpoint


def webhook_data(endpoint: Endpoint) -> dict:
    """Returns the endpoint as JSON has it, without its secrets."""
    return {
        "id": endpoint.pk,
        "url": endpoint.url,
        "events": endpoint.events,
        "description": endpoint.description,
        "enabled": endpoint.enabled,
        "disabled_reason": endpoint.disabled_reason or None,
        "created_at": shown_timestamp(endpoint.created_at),
        "last_success_at": endpoint.last_success_at and shown_timestamp(endpoint.last_success_at),
    }
