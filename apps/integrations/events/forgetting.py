"""Forgets events that are older than EVENTS_KEPT_DAYS, with their deliveries."""

from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from apps.integrations.models import Delivery, Event
from apps.integrations.models.event import oldest_id_at

BATCH = 1000


def forget_old_events() -> int:
    """Forget one batch. Returns how many. An id tells when it was made, so that no other index is needed."""
    kept_since = oldest_id_at(timezone.now() - timedelta(days=settings.EVENTS_KEPT_DAYS))
    old = list(Event.objects.filter(pk__lt=kept_since).order_by("pk").values_list("pk", flat=True)[:BATCH])
    if old:
        with transaction.atomic():
            Delivery.objects.filter(event_id__in=old).delete()
            Event.objects.filter(pk__in=old).delete()
    return len(old)
