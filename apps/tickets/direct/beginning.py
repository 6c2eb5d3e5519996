"""A new direct upload: its place is taken, and Cloudinary's form signed, before a byte is sent."""

import logging
import uuid
from collections.abc import Callable
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.urls import reverse
from django.utils import timezone

from apps.common.observability import metrics
from apps.common.public_url import public_url
from apps.tickets.direct import allowance
from apps.tickets.direct.formats import require_photo_type
from apps.tickets.errors import DirectUploadsOffError
from apps.tickets.intake import quota
from apps.tickets.intake.filenames import clean_filename
from apps.tickets.intake.photo_check import require_size
from apps.tickets.intake.places import take_awaited_place
from apps.tickets.models import Image, Ticket
from apps.tickets.models.statuses import ImageStatus
from apps.tickets.storage import cloudinary
from apps.tickets.storage.cloudinary import SignedForm

logger = logging.getLogger(__name__)

NOTIFICATIONS = "cloudinary-notifications"  # the route to which Cloudinary posts them
# What becomes of direct uploads, as it is counted: `notified` and `found` are stored or failed by what Cloudinary said
# by itself, or when asked; some of them are `late`.
EVENTS = ("begun", "notified", "found", "late", "expired", "given_up")


def require_direct_uploads() -> None:
    if not settings.DIRECT_UPLOADS:
        raise DirectUploadsOffError


def require_acceptable(*, content_type: str = "", size: int | None = None) -> None:
    """Refuse what could only be refused once it has come. Raises as for photos that come through hopla."""
    if size is not None:
        require_size(size)
    if content_type:
        require_photo_type(content_type)


def begin(
    *,
    ticket: Ticket,
    user,
    filename: str,
    size: int | None = None,
    md5: str = "",
    position: int | None = None,
    also: Callable[[Image], None] = lambda image: None,
) -> Image:
    """Returns a new image that awaits its upload, on a place of its ticket until DIRECT_UPLOAD_TTL_SECONDS have passed.

    `size` and `md5` are compared with what comes. `position`: that of the slot it is for. `also` is called with the
    image in the transaction that takes the place, and undoes it by raising. Raises as `free_position`, and
    UploadQuotaExceededError.
    """
    expires_at = timezone.now() + timedelta(seconds=settings.DIRECT_UPLOAD_TTL_SECONDS)
    image = Image(
        id=uuid.uuid4(),
        ticket_id=ticket.pk,
        guest_link_id=user.guest_link_id,
        status=ImageStatus.AWAITING_UPLOAD,
        filename=clean_filename(filename),
        size=size,
        md5=md5,
        upload_expires_at=expires_at.replace(microsecond=0),  # a signature knows no parts of seconds
        next_check_at=expires_at,
    )
    allowance.take(image, user_id=user.pk)
    try:
        with transaction.atomic():
            take_awaited_place(image, position=position)
            also(image)
    except BaseException:
        quota.end_lease(user.pk, image.pk, came=0)
        raise
    transaction.on_commit(lambda: _tell_begun(image), robust=True)
    return image


def form_of(image: Image) -> SignedForm:
    return cloudinary.sign_form(
        public_id=image.public_id, ends_at=image.upload_expires_at, notification_url=_notification_url()
    )


def _notification_url() -> str | None:
    """Cloudinary itself refuses uploads that have it notify an address it cannot reach. Without one hopla asks it."""
    if not (settings.PUBLIC_URL_IS_SET or cloudinary.is_stand_in()):
        return None
    return public_url(reverse(NOTIFICATIONS))


def _tell_begun(image: Image) -> None:
    metrics.count("hopla_direct_uploads", event="begun")
    logger.info("image %s of ticket %s: awaits its upload", image.pk, image.ticket_id, extra=image.log_fields)
