"""A new upload: refused at once where its photo could only be refused, else written down before a byte comes.

An Idempotency-Key brings a repeat to the same upload, unless its photo has failed since. It is kept in Redis: without
it a repeat begins another upload, and only one of them will be sent.
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
from apps.tickets.intake.room import new_photo_id
from apps.tickets.models import Image, Ticket
from apps.tickets.models.statuses import ImageStatus
from apps.tickets.resumable import allowance, state
from apps.tickets.resumable.state import Upload, require_length

KEYS = "hopla:resumable-key:"


def begin(*, ticket: Ticket, user, length: int | None, filename: str = "", **described) -> Upload:
    """Returns a new upload to this ticket. `described`: further fields of an Upload.

    Raises what stands against such a length, UploadQuotaExceededError, and StagingFullError after a short wait.
    """
    if length is not None:
        require_length(length)
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
def known_by(key: str | None, *, user, asked: list):
    """Yields the id of the upload that was begun with this key, None if there is none or it is gone, and a function to
    call with the id of one that is begun inside.

    `asked`: what the client asked for; other things with the same key raise IdempotencyKeyReusedError. Raises
    IdempotencyInFlightError while another request with this key is under way.
    """
    if key is None:
        yield None, lambda upload_id: None
        return
    name = f"{KEYS}{user.pk}:{hashlib.sha256(key.encode()).hexdigest()}"
    fingerprint = idempotency.fingerprint_of(asked)
    redis = redis_at(settings.REDIS_URL)

    def keep(upload_id: uuid.UUID) -> None:
        redis.set(name, json.dumps([fingerprint, str(upload_id)]), ex=idempotency.KEPT_FOR)

    with idempotency.held(user=user, key=key):
        yield _living(redis.get(name), fingerprint), keep


def _living(kept: bytes | None, fingerprint: str) -> uuid.UUID | None:
    if kept is None:
        return None
    fingerprint_then, upload_id = json.loads(kept)
    sound = Image.objects.filter(pk=upload_id).exclude(status=ImageStatus.FAILED)
    if not state.is_unfinished(upload_id) and not sound.exists():
        return None
    if fingerprint_then != fingerprint:
        raise IdempotencyKeyReusedError
    return uuid.UUID(upload_id)
