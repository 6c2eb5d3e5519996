"""A pause of all uploads: Cloudinary asked the whole account to wait, or refuses hopla's credentials.

It is kept in Redis, where every worker sees it. Losing it (a flush) costs one more refusal, nothing else.
"""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.utils import timezone

from apps.common.redis.client import redis_at

KEY = "hopla:uploads:pause"
# Cloudinary's account-wide limits are hourly: when it names no time, try again after a minute.
UNNAMED_WAIT_SECONDS = 60
LONGEST_WAIT_SECONDS = 60 * 60
# Refused credentials are tried again this often, with one upload: once they work, uploads resume without restart.
PROBE_EVERY_SECONDS = 10


@dataclass(frozen=True)
class Pause:
    until: datetime
    code: str  # of the error that caused it
    detail: str


def pause_uploads(*, until: datetime | None, code: str, detail: str) -> Pause:
    """Pause all uploads until then. A later pause replaces an earlier one."""
    now = timezone.now()
    until = until or now + timedelta(seconds=UNNAMED_WAIT_SECONDS)
    until = min(max(until, now + timedelta(seconds=1)), now + timedelta(seconds=LONGEST_WAIT_SECONDS))
    value = json.dumps([until.isoformat(), code, detail])
    _redis().set(KEY, value, px=max(1, int((until - now).total_seconds() * 1000)))
    return Pause(until, code, detail)


def current_pause() -> Pause | None:
    value = _redis().get(KEY)
    if value is None:
        return None
    until, code, detail = json.loads(value)
    return Pause(datetime.fromisoformat(until), code, detail)


def _redis():
    return redis_at(settings.REDIS_URL)
