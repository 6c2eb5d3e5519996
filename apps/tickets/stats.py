"""Statistics of the pipeline, each read from a partial index that holds little more than what it counts.

Few photos are in flight, since the staging budget limits them, and recently stored or failed ones are looked up by
time: the cost does not grow with the total number of photos.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, Min, Q
from django.db.models.functions import TruncMinute
from django.utils import timezone

from apps.tickets.models import Image, Ticket
from apps.tickets.models.statuses import IN_FLIGHT, ImageStatus


@dataclass(frozen=True)
class InFlight:
    """The photos that are accepted and not settled."""

    ready: int  # queued, for the next free worker
    waiting: int  # queued, until their next attempt is due
    uploading: int
    oldest_accepted_at: datetime | None


@dataclass(frozen=True)
class Awaited:
    """The direct uploads that are awaited."""

    number: int
    overdue: int  # whose time has passed, while Cloudinary cannot be asked


@dataclass(frozen=True)
class UploadError:
    image: Image  # only id, ticket_id and position

    code: str
    detail: str
    at: datetime


def in_flight() -> InFlight:
    later = Q(next_retry_at__gt=timezone.now())
    queued = Q(status=ImageStatus.QUEUED)
    return InFlight(
        **Image.objects.filter(status__in=IN_FLIGHT).aggregate(
            ready=Count("pk", filter=queued & ~later),
            waiting=Count("pk", filter=queued & later),
            uploading=Count("pk", filter=Q(status=ImageStatus.UPLOADING)),
            oldest_accepted_at=Min("created_at"),
        )
    )


def awaited() -> Awaited:
    images = Image.objects.filter(status=ImageStatus.AWAITING_UPLOAD, next_check_at__isnull=False)
    overdue = Count("pk", filter=Q(upload_expires_at__lt=timezone.now()))
    return Awaited(**images.aggregate(number=Count("pk"), overdue=overdue))


def stored_by_minute(*, minutes: int = 60) -> list[tuple[datetime, int]]:
    """Returns `(start of the minute, photos stored in it)`, oldest first, the current minute last."""
    this_minute = timezone.now().replace(second=0, microsecond=0)
    first = this_minute - timedelta(minutes=minutes - 1)
    stored = Image.objects.filter(status=ImageStatus.STORED, stored_at__gte=first).order_by()
    counted = dict(stored.values_list(TruncMinute("stored_at")).annotate(photos=Count("*")))
    moments = (first + timedelta(minutes=number) for number in range(minutes))
    return [(moment, counted.get(moment, 0)) for moment in moments]


def failed_since(moment: datetime) -> int:
    return Image.objects.filter(status=ImageStatus.FAILED, updated_at__gte=moment).count()


def waiting_for_review(*, at_most: int) -> int:
    """Returns how many tickets wait for review, counted in their order up to this number and no further."""
    return Ticket.objects.waiting_for_review()[:at_most].count()


def last_upload_error() -> UploadError | None:
    """Returns the newest error of a photo that is retried or has failed; None if there is none."""
    erring = Image.objects.exclude(error_code="").order_by("-updated_at")
    erring = erring.only("ticket_id", "position", "error_code", "error_detail", "updated_at")
    found = [erring.filter(status__in=IN_FLIGHT).first(), erring.filter(status=ImageStatus.FAILED).first()]
    newest = max((image for image in found if image), key=lambda image: image.updated_at, default=None)
    return newest and UploadError(newest, newest.error_code, newest.error_detail, newest.updated_at)
