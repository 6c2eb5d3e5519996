"""Records the outcome of an attempt: each function is one transaction that moves the image, under its ticket's lock.

All are safe to run twice or late: a move that is no longer allowed changes nothing and sends no signal.
"""

from django.db import transaction

from apps.common.observability import metrics
from apps.tickets.lifecycle import moves
from apps.tickets.lifecycle.signals import image_failed, image_stored, stored_images_grew
from apps.tickets.models import Image, Ticket
from apps.tickets.models.statuses import ImageStatus
from apps.tickets.staging import quarantine, store
from apps.tickets.storage.removal import remove_asset_of

# Every code that an image's error may have: docs/operations.md explains them.
ERROR_CODES = (
    "cloudinary_unavailable",
    "cloudinary_rate_limited",
    "cloudinary_answer_mismatch",
    "cloudinary_refused",
    "internal_error",
    "staging_unavailable",
    "worker_lost",
    "bytes_lost",
    "ticket_cancelled",
    "ticket_expired",
    "asset_missing",
    "asset_changed",
    "direct_upload_expired",
    "direct_upload_given_up",
    "direct_upload_size_mismatch",
    "direct_upload_md5_mismatch",
    "direct_upload_too_large",
    "direct_upload_too_many_pixels",
    "direct_upload_unsupported",
)
# Failures with these codes are final. The bytes of others are kept for a while: see upkeep/staff_actions.py.
NOT_TO_BE_TRIED_AGAIN = {"ticket_cancelled"}


def may_be_tried_again(image: Image) -> bool:
    """Returns whether the image has failed and staff may try it again."""
    # Of a direct upload hopla has never had the bytes.
    is_final = image.error_code in NOT_TO_BE_TRIED_AGAIN or image.is_direct
    return image.status == ImageStatus.FAILED and not is_final


def record_stored(image: Image, *, asset_id: str, asset_version: int, asset_format: str) -> bool:
    """Mark the image as stored, and complete its ticket if it was the last. Returns whether this call did."""
    with transaction.atomic():
        ticket = moves.store(image, asset_id=asset_id, asset_version=asset_version, asset_format=asset_format)
        if ticket is None:
            # It failed, was cancelled or deleted meanwhile; or another attempt overtook this one, and then the removal
            # finds the asset in use.
            remove_asset_of(image)
            return False
        _tell_stored(image, ticket)
        _discard_on_commit(image)
        transaction.on_commit(lambda: _count_stored(image), robust=True)
    return True


def record_failed(image: Image, *, code: str, detail: str) -> bool:
    """Mark the image as failed, with the reason, and free its place. Returns whether this call did."""
    with transaction.atomic():
        ticket = moves.fail(image, code=code, detail=detail)
        if ticket is None:
            return False
        remove_asset_of(image)
        image_failed.send(sender=Image, image=image, ticket=ticket)
        if code in NOT_TO_BE_TRIED_AGAIN:
            _discard_on_commit(image)
        else:
            transaction.on_commit(lambda: quarantine.put(image.pk, image.size), robust=True)
        transaction.on_commit(lambda: metrics.count("hopla_photos_failed", code=code), robust=True)
    return True


def record_received(image: Image, *, facts: dict, late_at: int | None = None) -> bool:
    """Mark a direct upload as stored, and complete its ticket if it was the last. Returns whether this call did.

    `facts`: what Cloudinary says of it, see moves.FACTS. `late_at`: the free place for one that has failed since it did
    not come in time.
    """
    with transaction.atomic():
        if late_at is None:
            ticket = moves.receive(image, **facts)
        else:
            ticket = moves.receive_late(image, position=late_at, **facts)
        if ticket is None:
            return False
        _tell_stored(image, ticket)
        transaction.on_commit(lambda: metrics.count("hopla_photos_stored"), robust=True)
    return True


def record_not_received(image: Image, *, code: str, detail: str, look_again_at=None) -> bool:
    """Mark a direct upload as failed, and free its place. Returns whether this call did.

    Its asset is removed, now and once more when its signed form can bring none any more; or, with `look_again_at`,
    Cloudinary is asked at that time whether it has come after all.
    """
    with transaction.atomic():
        ticket = moves.await_no_longer(image, code=code, detail=detail, look_again_at=look_again_at)
        if ticket is None:
            return False
        if look_again_at is None:
            remove_asset_of(image)
        image_failed.send(sender=Image, image=image, ticket=ticket)
        transaction.on_commit(lambda: metrics.count("hopla_photos_failed", code=code), robust=True)
    return True


def record_retry(image: Image, *, moment, code: str, detail: str) -> bool:
    """Record a failed attempt; the image waits for the next one at `moment`."""
    with transaction.atomic():
        if not moves.retry_at(image, moment, code=code, detail=detail):
            return False
        transaction.on_commit(lambda: metrics.count("hopla_upload_retries", code=code), robust=True)
    return True


def record_postponed(image: Image, *, moment) -> bool:
    """Record an attempt that does not count, as its failure is not the photo's fault; the next starts at `moment`."""
    with transaction.atomic():
        return moves.give_back(image, moment) is not None


def record_bytes_away(image: Image, *, moment, code: str, detail: str) -> bool:
    """Record an attempt that does not count either, as the server of staging with the bytes does not answer."""
    with transaction.atomic():
        if not moves.wait_for_staging(image, moment, code=code, detail=detail):
            return False
        transaction.on_commit(lambda: metrics.count("hopla_upload_retries", code=code), robust=True)
    return True


def record_asset_lost(image: Image, *, code: str, detail: str) -> bool:
    """Fail a stored image whose photo is not at Cloudinary any more. A completed ticket stays completed."""
    with transaction.atomic():
        ticket = moves.lose_asset(image, code=code, detail=detail)
        if ticket is None:
            return False
        remove_asset_of(image)
        image_failed.send(sender=Image, image=image, ticket=ticket)
        transaction.on_commit(lambda: metrics.count("hopla_photos_failed", code=code), robust=True)
    return True


def _tell_stored(image: Image, ticket: Ticket) -> None:
    image_stored.send(sender=Image, image=image, ticket=ticket)
    stored_images_grew.send(sender=Ticket, ticket=ticket)


def _count_stored(image: Image) -> None:
    metrics.count("hopla_photos_stored")
    metrics.observe("hopla_photo_stored_seconds", (image.stored_at - image.created_at).total_seconds())


def _discard_on_commit(image: Image) -> None:
    # Robust: without Redis the outcome stands, and the bytes stay until the reconciler or their expiry removes them.
    transaction.on_commit(lambda: store.discard(image.pk), robust=True)
