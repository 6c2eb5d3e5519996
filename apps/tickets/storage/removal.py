"""Assets that must not stay at Cloudinary: a failed photo whose upload may have landed all the same, a deleted one.

What is to go is written down in the transaction that decided it (AssetRemoval), so that no crash forgets it; the
worker removes it in the background and tries again until Cloudinary says that it is gone.
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
from apps.tickets.models.statuses import ImageStatus
from apps.tickets.models.transition import DELETED, record
from apps.tickets.staging import quarantine, store
from apps.tickets.storage import cloudinary

logger = logging.getLogger(__name__)

BACKOFF = Backoff(base_seconds=10, cap_seconds=60 * 60)
BATCH = 20
# Three times what the call may take: Cloudinary may carry it out after hopla has given up waiting.
UNDER_WAY_SECONDS = 3 * cloudinary.ADMIN_TIMEOUT_SECONDS


def remove_asset_of(image: Image) -> None:
    """Write down that this image's asset is to go. Call it in the transaction that fails or deletes the image.

    An image that no attempt was made of has none. One whose upload may be under way is removed after its deadline.
    """
    if not image.attempts and image.status != ImageStatus.STORED:
        return
    wait = 0 if image.status == ImageStatus.STORED else settings.UPLOAD_TIMEOUT_SECONDS + LEASE_SLACK_SECONDS
    schedule_removal(image.public_id, due_at=timezone.now() + timedelta(seconds=wait))


@receiver(pre_delete, sender=Image)
def lock_ticket_of_image_to_be_deleted(*, instance: Image, **kwargs):
    """Readers of the ticket see the image go. And no attempt begins between here and the commit: look once more whether
    one has since the image was read, as its asset is to go too.
    """
    with suppress(Ticket.DoesNotExist, Image.DoesNotExist):  # someone else was faster
        Ticket.objects.lock(instance.ticket_id).touch()
        instance.refresh_from_db(fields=["status", "attempts"])


@receiver(post_delete, sender=Image)
@receiver(post_delete, sender=Ticket)
def record_deletion(*, instance: Image | Ticket, **kwargs):
    which = {"ticket_id": instance.ticket_id, "image_id": instance.pk} if isinstance(instance, Image) else {}
    record(**{"ticket_id": instance.pk} | which, from_status=instance.status, to_status=DELETED)


@receiver(post_delete, sender=Image)
def remove_asset_of_deleted_image(*, instance: Image, **kwargs):
    """Deleting an image, or its ticket, takes its asset and its staged bytes along, in the background."""
    remove_asset_of(instance)
    image_id = instance.pk  # None by the time of the commit
    transaction.on_commit(lambda: (store.discard(image_id), quarantine.drop(image_id)), robust=True)


def schedule_removal(public_id: str, *, due_at=None) -> None:
    """Write down that this asset is to go, now unless told when. Safe to repeat: the later moment counts."""
    due_at = due_at or timezone.now()
    AssetRemoval.objects.update_or_create(public_id=public_id, defaults={"due_at": due_at, "attempts": 0})


def remove_due_assets() -> int:
    """Remove up to a batch of the assets that are due, and answer how many were looked at. Safe side by side.

    It ends at the first that cannot be removed: with Cloudinary hanging, each would keep the reconciler from the photos
    in flight for as long as an Admin call may take.
    """
    due = AssetRemoval.objects.filter(due_at__lte=timezone.now()).order_by("due_at").values_list("pk", flat=True)
    looked_at = 0
    for pk in list(due[:BATCH]):
        looked_at += 1
        if not _remove_one(pk):
            break
    return looked_at


def call_off(public_id: str) -> bool:
    """The asset may stand after all: forget its removal. False while that is under way, and nothing is changed then.

    Call it in the transaction that has an upload begin. A removal that begins meanwhile waits for its end.
    """
    removal = AssetRemoval.objects.select_for_update().filter(public_id=public_id).first()
    if removal is not None and removal.under_way_until is not None and removal.under_way_until > timezone.now():
        return False
    if removal is not None:
        removal.delete()
    return True


def _remove_one(pk: int) -> bool:
    """False when it could not be removed. No lock is held during the call: see `_claim`."""
    removal = _claim(pk)
    if removal is None:  # done, called off, or in another worker's hands
        return True
    try:
        if not _is_wanted(removal.public_id):
            if _seconds_left(removal) < cloudinary.ADMIN_TIMEOUT_SECONDS:  # this process was stopped for a while
                return False
            cloudinary.delete(removal.public_id)
            logger.info("asset %s: removed at Cloudinary", removal.public_id)
    except cloudinary.CloudError as trouble:
        _postpone(removal, trouble)
        return False
    _still_claimed(removal).delete()
    return True


def _claim(pk: int) -> AssetRemoval | None:
    """Make it this caller's for UNDER_WAY_SECONDS, if it is due: nobody else removes it, nor has its photo tried again.

    Whoever would have that, or be another remover, sees the claim; what is to be removed anew moves `due_at`, and then
    the outcome of this call decides nothing.
    """
    until = timezone.now() + timedelta(seconds=UNDER_WAY_SECONDS)
    due = AssetRemoval.objects.filter(pk=pk, due_at__lte=timezone.now())
    if not due.update(due_at=until, under_way_until=until):
        return None
    return AssetRemoval.objects.filter(pk=pk, due_at=until).first()


def _still_claimed(removal: AssetRemoval):
    return AssetRemoval.objects.filter(pk=removal.pk, due_at=removal.due_at, under_way_until=removal.under_way_until)


def _seconds_left(removal: AssetRemoval) -> float:
    return (removal.under_way_until - timezone.now()).total_seconds()


def _is_wanted(public_id: str) -> bool:
    """Whether an image stands that claims this asset after all, or an example picture."""
    if (example_id := example_id_of(public_id)) is not None:
        return ExamplePicture.objects.filter(pk=example_id).exists()
    image_id = image_id_of(public_id)
    return image_id is not None and Image.objects.holding_a_place().filter(pk=image_id).exists()


def image_id_of(public_id: str) -> uuid.UUID | None:
    """The id of the image that this asset is named after; None for a name that hopla did not make."""
    return _id_after(cloudinary.PUBLIC_ID_PREFIX, public_id)


def example_id_of(public_id: str) -> uuid.UUID | None:
    """Likewise, of the example picture."""
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
