"""What an upload takes of its user's bytes a day: its length when it begins, and at the end what has come."""

from django.conf import settings

from apps.tickets.intake import quota
from apps.tickets.intake.body import GRACE_SECONDS
from apps.tickets.resumable.state import Upload


def take(upload: Upload) -> None:
    """Raises UploadQuotaExceededError."""
    quota.lease_for_upload(upload.user_id, upload.id, size=upload.most_bytes, seconds=_seconds())


def renew(upload: Upload, *, give_back: int = 0) -> None:
    """After a request, which has brought some; `give_back`: bytes that it said will never come."""
    quota.renew_lease(
        upload.user_id,
        upload.id,
        to_come=upload.most_bytes - upload.offset,
        seconds=_seconds(),
        give_back=give_back,
    )


def end(upload: Upload) -> None:
    quota.renew_lease(upload.user_id, upload.id, to_come=0, seconds=0, give_back=upload.most_bytes - upload.offset)


def _seconds() -> int:
    """Until an upload of which nothing more comes has expired, and the longest request in between is over."""
    pace = settings.UPLOAD_MIN_BYTES_PER_SECOND
    return settings.RESUMABLE_TTL_SECONDS + (GRACE_SECONDS + settings.IMAGE_MAX_BYTES // pace if pace else 0)
