"""The job that delivers a photo: it records what Cloudinary responded, a retry or a failure."""

import logging
import time
import uuid
from datetime import datetime, timedelta
from functools import cache

from django.db import connection
from django.utils import timezone
from django.utils.translation import gettext_noop
from redis.exceptions import RedisError
from rq import get_current_job

from apps.common.jobs.queue import JobTemplate, job_function
from apps.common.observability import metrics
from apps.common.observability.request_id import on_behalf_of
from apps.tickets.delivery.backoff import next_attempt_at, spread
from apps.tickets.delivery.leases import leases
from apps.tickets.delivery.pause import PROBE_EVERY_SECONDS, Pause, current_pause, pause_uploads
from apps.tickets.lifecycle import moves, outcomes
from apps.tickets.models import Image, Ticket, next_check_at_the_latest
from apps.tickets.models.transition import acting_as
from apps.tickets.staging import quarantine, store
from apps.tickets.staging.servers import NO_ANSWER, server_of
from apps.tickets.storage import cloudinary

logger = logging.getLogger(__name__)

FAILED_JOB_TTL_SECONDS = 24 * 60 * 60
STAGING_UNAVAILABLE = {
    "code": "staging_unavailable",
    "detail": gettext_noop("The staged photo could not be read."),
}


def enqueue_delivery(image_id) -> None:
    """Enqueue the job of this new image now. Calling it twice is harmless: the second job finds nothing to do."""
    _deliveries().enqueue(str(image_id), job_id=_job_id(image_id, 0))


def enqueue_again(image: Image, *, waiting_since: datetime | None = None) -> None:
    """Enqueue a job of any image, whatever happened to its previous job. With `waiting_since` it goes to the front."""
    job_id = _job_id(image.pk, image.attempts)
    _deliveries().enqueue(str(image.pk), job_id=job_id, again=True, waiting_since=waiting_since)


def _job_id(image_id, attempts: int) -> str:
    """Returns an id per attempt: a job that ends deletes its hash, and must not delete that of the next attempt."""
    return f"{image_id}_{attempts}"


@cache
def _deliveries() -> JobTemplate:
    return JobTemplate(deliver_photo, result_ttl=0, failure_ttl=FAILED_JOB_TTL_SECONDS)


def which_have_a_job(images: list[Image]) -> set:
    """Returns the ids of the images whose job waits in the queue."""
    jobs = {_job_id(image.pk, image.attempts): image.pk for image in images}
    return {jobs[job_id] for job_id in JobTemplate.which_wait(list(jobs))}


@job_function
def deliver_photo(image_id: str) -> None:
    """Send one staged photo to Cloudinary and record the outcome. The job; safe to run twice and concurrently.

    No lock and no database connection is held while Cloudinary works.
    """
    job = get_current_job()
    try:
        with acting_as(f"job {job.id}" if job else "job"):
            image = _start_attempt(image_id)
            if image is not None:
                with on_behalf_of(image.request_id), leases.held(image):
                    _attempt(image)
    except Ticket.DoesNotExist:
        logger.info("image %s: deleted while it was being delivered", image_id)


def _attempt(image: Image) -> None:
    try:
        content = _staged_content(image)
        started = time.monotonic()
        asset = cloudinary.put(public_id=image.public_id, content=content)
        metrics.observe("hopla_upload_seconds", time.monotonic() - started)
    except store.StagedBytesGoneError:
        settle_lost([image])
    except NO_ANSWER:
        # Backed off by all attempts: they do not count, and the server may answer everything but this.
        moment = next_attempt_at(image.attempts)
        outcomes.record_bytes_away(image, moment=moment, **STAGING_UNAVAILABLE)
    except RedisError:
        _retry(image, **STAGING_UNAVAILABLE)
    except cloudinary.CloudError as error:
        settle_error(image, error)
    else:
        outcomes.record_stored(image, asset_id=asset.asset_id, asset_version=asset.version, asset_format=asset.format)


