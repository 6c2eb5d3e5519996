"""The photo's way out: the job, Cloudinary's answer, a retry or a failure."""

import random
import secrets
from datetime import timedelta

import django_rq
from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone
from redis.exceptions import RedisError

from apps.tickets import cloud, outcomes, staging
from apps.tickets.models import Image, Ticket
from apps.tickets.redis_client import redis_at

# Wait 2 s, 4 s, 8 s … between attempts, at most 5 minutes, each shortened by up to half so that they spread out.
RETRY_BASE_SECONDS = 2
RETRY_CAP_SECONDS = 300
FAILED_JOB_TTL_SECONDS = 24 * 60 * 60


def enqueue_delivery(image_id) -> None:
    """Put the job of this image on the queue now. Twice does no harm: the second job finds nothing to do."""
    _queue().enqueue(
        deliver_photo,
        str(image_id),
        job_id=f"{image_id}_{secrets.token_hex(4)}",
        result_ttl=0,
        failure_ttl=FAILED_JOB_TTL_SECONDS,
    )


def queued_image_ids() -> set[str]:
    """The images that have a job waiting in the queue."""
    return {job_id.partition("_")[0] for job_id in _queue().job_ids}


def deliver_photo(image_id: str) -> None:
    """Send one staged photo to Cloudinary and record what became of it. The job; safe to run twice and side by side.

    No lock and no database connection is held while Cloudinary works.
    """
    image = _start_attempt(image_id)
    if image is None:
        return
    try:
        content = staging.read(image.pk, image.size)
        asset = cloud.put(public_id=image.public_id, content=content)
    except staging.StagedBytesGoneError:
        outcomes.record_failed(image, code="bytes_lost", detail="The photo was lost before it could be delivered.")
    except cloud.RefusedError as refusal:
        outcomes.record_failed(image, code=refusal.code, detail=refusal.detail)
    except cloud.CloudError as trouble:
        _retry_or_fail(image, code=trouble.code, detail=trouble.detail)
    except RedisError:
        _retry_or_fail(image, code="staging_unavailable", detail="The staged photo could not be read.")
    else:
        outcomes.record_stored(image, asset_id=asset.asset_id, asset_version=asset.version, asset_format=asset.format)


def _start_attempt(image_id: str) -> Image | None:
    """The image with its attempt begun, or None: settled, taken by another worker, not due yet, or deleted."""
    image = Image.objects.filter(pk=image_id).first()
    if image is None:
        return None
    with transaction.atomic():
        ticket = Ticket.objects.lock(image.ticket_id)
        started = image.start_upload()
        if started:
            ticket.touch()
    if not connection.in_atomic_block:  # as it is inside a TestCase
        connection.close()
    return image if started else None


def _retry_or_fail(image: Image, *, code: str, detail: str) -> None:
    if image.attempts >= settings.UPLOAD_MAX_ATTEMPTS:
        outcomes.record_failed(image, code=code, detail=detail)
    else:
        outcomes.record_retry(image, moment=next_attempt_at(image.attempts), code=code, detail=detail)


def next_attempt_at(attempts: int):
    """When to try again after that many attempts: exponential, capped, with jitter."""
    seconds = min(RETRY_CAP_SECONDS, RETRY_BASE_SECONDS * 2 ** (attempts - 1))
    return timezone.now() + timedelta(seconds=seconds * random.uniform(0.5, 1))  # noqa: S311  spreads load, hides nothing


def _queue():
    return django_rq.get_queue("default", connection=redis_at(settings.REDIS_URL), commit_mode="auto")
