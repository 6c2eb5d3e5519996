"""Removes assets that must not stay at Cloudinary: a failed photo whose upload may have succeeded, a deleted one.

A removal is recorded in the transaction that decides it (AssetRemoval), so that no crash loses it; the worker removes
the asset in the background and retries until Cloudinary confirms that it is gone.
"""

import logging
import uuid
from contextlib import suppress
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models.signals import post_delete, pre_delete
from django.dispatch import receiver
from django.utils import timezone

from apps.common.jobs.backoff import Backoff
from apps.tickets.models import LEASE_SLACK_SECONDS, AssetRemoval, ExamplePicture, Image, Ticket
from apps.tickets.models.kind import EXAMPLE_PREFIX
from apps.tickets.models.transition import DELETED, record
from apps.tickets.staging import quarantine, store
from apps.tickets.storage import cloudinary

logger = logging.getLogger(__name__)

BACKOFF = Backoff(base_seconds=10, cap_seconds=60 * 60)
BATCH = 20
# Three times the call's timeout: Cloudinary may still carry it out after hopla has stopped waiting.
UNDER_WAY_SECONDS = 3 * cloudinary.ADMIN_TIMEOUT_SECONDS


def remove_asset_of(image: Image) -> None:
    """Schedule the removal of this image's asset. Call it in the transaction that fails or deletes the image.

    An image without an attempt has no asset. If an upload may be in progress, the asset is removed after its deadline.
    That of a direct upload goes at once, and once more when its signed form can bring it no more.
    """
    if image.is_direct:
        last = image.last_upload_at
        schedule_removal(image.public_id, again_at=last if last > timezone.now() else None)
        return
    if not image.attempts and not image.has_an_asset:
        return
    wait = 0 if image.has_an_asset else settings.UPLOAD_TIMEOUT_SECONDS + LEASE_SLACK_SECONDS
    schedule_removal(image.public_id, due_at=timezone.now() + timedelta(seconds=wait))


@receiver(pre_delete, sender=Image)
def lock_ticket_of_image_to_be_deleted(*, instance: Image, **kwargs):
    """Raise the version of the deleted image's ticket, under its lock: no attempt begins before the commit. Check again
    whether one has begun since the image was read, since its asset must be removed too.
    """
    with suppress(Ticket.DoesNotExist, Image.DoesNotExist):  # another process has deleted it
        Ticket.objects.lock(instance.ticket_id).touch()
        instance.refresh_from_db(fields=["status", "attempts"])


@receiver(post_delete, sender=Image)
@receiver(post_delete, sender=Ticket)
def record_deletion(*, instance: Image | Ticket, **kwargs):
    which = {"ticket_id": instance.ticket_id, "image_id": instance.pk} if isinstance(instance, Image) else {}
    record(**{"ticket_id": instance.pk} | which, from_status=instance.status, to_status=DELETED)


@receiver(post_delete, sender=Image)
def remove_asset_of_deleted_image(*, instance: Image, **kwargs):
    """Remove the asset and the staged bytes of a deleted image, or of a deleted ticket's, in the background."""
    remove_asset_of(instance)
    image_id = instance.pk  # the instance has none by the time of the commit
    transaction.on_commit(lambda: (store.discard(image_id), quarantine.drop(image_id)), robust=True)


def schedule_removal(public_id: str, *, due_at=None, again_at=None) -> None:
    """Schedule the removal of this asset, by default for now, and perhaps once more. Safe to repeat: the later time
    counts.
    """
    planned = {"due_at": due_at or timezone.now(), "attempts": 0} | ({"again_at": again_at} if again_at else {})
    AssetRemoval.objects.update_or_create(public_id=public_id, defaults=planned)


def remove_due_assets() -> int:
    """Remove up to a batch of the assets that are due. Returns how many it tried. Safe to run concurrently.

    It stops at the first that cannot be removed: while Cloudinary hangs, each would delay the reconciler's work on the
    photos in flight by the timeout of an Admin call.
    """
    due = AssetRemoval.objects.filter(due_at__lte=timezone.now()).order_by("due_at").values_list("pk", flat=True)
    looked_at = 0
    for pk in list(due[:BATCH]):
        looked_at += 1
        if not _remove_one(pk):
            break
    return looked_at


