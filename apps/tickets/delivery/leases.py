"""The leases of the photos that this process uploads: see apps/common/jobs/leases.py."""

from django.conf import settings

from apps.common.jobs.leases import Leases
from apps.tickets.models import LEASE_SLACK_SECONDS, Image
from apps.tickets.models.statuses import ImageStatus

leases = Leases(
    "prolonging leases",
    running=lambda: Image.objects.filter(status=ImageStatus.UPLOADING),
    column="next_check_at",
    attempt_seconds=lambda: settings.UPLOAD_TIMEOUT_SECONDS + LEASE_SLACK_SECONDS,
)
