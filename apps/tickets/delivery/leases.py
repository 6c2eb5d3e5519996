"""The lease of an attempt: how long it runs before other workers consider it lost.

A worker that renews the leases of its attempts (`keep_leases`) takes short ones: when it is killed, its photos are
retried within LEASE_SECONDS, and not only when the longest upload would have ended. A process that runs jobs without
renewing, such as RQ's own worker, takes leases as long as an attempt may last.
"""

import threading
from contextlib import contextmanager
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from apps.common.jobs.periodic import Periodic
from apps.tickets.models import LEASE_SLACK_SECONDS, Image
from apps.tickets.models.statuses import ImageStatus

LEASE_SECONDS = 15
PROLONG_EVERY_SECONDS = 3

# The running attempts of this process, by image and number: one may be overtaken by another in the same process.
_held: set[tuple] = set()
_kept = threading.Event()


def lease_seconds() -> float:
    """Returns the lease of an attempt that begins now."""
    whole_attempt = settings.UPLOAD_TIMEOUT_SECONDS + LEASE_SLACK_SECONDS
    return min(LEASE_SECONDS, whole_attempt) if _kept.is_set() else whole_attempt


@contextmanager
def held(image: Image):
    """Inside, this process holds the lease of the image's attempt."""
    attempt = (image.pk, image.attempts)
    _held.add(attempt)
    try:
        yield
    finally:
        _held.discard(attempt)


def prolong_leases() -> int:
    """Renew the leases of all running attempts of this process. Returns how many. If another worker has taken over an
    attempt, this renews that worker's lease, for no longer than its own upload lasts.
    """
    if not _held:
        return 0
    with transaction.atomic():
        # Locked rows are being settled. Waiting for them while holding other locks could deadlock: cancelling a ticket
        # locks its images in another order.
        uploading = Image.objects.filter(
            pk__in={image_id for image_id, _ in _held.copy()}, status=ImageStatus.UPLOADING
        )
        mine = list(uploading.order_by().select_for_update(skip_locked=True).values_list("pk", flat=True))
        moment = timezone.now() + timedelta(seconds=lease_seconds())
        return Image.objects.filter(pk__in=mine).update(next_check_at=moment)


_prolonging = Periodic("prolonging leases", prolong_leases, every_seconds=PROLONG_EVERY_SECONDS)


def keep_leases(until: threading.Event) -> None:
    """Renew the leases every PROLONG_EVERY_SECONDS until the event is set; for its own thread, so nothing delays it."""
    _kept.set()
    try:
        # While the database is unavailable, no worker can take over an attempt either.
        _prolonging.keep_on(until, after_seconds=PROLONG_EVERY_SECONDS)
    finally:
        _kept.clear()
