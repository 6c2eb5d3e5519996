"""The database is the truth: settle what a crash, a flush or a lost job left behind, and start retries that are due.

The worker runs `reconcile` every few seconds in a thread of its own; several workers take turns.
"""

import logging
from contextlib import suppress

from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext_noop
from redis.exceptions import LockError

from apps.periodic import Periodic
from apps.redis_client import redis_at
from apps.tickets import outcomes, staging
from apps.tickets.delivery import enqueue_delivery, queued_image_ids, settle_lost
from apps.tickets.endings import expire_due_tickets
from apps.tickets.idempotency import forget_old_keys
from apps.tickets.models import Image, look_again_at_the_latest
from apps.tickets.removal import remove_due_assets
from apps.tickets.states import IN_FLIGHT, ImageStatus
from apps.tickets.transitions import acting_as

logger = logging.getLogger(__name__)

BATCH = 100  # what one Admin call of Cloudinary's takes
PLACE_TAKEN_WITHIN_SECONDS = 60  # a photo that is whole waits for its place no longer, unless it was abandoned
TURN = "hopla:reconcile"
# A worker killed in its turn blocks the others this long at most, and that adds to their recovery. A turn that takes
# longer, while Cloudinary hangs, may overlap with the next: no step of it does harm twice.
TURN_SECONDS = 15


def reconcile() -> int:
    """Look once at everything that is due, and answer how much that was. Safe to run at any time, anywhere.

    A step that fails holds up none of the others. Raises RedisError when there is no knowing whose turn it is.
    """
    turn = redis_at(settings.REDIS_URL).lock(TURN, timeout=TURN_SECONDS, blocking=False)
    if not turn.acquire():
        return 0
    try:
        with acting_as("reconcile"):
            return sum(step.attempt() or 0 for step in STEPS)
    finally:
        with suppress(LockError):  # it took longer than a turn, and someone else has it now
            turn.release()


def _settle_due_images() -> int:
    images = list(Image.objects.due()[:BATCH])
    if not images:
        return 0
    gone = staging.which_are_gone([image.pk for image in images])
    queued = queued_image_ids()
    waiting = {image.pk for image in images if image.status == ImageStatus.QUEUED and str(image.pk) in queued} - gone
    Image.objects.filter(pk__in=waiting, status=ImageStatus.QUEUED).update(look_again_at=look_again_at_the_latest())
    for image in images:
        if image.pk in gone or image.pk in waiting:
            continue
        if image.status == ImageStatus.UPLOADING:
            _take_over(image)
        else:
            _enqueue(image)
    if gone:
        settle_lost([image for image in images if image.pk in gone])
    return len(images)


def _discard_unclaimed_bytes() -> int:
    """Bytes that nobody will send. Either their image is settled: Redis was away when they were to go, or a crash came
    in between. Or it never came to be: the web process was killed between the last byte and the commit.

    An upload under way has no image yet either; its bytes expire by themselves when it stops.
    """
    seconds_whole = staging.seconds_whole(staging.sample(BATCH))
    statuses = {
        str(pk): status for pk, status in Image.objects.filter(pk__in=seconds_whole).values_list("pk", "status")
    }
    unclaimed = [
        image_id
        for image_id, seconds in seconds_whole.items()
        if (statuses[image_id] not in IN_FLIGHT if image_id in statuses else seconds > PLACE_TAKEN_WITHIN_SECONDS)
    ]
    for image_id in unclaimed:
        staging.discard(image_id)
    return len(unclaimed)


def _take_over(image: Image) -> None:
    """The attempt has outlived its lease: the worker was killed, or could not record the outcome."""
    reason = {"code": "worker_lost", "detail": gettext_noop("The attempt was interrupted.")}
    if image.attempts >= settings.UPLOAD_MAX_ATTEMPTS:  # or a photo that kills its worker would do so for ever
        outcomes.record_failed(image, **reason)
    elif outcomes.record_retry(image, moment=timezone.now(), **reason):
        _enqueue(image)


def _enqueue(image: Image) -> None:
    # Ask to be looked at again first: should the queue refuse, this image is due once more after that time.
    if image.look_again_in(settings.RECONCILE_AFTER_SECONDS):
        enqueue_delivery(image.pk)


STEPS = [
    Periodic("expiring tickets", expire_due_tickets),
    Periodic("settling photos", _settle_due_images),
    Periodic("discarding bytes", _discard_unclaimed_bytes),
    Periodic("removing assets", remove_due_assets),
    Periodic("forgetting idempotency keys", forget_old_keys),
]
