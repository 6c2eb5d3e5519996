"""Makers of endpoints, events and deliveries. Each call makes one."""

from django.db import transaction

from apps.accounts.models import User
from apps.integrations.events.writing import write_event
from apps.integrations.models import Delivery, Endpoint, Event
from apps.integrations.webhooks.signing import encrypted, new_secret
from tests.makers import make_user


def make_endpoint(owner: User | None = None, *, url: str = "https://hooks.example/in", **fields) -> Endpoint:
    described = {"secret_encrypted": encrypted(new_secret())}
    return Endpoint.objects.create(owner=owner or make_user(), url=url, **described | fields)


def make_event(owner: User, type: str = "ticket.created", **fields) -> Event:
    """An event as hopla writes it, with a delivery for each endpoint that wants it."""
    with transaction.atomic():
        return write_event(type, owner_id=owner.pk, data=fields.pop("data", {"ticket": {"id": 1}}), **fields)


def make_delivery(endpoint: Endpoint, **fields) -> Delivery:
    """A delivery to this endpoint alone."""
    event = Event.objects.create(owner=endpoint.owner, type="ticket.created", data={"ticket": {"id": 1}})
    return Delivery.objects.create(endpoint=endpoint, event=event, **fields)
