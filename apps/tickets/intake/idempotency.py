"""Idempotency-Key: a request repeated with the same key gets the first one's response and does nothing again.

While the first request runs, its key is held in Redis. Its response is written to the database in the transaction that
makes it true, for 24 hours. Only successes are kept: a refusal has taken nothing, so its repeat is judged anew, and so
is that of a photo which has failed since.
"""

import hashlib
import json
import os
import re
import threading
import time
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import cache

from django.conf import settings
from django.db import connection
from django.db.models import BigIntegerField, CharField, DateTimeField
from django.utils import timezone
from redis.exceptions import RedisError
from redis.lock import Lock

from apps.common.db.compiled_queries import (
    CompiledQuery,
    Parameter,
    columns_and_values,
    columns_of,
    cursor_of,
    instance_of,
    values_to_insert,
)
from apps.common.observability import unforeseen
from apps.common.redis.client import redis_at
from apps.tickets.errors import IdempotencyInFlightError, IdempotencyKeyInvalidError, IdempotencyKeyReusedError
from apps.tickets.models import IdempotencyKey
from apps.tickets.models.statuses import ImageStatus

KEPT_FOR = timedelta(hours=24)
# A killed request's key stays held for this long, and its client has to wait; a running request renews its hold.
HELD_SECONDS = 10
RENEW_EVERY_SECONDS = 3
FORGET_BATCH = 1000


def key_of(request) -> str | None:
    """Returns the request's Idempotency-Key, checked, or None without one. Raises IdempotencyKeyInvalidError."""
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return None
    if not re.fullmatch(r"[\x21-\x7e]([\x20-\x7e]{0,253}[\x21-\x7e])?", key):
        raise IdempotencyKeyInvalidError
    return key


def fingerprint_of(data) -> str:
    """Returns the sha256 of a JSON body, the same for any order of its members and any white space."""
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()


@contextmanager
def held(*, user, key: str):
    """Hold the key while the request runs. Raises IdempotencyInFlightError while another request holds it."""
    digest = hashlib.sha256(key.encode()).hexdigest()
    name = f"hopla:idempotency:{user.pk}:{digest}"
    hold = redis_at(settings.REDIS_URL).lock(name, timeout=HELD_SECONDS, blocking=False, thread_local=False)
    if not hold.acquire():
        raise IdempotencyInFlightError
    _renew(hold)
    try:
        yield
    finally:
        _holds.discard(hold)
        # With Redis flushed or unavailable the hold ends by itself, and the database decides.
        with suppress(RedisError):
            hold.release()


_holds: set[Lock] = set()
_renewer_of_process = None
_starting = threading.Lock()


def _renew(hold: Lock) -> None:
    global _renewer_of_process
    _holds.add(hold)
    with _starting:
        if _renewer_of_process != os.getpid():  # a forked server process has none yet
            _renewer_of_process = os.getpid()
            threading.Thread(target=_renew_forever, name="idempotency-holds", daemon=True).start()


def _renew_forever() -> None:
    while True:
        time.sleep(RENEW_EVERY_SECONDS)
        for hold in _holds.copy():
            with unforeseen.survived("web", "prolonging the hold of an Idempotency-Key"), suppress(RedisError):
                hold.reacquire()


def find_answer(*, user, key: str) -> IdempotencyKey | None:
    """Returns the kept response, if any, unless its photo has failed since: then the upload is taken anew."""
    row = _ANSWER.first(user_id=user.pk, key=key, kept_since=timezone.now() - KEPT_FOR)
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


def keep_answer(*, user, key: str, **answer) -> None:
    """Keep a response: path, fingerprint, status_code, answer (its JSON), location, image.

    Call it in the transaction that makes it true, so that of two requests that raced one is undone. Raises
    IdempotencyInFlightError in that one.
    """
    kept = IdempotencyKey(user=user, key=key, **answer)
    with cursor_of(connection) as cursor:
        cursor.execute(_keep(), values_to_insert(kept) | {"too_old": kept.created_at - KEPT_FOR})
        if not cursor.rowcount:
            raise IdempotencyInFlightError


# A response that is too old, or of a photo that has failed, is written over; any other stays.
KEEP = """
INSERT INTO {table} ({columns}) VALUES ({values})
ON CONFLICT (user_id, key) DO UPDATE SET {changes}
WHERE {table}.created_at <= %(too_old)s
    OR EXISTS (SELECT 1 FROM tickets_image WHERE tickets_image.id = {table}.image_id AND status = '{failed}')
"""


@cache
def _keep() -> str:
    columns, values = columns_and_values(IdempotencyKey)
    return KEEP.format(
        table=IdempotencyKey._meta.db_table,
        columns=columns,
        values=values,
        changes=", ".join(f"{column} = excluded.{column}" for column in columns.split(", ")),
        failed=ImageStatus.FAILED.value,
    )


def forget_old_keys() -> int:
    """Delete a batch of the responses that are older than 24 hours. Returns how many."""
    old = IdempotencyKey.objects.filter(created_at__lte=timezone.now() - KEPT_FOR).values_list("pk", flat=True)
    forgotten, _ = IdempotencyKey.objects.filter(pk__in=list(old[:FORGET_BATCH])).delete()
    return forgotten
