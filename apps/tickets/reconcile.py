"""The database is the truth: settle what a crash, a flush or a lost job left behind, and start retries that are due.

The worker runs `reconcile` every few seconds in a thread of its own; several workers take turns.
"""

import logging
from contextlib import suppress

from django.conf import settings
from django.utils import timezone
from redis.exceptions import LockError

from apps.redis_client import redis_at
from apps.tickets import outcomes, staging
from apps.tickets.delivery import enqueue_delivery, queued_image_ids, settle_lost
from apps.tickets.endings import expire_due_tickets
from apps.tickets.idempotency import forget_old_keys
from apps.tickets.models import Image
from apps.tickets.removal import remove_due_assets
from apps.tickets.states import IN_FLIGHT, ImageStatus

logger = logging.getLogger(__name__)

BATCH = 100  # what one Admin call of Cloudinary's takes
TURN_SECONDS = 60  # a worker killed in its turn blocks the others this long at most


def reconcile() -> int:
    """Look once at everything that is due, and answer how much that was. Safe to run at any time, anywhere."""
    turn = redis_at(settings.REDIS_URL).lock("hopla:reconcile", timeout=TURN_SECONDS, blocking=False)
    if not turn.acquire():
        return 0
    try:
        return (
            expire_due_tickets()
            + _settle_due_images()
            + _discard_settled_bytes()
            + remove_due_assets()
            + forget_old_keys()
        )
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
            continue
        if image.status == ImageStatus.UPLOADING:
            _take_over(image)
        elif str(image.pk) in waiting:
            image.look_again_in(settings.RECONCILE_AFTER_SECONDS)
        else:
            _enqueue(image)
    if gone:
        settle_lost([image for image in images if image.pk in gone])
    return len(images)


def _discard_settled_bytes() -> int:
    """Bytes whose image is settled: Redis was away when they were to go, or a crash came in between.

    Bytes without any image are an upload under way, and expire by themselves when it stops.
    """
    image_ids = staging.sample(BATCH)
    settled = Image.objects.filter(pk__in=image_ids).exclude(status__in=IN_FLIGHT).values_list("pk", flat=True)
    for image_id in settled:
        staging.discard(image_id)
    return len(settled)


def _take_over(image: Image) -> None:
    """The attempt has outlived its lease: the worker was killed, or could not record the outcome."""
    if outcomes.record_retry(image, moment=timezone.now(), code="worker_lost", detail="The attempt was interrupted."):
        _enqueue(image)


def _enqueue(image: Image) -> None:
    # Ask to be looked at again first: should the queue refuse, this image is due once more after that time.
    if image.look_again_in(settings.RECONCILE_AFTER_SECONDS):
        enqueue_delivery(image.pk)
