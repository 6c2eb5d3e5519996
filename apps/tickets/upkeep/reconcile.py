"""The database is the truth: settle what a crash, a flush or a lost job left behind, and start retries that are due.

The worker runs `reconcile` every few seconds in a thread of its own; several workers take turns.
"""

import logging
import time
from contextlib import suppress

from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext_noop
from redis.exceptions import LockError

from apps.common.jobs.periodic import Periodic
from apps.common.redis.client import redis_at
from apps.tickets.delivery.job import enqueue_again, settle_lost, which_have_a_job
from apps.tickets.intake.idempotency import forget_old_keys
from apps.tickets.lifecycle import outcomes
from apps.tickets.lifecycle.endings import expire_due_tickets
from apps.tickets.models import Image, next_check_at_the_latest
from apps.tickets.models.statuses import IN_FLIGHT, ImageStatus
from apps.tickets.models.transition import acting_as
from apps.tickets.staging import quarantine, store
from apps.tickets.storage.removal import remove_due_assets

logger = logging.getLogger(__name__)

BATCH = 100  # what one Admin call of Cloudinary's takes
SETTLE_SECONDS = 2  # the other periodic work, and a stop, wait no longer for photos that are due
# A photo that became whole, or was taken back to be tried again, waits no longer for the transaction that claims it.
CLAIMED_WITHIN_SECONDS = 60
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
    """Batch by batch, as fast as the database allows, for SETTLE_SECONDS: the rest waits for the next time."""
    settled, ends_at = 0, time.monotonic() + SETTLE_SECONDS
    while images := Image.objects.due(BATCH):
        _settle(images)
        settled += len(images)
        if len(images) < BATCH or time.monotonic() >= ends_at:
            break
    return settled


def _settle(images: list[Image]) -> None:
    gone = _which_are_gone(images)
    there = [image for image in images if image.pk not in gone]
    for image in there:
        if image.status == ImageStatus.UPLOADING:
            _take_over(image)
    _enqueue_those_without_a_job([image for image in there if image.status == ImageStatus.QUEUED])
    if gone:
        settle_lost([image for image in images if image.pk in gone])


def _which_are_gone(images: list[Image]) -> set:
    """Those of which no bytes are left; what was set aside although they wait is in staging again."""
    gone = store.which_are_gone([image.pk for image in images])
    return {image.pk for image in images if image.pk in gone and not quarantine.take_back(image.pk, image.size)}


def _discard_unclaimed_bytes() -> int:
    """Bytes that nobody will send. Either their image is settled: Redis was away when they were to go, or a crash came
    in between. Or it never came to be: the web process was killed between the last byte and the commit.

    An upload under way has no image yet either; its bytes expire by themselves when it stops. Those of a photo that may
    be tried again are set aside, as whoever failed it would have done.
    """
    seconds_whole = store.seconds_whole(store.sample(BATCH))
    images = {str(image.pk): image for image in Image.objects.filter(pk__in=seconds_whole)}
    settled = 0
    for image_id, seconds in seconds_whole.items():
        image = images.get(image_id)
        if image is not None and image.status in IN_FLIGHT:
            continue
        may_be_claimed = image is None or outcomes.may_be_tried_again(image)
        if may_be_claimed and seconds <= CLAIMED_WITHIN_SECONDS:
            continue
        if may_be_claimed and image is not None:
            quarantine.put(image.pk, image.size, whole_for_seconds=CLAIMED_WITHIN_SECONDS)
        else:
            store.discard(image_id)
        settled += 1
    return settled


def _take_over(image: Image) -> None:
    """The attempt has outlived its lease: the worker was killed, or could not record the outcome."""
    reason = {"code": "worker_lost", "detail": gettext_noop("The attempt was interrupted.")}
    if not image.has_attempts_left:  # or a photo that kills its worker would do so for ever
        outcomes.record_failed(image, **reason)
        return
    # It has waited already, and goes before the others; but once, for should it kill its worker they would all wait.
    waiting_since = image.created_at if image.error_code != reason["code"] else None
    if outcomes.record_retry(image, moment=timezone.now(), **reason):
        # Ask to be looked at again first: should the queue refuse, this image is due once more after that time.
        image.check_again_at(next_check_at_the_latest())
        enqueue_again(image, waiting_since=waiting_since)


def _enqueue_those_without_a_job(images: list[Image]) -> None:
    still_due = Image.objects.filter(status=ImageStatus.QUEUED, next_check_at__lte=timezone.now())
    still_due.filter(pk__in=[image.pk for image in images]).update(next_check_at=next_check_at_the_latest())
    have_a_job = which_have_a_job(images)
    for image in images:
        if image.pk not in have_a_job:
            enqueue_again(image)


STEPS = [
    Periodic("expiring tickets", expire_due_tickets),
    Periodic("settling photos", _settle_due_images),
    Periodic("discarding bytes", _discard_unclaimed_bytes),
    Periodic("removing assets", remove_due_assets),
    Periodic("forgetting idempotency keys", forget_old_keys),
]
