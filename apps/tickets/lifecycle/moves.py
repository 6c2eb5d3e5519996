"""Every move that a ticket or an image can make: from which statuses, to which, what changes, and its conditions.

The tables define the moves, the functions below make them. All are safe to repeat or to call late: a move that is not
allowed changes nothing.
"""

from datetime import timedelta

from django.db import models
from django.db.models import Count, Exists, F, OuterRef, Q, Subquery
from django.db.models.functions import Coalesce
from django.utils import timezone

from apps.common.db.compiled_queries import Parameter
from apps.tickets.lifecycle.executor import NOW, ImageMove, TicketMove
from apps.tickets.models import Image, Ticket, next_check_at_the_latest
from apps.tickets.models.statuses import IN_FLIGHT, OPEN_TICKET, ImageStatus, TicketReview, TicketStatus

MOMENT = Parameter("moment", models.DateTimeField())
CODE = Parameter("code", models.CharField())
REASON = Parameter("reason", models.CharField())
TROUBLE = {"error_code": CODE, "error_detail": Parameter("detail", models.CharField())}
NO_TROUBLE = {"error_code": "", "error_detail": ""}
SETTLED = {"next_retry_at": None, "next_check_at": None}
POSITION = Parameter("position", models.PositiveIntegerField())
ASSET = {
    "asset_id": Parameter("asset_id", models.CharField()),
    "asset_version": Parameter("asset_version", models.BigIntegerField()),
    "asset_format": Parameter("asset_format", models.CharField()),
    "stored_at": NOW,
}
# What hopla learns of a direct upload from Cloudinary alone.
FACTS = {
    **{name: Parameter(name, models.PositiveIntegerField()) for name in ("size", "width", "height")},
    **{name: Parameter(name, models.CharField()) for name in ("md5", "content_type", "format")},
    "duplicate_of": Parameter("duplicate_of", models.UUIDField()),
}

IS_DUE = Q(next_retry_at=None) | Q(next_retry_at__lte=NOW)
# No other attempt has begun since the image was read, and staff have not had it tried again.
SAME_ATTEMPT = Q(
    attempts=Parameter("attempts", models.PositiveIntegerField()),
    attempts_uncounted=Parameter("attempts_uncounted", models.PositiveIntegerField()),
)