def _staged_content(image: Image) -> bytes | memoryview:
    """Returns the photo's bytes. Raises store.StagedBytesGoneError, RedisError."""
    try:
        return store.read(image.pk, image.size)
    except store.StagedBytesGoneError:
        # The worker that recorded its failure may have quarantined the bytes after staff had the photo tried again.
        if not quarantine.take_back(image.pk, image.size):
            raise
    return store.read(image.pk, image.size)


def settle_error(image: Image, error: cloudinary.CloudError) -> None:
    """Record what the error of an attempt means for its image."""
    if isinstance(error, cloudinary.RefusedError):
        outcomes.record_failed(image, code=error.code, detail=error.detail)
    elif isinstance(error, cloudinary.CredentialsError):
        logger.critical("Cloudinary refuses hopla's credentials: every upload waits. Check CLOUDINARY_URL.")
        probe_at = timezone.now() + timedelta(seconds=PROBE_EVERY_SECONDS)
        _postpone(image, pause_uploads(until=probe_at, code=error.code, detail=error.detail))
    elif isinstance(error, cloudinary.RateLimitedError) and error.everyone:
        logger.error("Cloudinary's limit for the account is reached: every upload waits.")
        _postpone(image, pause_uploads(until=error.until, code=error.code, detail=error.detail))
    elif isinstance(error, cloudinary.InterruptedCallError):  # not `_retry`: a restart must not fail a last attempt
        outcomes.record_retry(image, moment=timezone.now(), code=error.code, detail=error.detail)
    else:
        _retry(image, code=error.code, detail=error.detail, not_before=getattr(error, "until", None))


def settle_lost(images: list[Image]) -> None:
    """Settle images whose bytes are gone (at most 100): those that Cloudinary holds are stored, the rest failed.

    An image without an attempt cannot be there. While Cloudinary is unavailable, the others wait.
    """
    tried = [image for image in images if image.attempts]
    try:
        found = cloudinary.find([image.public_id for image in tried]) if tried else {}
    except cloudinary.CloudError as error:
        logger.warning("%d photos without bytes: Cloudinary cannot be asked, %s", len(tried), error.code)
        for image in tried:
            image.check_again_at(next_check_at_the_latest())
        images = [image for image in images if not image.attempts]
        found = {}
    for image in images:
        asset = found.get(image.public_id)
        if asset is not None and asset.bytes == image.size:
            outcomes.record_stored(
                image, asset_id=asset.asset_id, asset_version=asset.version, asset_format=asset.format
            )
        else:
            outcomes.record_failed(
                image, code="bytes_lost", detail=gettext_noop("The photo was lost before it could be delivered.")
            )


def _start_attempt(image_id: str) -> Image | None:
    """Returns the image with a new attempt, or None: it is settled, another worker's, not due, or deleted; uploads are
    paused, or its bytes are on a server that does not answer.
    """
    image, pause = None, current_pause()
    try:
        if pause is not None:
            _let_wait(image_id, until=pause.until)
        elif server_of(image_id).is_away():
            _let_wait(image_id, until=next_check_at_the_latest())
        else:
            image = moves.start_upload(uuid.UUID(image_id), lease_seconds=leases.seconds())
    finally:
        if not connection.in_atomic_block:  # it is inside a TestCase
            connection.close()
    if image is not None:
        metrics.count("hopla_upload_attempts")
    return image


def _let_wait(image_id: str, *, until: datetime) -> None:
    image = Image.objects.find(uuid.UUID(image_id))
    if image is not None:
        image.check_again_at(spread(until))


def _postpone(image: Image, pause: Pause) -> None:
    outcomes.record_postponed(image, moment=pause.until)


def _retry(image: Image, *, code: str, detail: str, not_before=None) -> None:
    if not image.has_attempts_left:
        outcomes.record_failed(image, code=code, detail=detail)
        return
    moment = next_attempt_at(image.attempts_counted, not_before=not_before)
    outcomes.record_retry(image, moment=moment, code=code, detail=detail)
