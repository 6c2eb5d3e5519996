"""Writes an event, and a delivery of it for each endpoint of its owner that wants it, in the caller's transaction."""

from django.db import transaction

from apps.integrations.events.wakeup import wake_senders
from apps.integrations.models import Delivery, Endpoint, Event


def write_event(
    type: str,
    *,
    owner_id: int,
    data: dict,
    ticket_id: int | None = None,
    image_id=None,
    only_to: Endpoint | None = None,
    but: Endpoint | None = None,
) -> Event:
    """`only_to`: the one endpoint that gets it, such as that of a ping. `but`: one that does not, such as the one that
    was disabled.
    """
    event = Event(type=type, owner_id=owner_id, data=data, ticket_id=ticket_id, image_id=image_id)
    event.save(force_insert=True)
    endpoints = [only_to] if only_to else Endpoint.objects.filter(owner_id=owner_id, enabled=True)
    deliveries = [
        Delivery(endpoint=endpoint, event=event) for endpoint in endpoints if endpoint != but and endpoint.wants(type)
    ]
    if deliveries:
        Delivery.objects.bulk_create(deliveries)
        transaction.on_commit(wake_senders, robust=True)
    return event
