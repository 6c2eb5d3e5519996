"""How many bytes one user may upload a day (UPLOAD_BYTES_PER_DAY, 0: no limit), counted in Redis. A day begins with the
first upload after the one before has ended.
"""

import math
import time
from contextlib import suppress

from django.conf import settings
from limits import RateLimitItemPerDay
from limits.storage import RedisStorage
from limits.strategies import FixedWindowRateLimiter
from redis.exceptions import RedisError

from apps.redis_client import redis_at
from apps.tickets.errors import UploadQuotaExceededError


def require_quota(user, size: int) -> None:
    """Raise UploadQuotaExceededError when `size` more bytes are too many for today."""
    if settings.UPLOAD_BYTES_PER_DAY and not _limiter().test(_limit(), str(user.pk), cost=size):
        resets_at = _limiter().get_window_stats(_limit(), str(user.pk)).reset_time
        raise UploadQuotaExceededError(wait=max(1, math.ceil(resets_at - time.time())))


def count_upload(user, size: int) -> None:
    """Count what was accepted. With Redis away it is not counted: the photo is in, and nothing may undo that now."""
    if settings.UPLOAD_BYTES_PER_DAY:
        with suppress(RedisError):
            _limiter().hit(_limit(), str(user.pk), cost=size)


def _limit() -> RateLimitItemPerDay:
    return RateLimitItemPerDay(settings.UPLOAD_BYTES_PER_DAY, namespace="hopla:upload-bytes")


def _limiter() -> FixedWindowRateLimiter:
    pool = redis_at(settings.REDIS_URL).connection_pool
    return FixedWindowRateLimiter(RedisStorage("redis://", connection_pool=pool))
