"""How long an attempt is left alone before someone takes it for lost.

A worker that prolongs the leases of what it has in hand (`keep_leases`) takes short ones: when it is killed, its photos
are taken up again within LEASE_SECONDS, and not only when the longest upload would have ended. Whatever runs jobs
without that, such as RQ's own worker, takes leases as long as an attempt may last.
"""

import logging
import threading
from contextlib import contextmanager
from datetime import timedelta

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection
from django.utils import timezone
from psycopg_pool import PoolTimeout

from apps.tickets.models import LEASE_SLACK_SECONDS, Image
from apps.tickets.states import ImageStatus

logger = logging.getLogger(__name__)

LEASE_SECONDS = 15
PROLONG_EVERY_SECONDS = 3

_held: set = set()  # the images whose attempts this process makes
_kept = threading.Event()


def lease_seconds() -> float:
    """Of an attempt that begins now."""
    whole_attempt = settings.UPLOAD_TIMEOUT_SECONDS + LEASE_SLACK_SECONDS
    return min(LEASE_SECONDS, whole_attempt) if _kept.is_set() else whole_attempt


@contextmanager
def held(image: Image):
    """Inside, the image's attempt is being made by this process."""
    _held.add(image.pk)
    try:
        yield
    finally:
        _held.discard(image.pk)


def prolong_leases() -> int:
    """Prolong the leases of all attempts that this process makes, and answer how many. One that was taken over
    meanwhile has another's lease prolonged, for no longer than its own upload lasts.
    """
    if not _held:
        return 0
    uploading = Image.objects.filter(pk__in=_held.copy(), status=ImageStatus.UPLOADING)
    return uploading.update(look_again_at=timezone.now() + timedelta(seconds=lease_seconds()))


def keep_leases(until: threading.Event) -> None:
    """Prolong them every PROLONG_EVERY_SECONDS, until told to end. For a thread of its own: nothing may hold it up."""
    _kept.set()
    try:
        while not until.wait(PROLONG_EVERY_SECONDS):
            try:
                prolong_leases()
            except (DatabaseError, InterfaceError, PoolTimeout) as error:
                # While nobody reaches the database nobody takes anything over either.
                logger.warning("leases cannot be prolonged (%s)", type(error).__name__)
            finally:
                connection.close()
    finally:
        _kept.clear()
