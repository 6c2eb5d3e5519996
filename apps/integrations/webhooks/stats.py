"""Figures for operators, which cost the same however many deliveries there are."""

from django.utils import timezone

from apps.integrations.models import Delivery, DeliveryStatus, Endpoint
from apps.integrations.webhooks import choosing

MOST_COUNTED = 100_000


def waiting() -> int:
    """Returns how many deliveries are pending, counted up to MOST_COUNTED; without those of disabled endpoints."""
    disabled = Endpoint.objects.filter(enabled=False).values("pk")
    pending = Delivery.objects.filter(status=DeliveryStatus.PENDING).exclude(endpoint__in=disabled)
    return pending.order_by()[:MOST_COUNTED].count()


def overdue_seconds() -> float:
    """Returns for how long the first due delivery of an endpoint with no attempt under way has been due, 0 if there is
    none: what nobody has begun. What waits because its own receiver is slow is not hopla's fault, and not in it.
    """
    _, under_way = choosing.running()
    due = [each.due_at for each in choosing.waiting() if not under_way[each.endpoint_id]]
    return max(0.0, (timezone.now() - min(due)).total_seconds()) if due else 0.0
