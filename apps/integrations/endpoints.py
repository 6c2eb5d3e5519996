"""What the owner of a webhook endpoint or staff do with it: the rules that the API, the admin and `manage.py listen`
share.
"""

from datetime import datetime

from django.contrib.auth import get_user_model
from django.db import transaction

from apps.integrations.errors import DeliveryPendingError, TooManyWebhooksError, WebhookDisabledError
from apps.integrations.models import Delivery, DeliveryStatus, DisabledReason, Endpoint
from apps.integrations.models.endpoint import NO_FAILURES
from apps.integrations.models.event import kept_since
from apps.integrations.webhooks import replays, signing

MOST_ENDPOINTS = 20  # of one user: each event of theirs is sent so many times


def make_endpoint(*, owner, url: str, events: list[str] = (), description: str = "") -> Endpoint:
    """Returns a new endpoint with a secret of its own. `url`: one that addresses.check_url has accepted; `events`:
    types of EventType, empty: all. Raises TooManyWebhooksError.
    """
    with transaction.atomic():
        # Of two requests at once the second waits here, and then counts the endpoint of the first.
        get_user_model().objects.select_for_update(no_key=True).get(pk=owner.pk)
        if Endpoint.objects.filter(owner=owner).count() >= MOST_ENDPOINTS:
            raise TooManyWebhooksError
        return Endpoint.objects.create(
            owner=owner,
            url=url,
            events=list(events),
            description=description,
            secret_encrypted=signing.encrypted(signing.new_secret()),
        )


def change_endpoint(endpoint: Endpoint, *, enabled: bool | None = None, **fields) -> None:
    """Update the endpoint. `fields`: any of url, events, description. A new URL has no past: nothing failed there."""
    if fields.get("url", endpoint.url) != endpoint.url:
        fields |= NO_FAILURES | {"not_before": None}
    with transaction.atomic():
        if fields:
            Endpoint.objects.filter(pk=endpoint.pk).update(**fields)
        if enabled is True and not endpoint.enabled:
            replays.enable(endpoint)
        elif enabled is False and endpoint.enabled:
            replays.disable(endpoint, DisabledReason.OWNER)
    endpoint.refresh_from_db()


def delete_endpoint(endpoint: Endpoint) -> None:
    """Delete the endpoint with its deliveries, while events are written for it and attempts end."""
    replays.disable(endpoint, DisabledReason.OWNER)  # committed first: no attempt begins any more
    with transaction.atomic():
        # Whoever settles a delivery may wait for the row of its endpoint, so that is locked after these.
        endpoint.deliveries.all().delete()
        Endpoint.objects.select_for_update().filter(pk=endpoint.pk).first()
        endpoint.delete()  # with what was written until it was locked


def ping(endpoint: Endpoint) -> Delivery:
    """Send the endpoint a ping, and return its delivery. Raises WebhookDisabledError, and Endpoint.DoesNotExist if it
    was deleted meanwhile.
    """
    _require_enabled(endpoint)
    return endpoint.deliveries.select_related("event").get(event=replays.ping(endpoint))


def recover(endpoint: Endpoint, *, since: datetime) -> int:
    """Send what the endpoint has missed since then, of the events that are kept. Returns how many. Raises as `ping`."""
    _require_enabled(endpoint)
    return replays.recover(endpoint, max(since, kept_since()))


def send_again(delivery: Delivery) -> None:
    """Begin a new round of attempts. Raises WebhookDisabledError, and DeliveryPendingError for a delivery that is not
    settled.
    """
    _require_enabled(delivery.endpoint)
    if delivery.status == DeliveryStatus.PENDING or not replays.replay(delivery):
        raise DeliveryPendingError


def _require_enabled(endpoint: Endpoint) -> None:
    if not endpoint.enabled:
        raise WebhookDisabledError