IMAGE_MOVES = {
    "start_upload": ImageMove(
        [ImageStatus.QUEUED],
        ImageStatus.UPLOADING,
        {"attempts": F("attempts") + 1, "next_retry_at": None, "next_check_at": MOMENT},
        only_if=IS_DUE,
    ),
    # From `queued` too: Cloudinary's response came after its attempt was given up, or the asset was found there.
    "store": ImageMove(
        IN_FLIGHT,
        ImageStatus.STORED,
        ASSET | NO_TROUBLE | SETTLED,
        only_if=SAME_ATTEMPT,
    ),
    "receive": ImageMove(
        [ImageStatus.AWAITING_UPLOAD], ImageStatus.STORED, ASSET | FACTS | SETTLED, only_if=SAME_ATTEMPT
    ),
    "receive_late": ImageMove(
        [ImageStatus.FAILED],
        ImageStatus.STORED,
        ASSET | FACTS | NO_TROUBLE | SETTLED | {"position": POSITION},
        only_if=SAME_ATTEMPT,
        reason="late",
    ),
    "await_no_longer": ImageMove(
        [ImageStatus.AWAITING_UPLOAD],
        ImageStatus.FAILED,
        TROUBLE | {"next_check_at": MOMENT},
        only_if=SAME_ATTEMPT,
        reason=CODE,
    ),
    "retry_at": ImageMove(
        [ImageStatus.UPLOADING],
        ImageStatus.QUEUED,
        TROUBLE | {"next_retry_at": MOMENT, "next_check_at": MOMENT},
        only_if=SAME_ATTEMPT,
        reason=CODE,
    ),
    "give_back": ImageMove(
        [ImageStatus.UPLOADING],
        ImageStatus.QUEUED,
        {"attempts_uncounted": F("attempts_uncounted") + 1, "next_retry_at": MOMENT, "next_check_at": MOMENT},
        only_if=SAME_ATTEMPT,
        reason="uploads_paused",
    ),
    "wait_for_staging": ImageMove(
        [ImageStatus.UPLOADING],
        ImageStatus.QUEUED,
        TROUBLE | {"attempts_uncounted": F("attempts_uncounted") + 1, "next_retry_at": MOMENT, "next_check_at": MOMENT},
        only_if=SAME_ATTEMPT,
        reason=CODE,
    ),
    "fail": ImageMove(IN_FLIGHT, ImageStatus.FAILED, TROUBLE | SETTLED, only_if=SAME_ATTEMPT, reason=CODE),
    "lose_asset": ImageMove([ImageStatus.STORED], ImageStatus.FAILED, TROUBLE, only_if=SAME_ATTEMPT, reason=CODE),
    "revive": ImageMove(
        [ImageStatus.FAILED],
        ImageStatus.QUEUED,
        {
            "position": POSITION,
            "attempts_uncounted": F("attempts"),
            "next_check_at": MOMENT,
        }
        | NO_TROUBLE,
        only_if=SAME_ATTEMPT,
        reason="tried_again",
    ),
    "reject": ImageMove(
        [ImageStatus.STORED],
        ImageStatus.REJECTED,
        {
            "rejection_reason": REASON,
            "rejection_note": Parameter("note", models.CharField()),
            "rejected_at": NOW,
        },
        only_if=SAME_ATTEMPT,
        reason=REASON,
    ),
}


def _all_images_are_stored() -> Q:
    """Only reliable under the ticket's lock, in a statement that begins after the lock was taken."""
    stored = Image.objects.filter(ticket=OuterRef("pk"), status=ImageStatus.STORED).order_by().values("ticket")
    return Q(num_images=Coalesce(Subquery(stored.annotate(number=Count("*")).values("number")), 0))


def _has_images() -> Q:
    return Q(Exists(Image.objects.filter(ticket=OuterRef("pk"))))


TICKET_MOVES = {
    "begin": TicketMove([TicketStatus.PENDING], TicketStatus.IN_PROGRESS),
    "complete": TicketMove(
        [TicketStatus.IN_PROGRESS],
        TicketStatus.COMPLETED,
        {"completed_at": NOW, "review": ""},
        only_if=_all_images_are_stored,
    ),
    "approve": TicketMove(
        [TicketStatus.COMPLETED],
        TicketStatus.COMPLETED,
        {"review": TicketReview.APPROVED.value},
        only_if=~Q(review=TicketReview.APPROVED.value),
        reason="approved",
    ),
    "request_retake": TicketMove(
        [TicketStatus.IN_PROGRESS, TicketStatus.COMPLETED],
        TicketStatus.IN_PROGRESS,
        {"review": TicketReview.RETAKE_REQUESTED.value, "completed_at": None},
        reason="retake_requested",
    ),
    "cancel": TicketMove(OPEN_TICKET, TicketStatus.CANCELLED),
    "expire": TicketMove(OPEN_TICKET, TicketStatus.EXPIRED, only_if=Q(expires_at__lte=NOW)),
    "reopen": TicketMove([TicketStatus.EXPIRED], TicketStatus.IN_PROGRESS, {"expires_at": MOMENT}, only_if=_has_images),
    "reopen_empty": TicketMove([TicketStatus.EXPIRED], TicketStatus.PENDING, {"expires_at": MOMENT}),
}


def start_upload(image_id, *, lease_seconds: float) -> Image | None:
    """Begin an attempt. Returns the image, or None if it is not queued, its retry is not due yet, or it was deleted.

    After `lease_seconds` the attempt is considered lost, unless the lease is renewed.
    """
    made = IMAGE_MOVES["start_upload"].make(image_id, moment=timezone.now() + timedelta(seconds=lease_seconds))
    return made and made[0]


