from django.urls import path

from apps.integrations.api import deliveries, keys, webhooks
from apps.integrations.api.events import EventsView

WEBHOOK = "webhooks/<int:webhook_id>/"
DELIVERY = f"{WEBHOOK}deliveries/<int:delivery_id>/"

urlpatterns = [
    path("events/", EventsView.as_view(), name="events"),
    path("webhooks/", webhooks.WebhooksView.as_view(), name="webhooks"),
    path(WEBHOOK, webhooks.WebhookView.as_view(), name="webhook"),
    path(f"{WEBHOOK}rotate-secret/", webhooks.RotateSecretView.as_view(), name="webhook-rotate-secret"),
    path(f"{WEBHOOK}ping/", webhooks.PingView.as_view(), name="webhook-ping"),
    path(f"{WEBHOOK}recover/", webhooks.RecoverView.as_view(), name="webhook-recover"),
    path(f"{WEBHOOK}deliveries/", deliveries.DeliveriesView.as_view(), name="webhook-deliveries"),
    path(DELIVERY, deliveries.DeliveryView.as_view(), name="webhook-delivery"),
    path(f"{DELIVERY}replay/", deliveries.ReplayView.as_view(), name="webhook-replay"),
    path("api-keys/", keys.ApiKeysView.as_view(), name="api-keys"),
    path("api-keys/<int:api_key_id>/", keys.ApiKeyView.as_view(), name="api-key"),
]
