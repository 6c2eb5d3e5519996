"""The end of an upload: its bytes are judged as a whole, and it becomes an image, once; or it is refused, and gone.

The image has the upload's id. Under the ticket's lock its row is looked for, and whether this request still has the
upload: so of two requests that end it at once, of a repeat after a lost answer, and of one whose process was killed
between the two steps, a single image comes; and none after a client took its upload back. There, too, an upload with an
Idempotency-Key that has become a photo otherwise ends as that.
"""

import uuid
from collections.abc import Callable
from contextlib import contextmanager, suppress

from django.db import transaction
from django.http import Http404
from redis.exceptions import RedisError

from apps.common.observability import metrics
from apps.tickets import errors
from apps.tickets.intake import acceptance
from apps.tickets.intake.digest import require_digest
from apps.tickets.intake.photo_check import PhotoCheck
from apps.tickets.intake.staged_upload import StagedUpload
from apps.tickets.intake.stream import StagedPhoto
from apps.tickets.models import Image, Ticket
from apps.tickets.resumable import allowance, keys
from apps.tickets.resumable.holding import Hold
from apps.tickets.resumable.state import Upload

# What becomes of uploads, as it is counted: one is `resumed` by each request that goes on with its bytes.
EVENTS = ("begun", "resumed", "finished", "refused", "taken_back", "expired")
READ_BYTES = 1024 * 1024

# What stands against the photo itself, now and at every repeat.
REFUSALS = (
    errors.ImageEmptyError,
    errors.ImageTooLargeError,
    errors.UnsupportedImageError,
    errors.ImageTooManyPixelsError,
    errors.DigestMismatchError,
    errors.SlotUnknownError,
    errors.SlotRequiredError,
    errors.SlotTakenError,
    errors.TicketFullError,
    errors.TicketCompletedError,
    errors.TicketCancelledError,
    errors.TicketExpiredError,
    errors.IdempotencyKeyReusedError,
)


@contextmanager
def gone_when_refused(hold: Hold):
    """What stands against the photo passes, and the upload is gone."""
    try:
        yield
    except (*REFUSALS, Ticket.DoesNotExist) as exc:
        give_up(hold)
        metrics.count("hopla_resumable_uploads", event="refused")
        if isinstance(exc, Ticket.DoesNotExist):
            raise Http404 from exc
        raise


def give_up(hold: Hold) -> None:
    """The upload and its bytes go, and the user's day gets back what never came."""
    hold.end()
    with suppress(RedisError):  # then the lease runs out
        allowance.end(hold.upload)


def take_back(hold: Hold) -> None:
    """Give up the upload as its client wants. Raises UploadFinishedError when its photo has been accepted meanwhile."""
    with transaction.atomic():
        Ticket.objects.lock(hold.upload.ticket_id)  # nobody is between looking for the row and writing it
        if find_finished(hold.upload.id, ticket_id=hold.upload.ticket_id):
            raise errors.UploadFinishedError
        give_up(hold)
    metrics.count("hopla_resumable_uploads", event="taken_back")


def find_finished(upload_id: uuid.UUID, *, ticket_id: int) -> Image | None:
    image = Image.objects.find(upload_id)
    # A direct upload was never one of these.
    return image if image is not None and image.ticket_id == ticket_id and not image.is_direct else None


def finish(hold: Hold, check: PhotoCheck | None = None, *, answer_to: Callable[[Image], dict]) -> Image:
    """Returns the image of an upload whose last byte is in. Safe to run twice.

    `check`: one that has seen all of its bytes; else they are read again from staging. `answer_to`: what is kept for
    the upload's Idempotency-Key, see keys.py. Raises REFUSALS, UploadOvertakenError when a newer request has the
    upload, and IdempotencyInFlightError.
    """
    upload = hold.upload
    staged = StagedUpload(upload.id, expected_size=upload.length, user=upload.user_id, offset=upload.offset)
    check = check or _checked_again(staged)
    check.require_content()
    require_digest(upload.sha256 or None, photo_sha256=check.sha256, body_sha256=None)
    header = check.read_header(staged.read_at)
    hold.require()
    staged.finish()
    photo = StagedPhoto(upload.id, upload.filename, check.size, check.sha256, header)
    image = _accept_once(hold, photo, answer_to)
    with suppress(RedisError, errors.UploadOvertakenError):  # the row is the truth; the rest expires
        if image.pk == upload.id:
            hold.forget()
        else:
            hold.end()
        allowance.end(upload)
    return image


def _checked_again(staged: StagedUpload) -> PhotoCheck:
    """Of all bytes in staging: what was computed as they came is lost between two requests."""
    check = PhotoCheck()
    while check.size < staged.offset:
        portion = staged.read_at(check.size, READ_BYTES)
        if not portion:
            raise errors.TemporarilyUnavailableError  # Redis has lost them just now, and says so when asked again
        check.feed(portion)
    return check


def _accept_once(hold: Hold, photo: StagedPhoto, answer_to: Callable[[Image], dict]) -> Image:
    upload = hold.upload

    def keep_key(image: Image) -> None:
        image.ticket = ticket
        keys.keep(upload, image, answer=answer_to(image))

    with transaction.atomic():
        ticket = Ticket.objects.lock(upload.ticket_id)
        if image := find_finished(upload.id, ticket_id=ticket.pk):
            return image
        hold.require()
        image = _photo_with_key_of(upload, sha256=photo.sha256) or acceptance.accept_photo(
            ticket_id=ticket.pk,
            photo=photo,
            position=ticket.position_of(upload.slot) if upload.slot else None,
            guest_link_id=upload.guest_link_id,
            also=keep_key if upload.key else None,
        )
    metrics.count("hopla_resumable_uploads", event="finished")
    return image


def _photo_with_key_of(upload: Upload, *, sha256: str) -> Image | None:
    if not upload.key:
        return None
    return keys.photo_with(
        upload.key,
        user_id=upload.user_id,
        ticket_id=upload.ticket_id,
        slot=upload.slot,
        size=upload.length,
        sha256=sha256,
    )