def store(image: Image, *, asset_id: str, asset_version: int, asset_format: str) -> Ticket | None:
    return IMAGE_MOVES["store"].make_of(
        image, asset_id=asset_id, asset_version=asset_version, asset_format=asset_format
    )


def receive(image: Image, **facts) -> Ticket | None:
    """Store a direct upload. `facts`: what Cloudinary says of it, ASSET and FACTS."""
    return IMAGE_MOVES["receive"].make_of(image, **facts)


def receive_late(image: Image, *, position: int, **facts) -> Ticket | None:
    """Likewise one that has failed since it did not come in time, on a free place."""
    return IMAGE_MOVES["receive_late"].make_of(image, position=position, **facts)


def await_no_longer(image: Image, *, code: str, detail: str, look_again_at=None) -> Ticket | None:
    """Fail a direct upload that has not come, or not as it should be, which frees its place."""
    return IMAGE_MOVES["await_no_longer"].make_of(image, code=code, detail=detail[:500], moment=look_again_at)


def retry_at(image: Image, moment, *, code: str, detail: str) -> Ticket | None:
    """End the attempt after a temporary failure; the next one starts at `moment`."""
    return IMAGE_MOVES["retry_at"].make_of(image, moment=moment, code=code, detail=detail[:500])


def give_back(image: Image, moment) -> Ticket | None:
    """End the attempt without counting it: it failed for a reason that is not the photo's fault."""
    return IMAGE_MOVES["give_back"].make_of(image, moment=moment)


def wait_for_staging(image: Image, moment, *, code: str, detail: str) -> Ticket | None:
    """Likewise, as the server with its bytes does not answer; readers are told so."""
    return IMAGE_MOVES["wait_for_staging"].make_of(image, moment=moment, code=code, detail=detail)


def fail(image: Image, *, code: str, detail: str) -> Ticket | None:
    """Fail the image, which frees its place."""
    return IMAGE_MOVES["fail"].make_of(image, code=code, detail=detail[:500])


def lose_asset(image: Image, *, code: str, detail: str) -> Ticket | None:
    """Fail a stored image that Cloudinary does not hold any more."""
    return IMAGE_MOVES["lose_asset"].make_of(image, code=code, detail=detail[:500])


def revive(image: Image, *, position: int) -> Ticket | None:
    """Queue the image again for staff, on a free place, with the full number of attempts."""
    return IMAGE_MOVES["revive"].make_of(image, position=position, moment=next_check_at_the_latest())


def reject(image: Image, *, reason: str, note: str) -> Ticket | None:
    """Free the place of a stored image, as staff want another. Its asset stays."""
    return IMAGE_MOVES["reject"].make_of(image, reason=reason, note=note)


def begin(ticket: Ticket) -> bool:
    return TICKET_MOVES["begin"].make_of(ticket)


def complete_if_all_images_are_stored(ticket: Ticket) -> bool:
    return TICKET_MOVES["complete"].make_of(ticket)


def approve(ticket: Ticket) -> bool:
    return TICKET_MOVES["approve"].make_of(ticket)


def request_retake(ticket: Ticket) -> bool:
    """Have the ticket take photos again for those that were rejected."""
    return TICKET_MOVES["request_retake"].make_of(ticket)


def cancel(ticket: Ticket) -> bool:
    return TICKET_MOVES["cancel"].make_of(ticket)


def expire_if_overdue(ticket: Ticket) -> bool:
    return TICKET_MOVES["expire"].make_of(ticket)


def reopen(ticket: Ticket, *, expires_at) -> bool:
    """Reopen an expired ticket that staff gave more time. It is pending again if no photo was ever accepted."""
    return any(TICKET_MOVES[name].make_of(ticket, moment=expires_at) for name in ("reopen", "reopen_empty"))
