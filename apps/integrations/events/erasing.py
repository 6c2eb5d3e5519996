"""Erases the places of photos from events, when operators want none to be kept any more."""

import json

from django.db.models import Q
from django.dispatch import receiver

from apps.integrations.models import Event
from apps.tickets.lifecycle.signals import locations_forgotten
from apps.tickets.models import Image

BATCH = 500
PLACED = Q(facts__regex=r'"latitude": ?-?\d') | Q(text__contains='"location": {')


@receiver(locations_forgotten, sender=Image)
def forget_locations(**kwargs) -> None:
    """Erase the places from all events, those of deleted tickets too. It may be stopped, and run again."""
    placed, last = Event.objects.filter(PLACED).order_by("pk"), None
    while found := list((placed.filter(pk__gt=last) if last else placed)[:BATCH]):
        for event in found:
            _forget(event)
        last = found[-1].pk


def _forget(event: Event) -> None:
    """Erase the place from one event, as it was read; if a reader had its text made meanwhile, from that."""
    if event.text is None:
        facts = json.loads(event.facts)
        facts["image"] |= {"latitude": None, "longitude": None}
        if Event.objects.filter(pk=event.pk, text=None).update(facts=json.dumps(facts)):
            return
        event.refresh_from_db()
    data = json.loads(event.text)
    data["image"]["location"] = None
    event.data = data
    event.save(update_fields=["text"])
