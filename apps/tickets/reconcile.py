"""The database is the truth: settle what a crash, a flush or a lost job left behind, and start retries that are due.

The worker runs `reconcile` every few seconds in a thread of its own; several workers take turns.
"""

import logging
from contextlib import suppress

from django.conf import settings
from django.utils import timezone
from redis.exceptions import LockError

from apps.tickets import outcomes, staging
from apps.tickets.delivery import enqueue_delivery, queued_image_ids
from apps.tickets.models import Image
from apps.tickets.redis_client import redis_at
from apps.tickets.states import ImageStatus

logger = logging.getLogger(__name__)

BATCH = 500
TURN_SECONDS = 60  # a worker killed in its turn blocks the others this long at most


def reconcile() -> int:
    """Look once at every image that is due, and answer how many. Safe to run at any time, anywhere, side by side."""
    turn = redis_at(settings.REDIS_URL).lock("hopla:reconcile", timeout=TURN_SECONDS, blocking=False)
    if not turn.acquire():
        return 0
    try:
        return _settle_due_images()
    finally:
        with suppress(LockError):  # it took longer than a turn, and someone else has it now
            turn.release()


def _settle_due_images() -> int:
    images = list(Image.objects.due()[:BATCH])
    if not images:
        return 0
    gone = staging.which_are_gone([image.pk for image in images])
    waiting = queued_image_ids()
    for image in images:
        if image.pk in gone:
            _settle_lost(image)
        elif image.status == ImageStatus.UPLOADING:
            _take_over(image)
        elif str(image.pk) in waiting:
            image.look_again_in(settings.RECONCILE_AFTER_SECONDS)
        else:
            _enqueue(image)
    return len(images)


def _settle_lost(image: Image) -> None:
    outcomes.record_failed(image, code="bytes_lost", detail="The photo was lost before it could be delivered.")


def _take_over(image: Image) -> None:
    """The attempt has outlived its lease: the worker was killed, or could not record the outcome."""
    if outcomes.record_retry(image, moment=timezone.now(), code="worker_lost", detail="The attempt was interrupted."):
        _enqueue(image)


def _enqueue(image: Image) -> None:
    # Ask to be looked at again first: should the queue refuse, this image is due once more after that time.
    if image.look_again_in(settings.RECONCILE_AFTER_SECONDS):
        enqueue_delivery(image.pk)
