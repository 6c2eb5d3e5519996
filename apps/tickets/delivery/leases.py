"""How long an attempt is left alone before someone takes it for lost.

A worker that prolongs the leases of what it has in hand (`keep_leases`) takes short ones: when it is killed, its photos
are taken up again within LEASE_SECONDS, and not only when the longest upload would have ended. Whatever runs jobs
without that, such as RQ's own worker, takes leases as long as an attempt may last.
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

# The attempts that this process makes, by image and number: one may be overtaken by another in the same process.
_held: set[tuple] = set()
_kept = threading.Event()


def lease_seconds() -> float:
    """Of an attempt that begins now."""
    whole_attempt = settings.UPLOAD_TIMEOUT_SECONDS + LEASE_SLACK_SECONDS
    return min(LEASE_SECONDS, whole_attempt) if _kept.is_set() else whole_attempt


@contextmanager
def held(image: Image):
    """Inside, the image's attempt is being made by this process."""
    attempt = (image.pk, image.attempts)
    _held.add(attempt)
    try:
        yield
    finally:
        _held.discard(attempt)


def prolong_leases() -> int:
    """Prolong the leases of all attempts that this process makes, and answer how many. One that was taken over
    meanwhile has another's lease prolonged, for no longer than its own upload lasts.
    """
    if not _held:
        return 0
    with transaction.atomic():
        # Rows that are locked are being settled. Waiting for them with others locked could be waiting in a circle:
        # whoever cancels a ticket locks its images in an order of its own.
        uploading = Image.objects.filter(
            pk__in={image_id for image_id, _ in _held.copy()}, status=ImageStatus.UPLOADING
        )
        mine = list(uploading.order_by().select_for_update(skip_locked=True).values_list("pk", flat=True))
        moment = timezone.now() + timedelta(seconds=lease_seconds())
        return Image.objects.filter(pk__in=mine).update(next_check_at=moment)


_prolonging = Periodic("prolonging leases", prolong_leases, every_seconds=PROLONG_EVERY_SECONDS)


def keep_leases(until: threading.Event) -> None:
    """Prolong them every PROLONG_EVERY_SECONDS, until told to end. For a thread of its own: nothing may hold it up."""
    _kept.set()
    try:
        # While nobody reaches the database nobody takes anything over either.
        _prolonging.keep_on(until, after_seconds=PROLONG_EVERY_SECONDS)
    finally:
        _kept.clear()
