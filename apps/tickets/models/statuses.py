"""The statuses of tickets and images, and the moves allowed between them."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class TicketStatus(models.TextChoices):
    PENDING = "pending", _("pending")
    IN_PROGRESS = "in_progress", _("in progress")
    COMPLETED = "completed", _("completed")
    CANCELLED = "cancelled", _("cancelled")
    EXPIRED = "expired", _("expired")


class ImageStatus(models.TextChoices):
    QUEUED = "queued", _("queued")
    UPLOADING = "uploading", _("uploading")
    STORED = "stored", _("stored")
    FAILED = "failed", _("failed")


# A ticket in one of these still takes photos; from the others no move leads back.
OPEN_TICKET = (TicketStatus.PENDING, TicketStatus.IN_PROGRESS)

# An image in one of these is accepted and not settled: its bytes are staged and a worker owes it an attempt.
IN_FLIGHT = (ImageStatus.QUEUED, ImageStatus.UPLOADING)
