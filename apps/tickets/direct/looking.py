"""The reconciler's look: Cloudinary is asked of direct uploads that were confirmed, that did not come in time, or that
may have come after it, a hundred with one call.

Its Admin API takes 500 calls an hour on a free plan, so looks keep a distance. While Cloudinary cannot be asked,
everything waits: a photo that may be there is not failed.
"""

import logging
import time
from datetime import datetime, timedelta

from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext_noop

from apps.common.observability import metrics
from apps.common.observability.request_id import on_behalf_of
from apps.common.redis.client import redis_at
from apps.tickets.direct import settling
from apps.tickets.lifecycle import outcomes
from apps.tickets.models import Image, Ticket
from apps.tickets.models.statuses import ImageStatus
from apps.tickets.storage import cloudinary
from apps.tickets.storage.cloudinary import StoredAsset

logger = logging.getLogger(__name__)

BATCH = 100  # the limit of one call
MOST_SECONDS = 2  # of one run, so that other work of the reconciler is not delayed
DISTANCE_SECONDS = 10  # between two looks, unless a batch was full
NEXT_LOOK = "hopla:direct-uploads:looked"  # in Redis: while it is there, none is made
AGAIN_SECONDS = 30  # until an upload that Cloudinary has signed, or could not be asked of, is looked for again
# So long after its place's time a signed upload keeps it, although the Admin API, which may lag, does not show it.
SIGNED_LAG_SECONDS = 10 * 60
SINGLE_LOOKS = 5  # with a call each, for what a list leaves out


def look_for_uploads() -> int:
    """Settle a part of the direct uploads that are due. Returns how many it looked for. Raises RedisError."""
    looked_for, ends_at = 0, time.monotonic() + MOST_SECONDS
    while images := Image.objects.to_look_for(BATCH):
        if redis_at(settings.REDIS_URL).exists(NEXT_LOOK):
            break
        _put_off(images)  # so that one over which this fails again and again does not keep the others waiting
        is_answered = look_for(images)
        looked_for += len(images)
        if not is_answered or len(images) < BATCH:
            keep_distance(DISTANCE_SECONDS)
            break
        if time.monotonic() >= ends_at:
            break
    return looked_for


def keep_distance(seconds: float) -> None:
    redis = redis_at(settings.REDIS_URL)
    if redis.pttl(NEXT_LOOK) < seconds * 1000:
        redis.set(NEXT_LOOK, "1", px=max(1, int(seconds * 1000)))


def look_for(images: list[Image]) -> bool:
    """Ask Cloudinary of these images (at most 100), and settle them by its answers. Returns whether it answered."""
    asked_at = timezone.now()
    try:
        found = cloudinary.find([image.public_id for image in images])
    except cloudinary.CloudError as error:
        _wait(images, error)
        return False
    singles = SINGLE_LOOKS
    for image in images:
        asset = found.get(image.public_id)
        try:
            if asset is not None and not settling.is_whole(asset):
                if not singles:
                    continue
                singles -= 1
                asset = cloudinary.look_up(image.public_id)
        except cloudinary.CloudError as error:
            _wait([image], error)
            return False
        _record(image, asset, asked_at=asked_at)
    return True


def _record(image: Image, asset: StoredAsset | None, *, asked_at: datetime) -> None:
    if asset is None:
        with on_behalf_of(image.request_id):
            _settle_missing(image, asked_at=asked_at)
    elif settling.is_whole(asset):
        settling.settle(image.pk, asset, event="found")
    else:
        logger.error("asset %s: Cloudinary does not say what it is", image.public_id, extra=image.log_fields)


def _settle_missing(image: Image, *, asked_at: datetime) -> None:
    """It was not there when Cloudinary was asked, which may have been before it came."""
    if image.status == ImageStatus.AWAITING_UPLOAD:
        is_signed = image.asset_version is not None
        awaited_until = image.upload_expires_at + timedelta(seconds=SIGNED_LAG_SECONDS if is_signed else 0)
        if asked_at < awaited_until:
            image.look_again_at(min(awaited_until, asked_at + timedelta(seconds=AGAIN_SECONDS)))
        else:
            _expire(image)
    elif asked_at < image.last_upload_at:
        image.look_again_at(image.last_upload_at)
    else:
        image.look_again_at(None)


def _expire(image: Image) -> None:
    try:
        is_expired = outcomes.record_not_received(
            image,
            code="direct_upload_expired",
            detail=gettext_noop("The photo did not come in time."),
            look_again_at=image.last_upload_at,
        )
    except Ticket.DoesNotExist:
        return
    if is_expired:
        metrics.count("hopla_direct_uploads", event="expired")


def _put_off(images: list[Image]) -> None:
    moment = timezone.now()
    due = Image.objects.filter(pk__in=[image.pk for image in images], next_check_at__lte=moment)
    due.update(next_check_at=moment + timedelta(seconds=AGAIN_SECONDS))


def _wait(images: list[Image], error: cloudinary.CloudError) -> None:
    """They are looked for again later: see `_put_off`."""
    logger.warning("%d direct uploads: Cloudinary cannot be asked, %s", len(images), error.code)
    until = getattr(error, "until", None)
    if until is not None:
        keep_distance((until - timezone.now()).total_seconds())
