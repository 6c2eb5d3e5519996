"""A new upload: refused at once where its photo could only be refused, else written down before a byte comes.

An Idempotency-Key brings a repeat to the same upload, as long as Redis knows of that: else it begins another, and only
one of them will become a photo. Once one has, the database knows the key, see keys.py.
"""

import hashlib
import json
import uuid
from contextlib import contextmanager, suppress

from django.conf import settings
from redis.exceptions import RedisError

from apps.common.observability import metrics
from apps.common.redis.client import redis_at
from apps.tickets.errors import IdempotencyKeyReusedError
from apps.tickets.intake import idempotency
from apps.tickets.intake.filenames import clean_filename
from apps.tickets.intake.photo_check import require_size
from apps.tickets.intake.room import new_photo_id
from apps.tickets.intake.wanted_slot import WantedSlot
from apps.tickets.models import Ticket
from apps.tickets.resumable import allowance, state
from apps.tickets.resumable.keys import photo_with
from apps.tickets.resumable.state import Upload

KEYS = "hopla:resumable-key:"


def begin(*, ticket: Ticket, user, length: int | None, filename: str = "", **described) -> Upload:
    """Returns a new upload to this ticket. `described`: further fields of an Upload.

    Raises what stands against such a length, UploadQuotaExceededError, and StagingFullError after a short wait.
    """
    if length is not None:
        require_size(length)
    upload_id = new_photo_id(length or 1, user=user.pk)
    upload = Upload(
        id=upload_id,
        ticket_id=ticket.pk,
        user_id=user.pk,
        length=length,
        filename=clean_filename(filename),
        guest_link_id=user.guest_link_id,
        **described,
    )
    allowance.take(upload)  # first: a lease without an upload runs out, an upload without a lease would be free
    try:
        upload = state.begin(upload)
    except RedisError:
        with suppress(RedisError):
            allowance.end(upload)
        raise
    metrics.count("hopla_resumable_uploads", event="begun")
    return upload


@contextmanager
def known_by(
    key: str | None, *, user, ticket: Ticket, length: int | None, sha256: str | None, named: list[str], further
):
    """Yields the id of the photo or the upload that this key was used for, None if there is none or it is gone, and a
    function to call with the id of an upload that is begun inside.

    `length`, `sha256`, `named`: of the photo to come, as far as the client says, and the slots it names; `further`:
    what else makes its request this one, for JSON. Other things with the same key raise IdempotencyKeyReusedError.
    Raises IdempotencyInFlightError while another request with this key is under way.
    """
    if key is None:
        yield None, lambda upload_id: None
        return
    name = f"{KEYS}{user.pk}:{hashlib.sha256(key.encode()).hexdigest()}"
    fingerprint = idempotency.fingerprint_of([ticket.pk, length, sha256, named, further])
    redis = redis_at(settings.REDIS_URL)

    def keep(upload_id: uuid.UUID) -> None:
        redis.set(name, json.dumps([fingerprint, str(upload_id)]), ex=idempotency.KEPT_FOR)

    def known() -> uuid.UUID | None:
        begun = _unfinished(redis.get(name))  # before the database is asked, which knows it from its end on
        slot = WantedSlot(ticket, named).name
        if image := photo_with(key, user_id=user.pk, ticket_id=ticket.pk, slot=slot, size=length, sha256=sha256):
            return image.pk
        if begun is None:
            return None
        fingerprint_then, upload_id = begun
        if fingerprint_then != fingerprint:
            raise IdempotencyKeyReusedError
        return uuid.UUID(upload_id)

    with idempotency.held(user=user, key=key):
        yield known(), keep


def _unfinished(kept: bytes | None) -> tuple[str, str] | None:
    """Returns what is kept for a key, as long as the upload may go on."""
    fingerprint, upload_id = json.loads(kept) if kept else (None, None)
    return (fingerprint, upload_id) if upload_id and state.is_unfinished(upload_id) else None
