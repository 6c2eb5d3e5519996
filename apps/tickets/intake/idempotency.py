"""Idempotency-Key: a request repeated with the same key gets the first one's response and does nothing again.

While the first request runs, its key is held in Redis. Its response is written to the database in the transaction that
makes it true, for 24 hours. Only successes are kept: a refusal has taken nothing, so its repeat is judged anew, and so
is that of a photo which has failed since.
"""

import hashlib
import json
import re
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import partial

from django.conf import settings
from django.db.models import BigIntegerField, CharField, DateTimeField
from django.utils import timezone
from redis.exceptions import RedisError
from redis.lock import Lock

from apps.common.db.compiled_queries import (
    CompiledQuery,
    CompiledStatement,
    Parameter,
    columns_of,
    insert_sql,
    instance_of,
    values_to_insert,
)
from apps.common.observability import unforeseen
from apps.common.redis.client import redis_at
from apps.common.threads import Daemon
from apps.tickets.errors import IdempotencyInFlightError, IdempotencyKeyInvalidError, IdempotencyKeyReusedError
from apps.tickets.models import IdempotencyKey
from apps.tickets.models.statuses import ImageStatus

KEPT_FOR = timedelta(hours=24)
# A killed request's key stays held for this long, and its client has to wait; a running request renews its hold.
HELD_SECONDS = 10
RENEW_EVERY_SECONDS = 3
FORGET_BATCH = 1000


def key_of(request) -> str | None:
    """Returns the request's Idempotency-Key, checked, or None without one. Raises IdempotencyKeyInvalidError.

    A guest's is another than the same key of the ticket's owner or of another guest, although all are kept for the
    owner: it begins with a space, as no client's does.
    """
    key = request.META.get("HTTP_IDEMPOTENCY_KEY")  # `headers` would hold a copy of all
    if key is None:
        return None
    if not re.fullmatch(r"[\x21-\x7e]([\x20-\x7e]{0,253}[\x21-\x7e])?", key):
        raise IdempotencyKeyInvalidError
    if (link := request.user.guest_link_id) is not None:
        return f" guest {link} {hashlib.sha256(key.encode()).hexdigest()}"
    return key


def fingerprint_of(data) -> str:
    """Returns the sha256 of a JSON body, the same for any order of its members and any white space."""
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()


def fingerprint_of_photo(sha256: str, *, slot: str) -> str:
    """Of an upload: by the photo's bytes, and the name of the slot it is for, if it is for one."""
    return hashlib.sha256(f"{sha256} {slot}".encode()).hexdigest() if slot else sha256


@contextmanager
def held(*, user, key: str):
    """Hold the key while the request runs. Raises IdempotencyInFlightError while another request holds it."""
    digest = hashlib.sha256(key.encode()).hexdigest()
    name = f"hopla:idempotency:{user.pk}:{digest}"
    hold = redis_at(settings.REDIS_URL).lock(name, timeout=HELD_SECONDS, blocking=False, thread_local=False)
    if not hold.acquire():
        raise IdempotencyInFlightError
    try:
        _holds.add(hold)
        renewer.ensure_started()
        yield
    finally:
        _holds.discard(hold)
        # With Redis flushed or unavailable the hold ends by itself, and the database decides.
        with suppress(RedisError):
            hold.release()


def _renew_all() -> None:
    for hold in _holds.copy():
        with unforeseen.survived("web", "prolonging the hold of an Idempotency-Key"), suppress(RedisError):
            hold.reacquire()


_holds: set[Lock] = set()
renewer = Daemon(
    "idempotency-holds",
    _renew_all,
    every_seconds=RENEW_EVERY_SECONDS,
    on_error=partial(unforeseen.report, "web", "prolonging the holds of Idempotency-Keys"),
)


def find_answer(*, user_id: int, key: str) -> IdempotencyKey | None:
    """Returns the kept response, if any, unless its photo has failed since: then the upload is taken anew."""
    row = _ANSWER.first(user_id=user_id, key=key, kept_since=timezone.now() - KEPT_FOR)
    return row and instance_of(IdempotencyKey, row)


def _answer():
    kept = IdempotencyKey.objects.filter(
        user_id=Parameter("user_id", BigIntegerField()),
        key=Parameter("key", CharField()),
        created_at__gt=Parameter("kept_since", DateTimeField()),
    )
    return kept.exclude(image__status=ImageStatus.FAILED).values_list(*columns_of(IdempotencyKey))


_ANSWER = CompiledQuery(_answer)


def require_same(answer: IdempotencyKey, *, path: str, fingerprint: str) -> None:
    """Raise IdempotencyKeyReusedError unless the kept response is one to this very request."""
    if (answer.path, answer.fingerprint) != (path, fingerprint):
        raise IdempotencyKeyReusedError


def keep_answer(*, user_id: int, key: str, **answer) -> None:
    """Keep a response: path, fingerprint, status_code, answer (its JSON), location, image.

    Call it in the transaction that makes it true, so that of two requests that raced one is undone. Raises
    IdempotencyInFlightError in that one.
    """
    kept = IdempotencyKey(user_id=user_id, key=key, **answer)
    if not _KEEP.run(**values_to_insert(kept), too_old=kept.created_at - KEPT_FOR):
        raise IdempotencyInFlightError


# A response that is too old, or of a photo that has failed, is written over; any other stays.
KEEP = """
{insert} WHERE true
ON CONFLICT (user_id, key) DO UPDATE SET {changes}
WHERE {table}.created_at <= %s
    OR EXISTS (SELECT 1 FROM tickets_image WHERE tickets_image.id = {table}.image_id AND status = '{failed}')
"""


def _keep() -> tuple[str, list]:
    insert, parameters = insert_sql(IdempotencyKey)
    columns = [field.column for field in IdempotencyKey._meta.concrete_fields if not field.primary_key]
    sql = KEEP.format(
        insert=insert,
        table=IdempotencyKey._meta.db_table,
        changes=", ".join(f"{column} = excluded.{column}" for column in columns),
        failed=ImageStatus.FAILED.value,
    )
    return sql, [*parameters, Parameter("too_old", DateTimeField())]


_KEEP = CompiledStatement(_keep)


def forget_old_keys() -> int:
    """Delete a batch of the responses that are older than 24 hours. Returns how many."""
    old = IdempotencyKey.objects.filter(created_at__lte=timezone.now() - KEPT_FOR).values_list("pk", flat=True)
    forgotten, _ = IdempotencyKey.objects.filter(pk__in=list(old[:FORGET_BATCH])).delete()
    return forgotten
