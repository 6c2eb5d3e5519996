"""Forgets events that are older than EVENTS_KEPT_DAYS, with their deliveries."""

from django.db import transaction

from apps.integrations.models import Delivery, Event
from apps.integrations.models.event import kept_since, oldest_id_at

BATCH = 1000


def forget_old_events() -> int:
    """Forget one batch. Returns how many. An id tells when it was made, so that no other index is needed."""
    expired = Event.objects.filter(pk__lt=oldest_id_at(kept_since()))
    old = list(expired.order_by("pk").values_list("pk", flat=True)[:BATCH])
    if old:
        with transaction.atomic():
            Delivery.objects.filter(event_id__in=old).delete()
            Event.objects.filter(pk__in=old).delete()
    return len(old)
