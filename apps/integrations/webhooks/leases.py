"""The leases of the deliveries that this process attempts: see apps/common/jobs/leases.py."""

from django.conf import settings

from apps.common.jobs.leases import Leases
from apps.integrations.models import Delivery

# How long past its own deadline an attempt may take to record its outcome, the wait for a connection included.
SLACK_SECONDS = 5

leases = Leases(
    "prolonging the leases of webhooks",
    running=lambda: Delivery.objects.filter(is_running=True),
    column="next_try_at",
    attempt_seconds=lambda: settings.WEBHOOK_TIMEOUT_SECONDS + SLACK_SECONDS,
)
