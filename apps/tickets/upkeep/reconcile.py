"""The reconciler: settles what a crash, a flush or a lost job left behind, by the database, and starts due retries.

Each worker runs `reconcile` every few seconds in its own thread; several workers take turns.
"""

import time
from contextlib import suppress
from datetime import timedelta

from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext_noop
from redis.exceptions import LockError, RedisError

from apps.common.jobs.periodic import Periodic
from apps.common.redis.client import redis_at
from apps.tickets.delivery.job import enqueue_again, settle_lost, which_have_a_job
from apps.tickets.direct.looking import look_for_uploads
from apps.tickets.intake.idempotency import forget_old_keys
from apps.tickets.lifecycle import outcomes
from apps.tickets.lifecycle.endings import expire_due_tickets
from apps.tickets.models import Image, Transition, next_check_at_the_latest
from apps.tickets.models.statuses import IN_FLIGHT, ImageStatus
from apps.tickets.models.transition import acting_as
from apps.tickets.resumable.state import is_unfinished
from apps.tickets.staging import quarantine, servers, store
from apps.tickets.staging.servers import NO_ANSWER, Server, ServerAwayError, grouped
from apps.tickets.storage.removal import remove_due_assets

BATCH = 100  # the limit of one call of Cloudinary's Admin API
SETTLE_SECONDS = 2  # so that other periodic work, or a stop, is not delayed longer by due photos
# The longest that a photo, complete or taken back for a retry, waits for the transaction that claims it.
CLAIMED_WITHIN_SECONDS = 60
TURN = "hopla:reconcile"
# A worker killed in its turn blocks the others this long at most, which delays recovery. A turn that takes longer,
# while Cloudinary hangs, may overlap with the next: every step is safe to run twice.
TURN_SECONDS = 15


def reconcile() -> int:
    """Settle everything that is due, once. Returns how much that was. Safe to run at any time, on any host.

    A failed step does not stop the others. Raises RedisError when the lock for the turn is unavailable.
    """
    turn = redis_at(settings.REDIS_URL).lock(TURN, timeout=TURN_SECONDS, blocking=False)
    if not turn.acquire():
        return 0
    try:
        with acting_as("reconcile"):
            return sum(step.attempt() or 0 for step in STEPS)
    finally:
        with suppress(LockError):  # it took longer than a turn, and another worker has the lock now
            turn.release()


def _settle_due_images() -> int:
    """Settle due images in batches, for SETTLE_SECONDS: the rest waits for the next run.

    Raises RedisError at the end if a server of staging did not answer.
    """
    settled, errors, ends_at = 0, [], time.monotonic() + SETTLE_SECONDS
    while images := Image.objects.due(BATCH):
        errors += _settle(images)
        settled += len(images)
        if len(images) < BATCH or time.monotonic() >= ends_at:
            break
    _raise_first(errors)
    return settled


def _settle(images: list[Image]) -> list[RedisError]:
    """Returns the errors of servers that do not answer; images whose bytes may still be there wait for them."""
    gone, waiting, errors = set(), set(), []
    for theirs in grouped(images, id_of=lambda image: image.pk).values():
        try:
            gone |= _which_are_gone(theirs)
        except RedisError as error:
            errors.append(error)
            gone |= {image for image in theirs if _has_expired(image)}
            waiting |= {image for image in theirs if image not in gone}
    found = [image for image in images if image not in gone]
    for image in found:
        if image.status == ImageStatus.UPLOADING:
            _take_over(image)
    queued = [image for image in found if image.status == ImageStatus.QUEUED]
    _check_again_later(queued)
    _enqueue_those_without_a_job([image for image in queued if image not in waiting])
    if gone:
        settle_lost([image for image in images if image in gone])
    return errors


def _which_are_gone(images: list[Image]) -> set[Image]:
    """Returns the images without bytes. Quarantined bytes are put back into staging."""
    gone = store.which_are_gone([image.pk for image in images])
    return {image for image in images if image.pk in gone and not quarantine.take_back(image.pk, image.size)}