def call_off(public_id: str) -> bool:
    """Cancel the removal of an asset that may stay after all. Returns False, changing nothing, if it is in progress.

    Call it in the transaction that starts an upload. A removal that begins meanwhile waits for its end.
    """
    removal = AssetRemoval.objects.select_for_update().filter(public_id=public_id).first()
    if removal is not None and removal.under_way_until is not None and removal.under_way_until > timezone.now():
        return False
    if removal is not None:
        removal.delete()
    return True


def _remove_one(pk: int) -> bool:
    """Remove one asset. Returns False if that failed. No lock is held during the call: see `_claim`."""
    removal = _claim(pk)
    if removal is None:  # done, cancelled, or claimed by another worker
        return True
    try:
        if not _is_wanted(removal.public_id):
            if _seconds_left(removal) < cloudinary.ADMIN_TIMEOUT_SECONDS:  # this process was suspended for a while
                return False
            cloudinary.delete(removal.public_id)
            logger.info("asset %s: removed at Cloudinary", removal.public_id)
            if removal.again_at is not None:
                _plan_again(removal)
                return True
    except cloudinary.CloudError as trouble:
        _postpone(removal, trouble)
        return False
    _still_claimed(removal).delete()
    return True


def _claim(pk: int) -> AssetRemoval | None:
    """Claim the removal for UNDER_WAY_SECONDS if it is due. Meanwhile no other worker removes the asset, and its photo
    is not tried again.

    If the removal is scheduled again meanwhile, `due_at` moves, and the outcome of this call is ignored.
    """
    until = timezone.now() + timedelta(seconds=UNDER_WAY_SECONDS)
    due = AssetRemoval.objects.filter(pk=pk, due_at__lte=timezone.now())
    if not due.update(due_at=until, under_way_until=until):
        return None
    return AssetRemoval.objects.filter(pk=pk, due_at=until).first()


def _still_claimed(removal: AssetRemoval):
    return AssetRemoval.objects.filter(pk=removal.pk, due_at=removal.due_at, under_way_until=removal.under_way_until)


def _plan_again(removal: AssetRemoval) -> None:
    _still_claimed(removal).update(due_at=removal.again_at, again_at=None, under_way_until=None, attempts=0, error="")


def _seconds_left(removal: AssetRemoval) -> float:
    return (removal.under_way_until - timezone.now()).total_seconds()


def _is_wanted(public_id: str) -> bool:
    """Returns whether an image or an example picture uses this asset after all."""
    if (example_id := example_id_of(public_id)) is not None:
        return ExamplePicture.objects.filter(pk=example_id).exists()
    image_id = image_id_of(public_id)
    return image_id is not None and Image.objects.that_may_have_an_asset().filter(pk=image_id).exists()


def image_id_of(public_id: str) -> uuid.UUID | None:
    """Returns the id of the image that this asset is named after; None for a name that is not hopla's."""
    return _id_after(cloudinary.PUBLIC_ID_PREFIX, public_id)


def example_id_of(public_id: str) -> uuid.UUID | None:
    """Returns likewise the id of the example picture."""
    return _id_after(EXAMPLE_PREFIX, public_id)


def _id_after(prefix: str, public_id: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(public_id.removeprefix(prefix))
    except ValueError:
        return None


def _postpone(removal: AssetRemoval, trouble: cloudinary.CloudError) -> None:
    attempts = removal.attempts + 1
    _still_claimed(removal).update(
        attempts=attempts,
        due_at=timezone.now() + timedelta(seconds=BACKOFF.seconds_after(attempts)),
        error=f"{trouble.code}: {trouble.detail}"[:500],
    )
    logger.warning("asset %s: could not be removed, %s", removal.public_id, trouble.code)
