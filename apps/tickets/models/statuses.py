"""The statuses of tickets and images. The moves between them are in lifecycle/moves.py."""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _


class TicketStatus(models.TextChoices):
    PENDING = "pending", _("pending")
    IN_PROGRESS = "in_progress", _("in progress")
    COMPLETED = "completed", _("completed")
    CANCELLED = "cancelled", _("cancelled")
    EXPIRED = "expired", _("expired")


class ImageStatus(models.TextChoices):
    AWAITING_UPLOAD = "awaiting_upload", _("awaiting upload")
    QUEUED = "queued", _("queued")
    UPLOADING = "uploading", _("uploading")
    STORED = "stored", _("stored")
    FAILED = "failed", _("failed")
    REJECTED = "rejected", _("rejected")


class TicketReview(models.TextChoices):
    """What staff said of a ticket's photos; nothing yet where it is empty."""

    APPROVED = "approved", _("approved")
    RETAKE_REQUESTED = "retake_requested", _("retake requested")


class RejectionReason(models.TextChoices):
    """Why staff want another photo."""

    BLURRED = "blurred", _("blurred")
    TOO_DARK = "too_dark", _("too dark")
    WRONG_SUBJECT = "wrong_subject", _("shows something else")
    INCOMPLETE = "incomplete", _("does not show all of it")
    OTHER = "other", _("another reason")


class SlotStatus(models.TextChoices):
    """Of a named place: whether a photo has taken it or is awaited there, and whether that is stored."""

    MISSING = "missing", _("missing")
    AWAITING = "awaiting", _("awaiting upload")
    RECEIVED = "received", _("received")
    STORED = "stored", _("stored")


class SlotSource(models.TextChoices):
    """Where a photo for a named place is to come from."""

    ANY = "any", _("any photo")
    CAMERA = "camera", _("taken now with the camera")


# A ticket in one of these still takes photos.
OPEN_TICKET = (TicketStatus.PENDING, TicketStatus.IN_PROGRESS)

# An image in one of these is accepted and not settled: its bytes are staged and it needs another attempt.
IN_FLIGHT = (ImageStatus.QUEUED, ImageStatus.UPLOADING)

# An image in one of these holds its place and is not settled: it is in flight, or the client sends it to Cloudinary
# itself, and then hopla has none of its bytes and no attempt to make.
UNSETTLED = (ImageStatus.AWAITING_UPLOAD, *IN_FLIGHT)

# An image in one of these takes none of its ticket's places.
WITHOUT_A_PLACE = (ImageStatus.FAILED, ImageStatus.REJECTED)

# An image in one of these has an asset at Cloudinary: that of a rejected one stays.
WITH_AN_ASSET = (ImageStatus.STORED, ImageStatus.REJECTED)


def holds_a_place(image: str = "") -> Q:
    """Returns the condition that an image takes one of its ticket's places. `image`: a prefix such as `images__`."""
    return ~Q(**{f"{image}status__in": [status.value for status in WITHOUT_A_PLACE]})