def _has_expired(image: Image) -> bool:
    """Returns whether its bytes have expired by now, wherever they were: Redis kept them from the moment that the photo
    was accepted, or that staff had it tried again.
    """
    kept_since = timezone.now() - timedelta(seconds=settings.STAGING_TTL_SECONDS)
    if image.created_at > kept_since:
        return False
    revivals = Transition.objects.filter(
        ticket_id=image.ticket_id, image_id=image.pk, from_status=ImageStatus.FAILED, at__gt=kept_since
    )
    return not revivals.exists()


def _raise_first(errors: list[RedisError]) -> None:
    """No answer as one kind of error, be it that a server was asked in vain or not asked again: a change is logged."""
    if errors and isinstance(errors[0], NO_ANSWER):
        raise ServerAwayError(str(errors[0])) from errors[0]
    if errors:
        raise errors[0]


def _discard_unclaimed_bytes() -> int:
    """Do so on each server of staging. Raises RedisError at the end if one did not answer."""
    answers = servers.answers(_discard_unclaimed_bytes_on).values()
    _raise_first([answer for answer in answers if isinstance(answer, RedisError)])
    return sum(answers)


def _discard_unclaimed_bytes_on(server: Server) -> int:
    """Remove bytes that will not be sent. Their image is settled, and Redis was unavailable or a crash came before they
    were removed; or it was never created, since the web process was killed between the last byte and the commit.

    An upload in progress has no image yet either; its bytes expire when it stops, and those of one that can be resumed
    are kept for longer. Bytes of a photo that may be tried again are quarantined, as they should have been when it
    failed.
    """
    seconds_whole = store.seconds_whole(store.sample(BATCH, server=server), server=server)
    needed = (
        Image.objects.filter(pk__in=seconds_whole).order_by().only("status", "error_code", "size", "upload_expires_at")
    )
    images = {str(image.pk): image for image in needed}
    settled = 0
    for image_id, seconds in seconds_whole.items():
        image = images.get(image_id)
        if image is not None and image.status in IN_FLIGHT:
            continue
        may_be_claimed = image is None or outcomes.may_be_tried_again(image)
        if may_be_claimed and seconds <= CLAIMED_WITHIN_SECONDS:
            continue
        if image is None and is_unfinished(image_id):
            continue
        if may_be_claimed and image is not None:
            quarantine.put(image.pk, image.size, whole_for_seconds=CLAIMED_WITHIN_SECONDS)
        else:
            store.discard(image_id)
        settled += 1
    return settled


def _take_over(image: Image) -> None:
    """Settle an attempt whose lease has expired: its worker was killed, or could not record the outcome."""
    reason = {"code": "worker_lost", "detail": gettext_noop("The attempt was interrupted.")}
    if not image.has_attempts_left:  # otherwise a photo that kills its worker would do so for ever
        outcomes.record_failed(image, **reason)
        return
    # It has waited already and goes to the front, but only once: a photo that kills its worker would block the others.
    waiting_since = image.created_at if image.error_code != reason["code"] else None
    if outcomes.record_retry(image, moment=timezone.now(), **reason):
        # Set the next check first: if enqueueing fails, the image is due again after that time.
        image.check_again_at(next_check_at_the_latest())
        enqueue_again(image, waiting_since=waiting_since)


def _check_again_later(images: list[Image]) -> None:
    still_due = Image.objects.filter(status=ImageStatus.QUEUED, next_check_at__lte=timezone.now())
    still_due.filter(pk__in=[image.pk for image in images]).update(next_check_at=next_check_at_the_latest())


def _enqueue_those_without_a_job(images: list[Image]) -> None:
    have_a_job = which_have_a_job(images)
    for image in images:
        if image.pk not in have_a_job:
            enqueue_again(image)


STEPS = [
    Periodic("expiring tickets", expire_due_tickets),
    Periodic("settling photos", _settle_due_images),
    Periodic("discarding bytes", _discard_unclaimed_bytes),
    Periodic("removing assets", remove_due_assets),
    Periodic("looking for direct uploads", look_for_uploads),
    Periodic("forgetting idempotency keys", forget_old_keys),
]
