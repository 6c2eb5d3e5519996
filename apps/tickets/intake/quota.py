"""How many bytes one user may upload a day (UPLOAD_BYTES_PER_DAY, 0: no limit), counted in Redis. A day begins with the
first upload after the one before has ended.

They are taken before the photo comes, in the step that looks whether enough are left: otherwise uploads side by side
would each find the same ones. A refused photo's bytes are given back. A process that is killed in between leaves its
photos' bytes taken until the day ends: to prevent that, each upload would need a lease.
"""

import math
from contextlib import contextmanager, suppress

from django.conf import settings
from redis.exceptions import RedisError

from apps.common.redis.client import redis_at
from apps.common.redis.wire import exchange
from apps.tickets.errors import UploadQuotaExceededError

DAY_SECONDS = 24 * 60 * 60

# KEYS: the user's day, a HASH of when it began and the bytes taken. ARGV: at least, at most, limit, seconds of a day.
# Returns {bytes taken, when the day began}, or {0, seconds until it ends}.
TAKE = """
local bytes = math.min(tonumber(ARGV[2]), ARGV[3] - (redis.call('HGET', KEYS[1], 'bytes') or 0))
if bytes < tonumber(ARGV[1]) then return {0, tostring(redis.call('PTTL', KEYS[1]) / 1000)} end
if redis.call('EXISTS', KEYS[1]) == 0 then
  local clock = redis.call('TIME')
  redis.call('HSET', KEYS[1], 'began', clock[1] .. '.' .. clock[2])
  redis.call('EXPIRE', KEYS[1], ARGV[4])
end
redis.call('HINCRBY', KEYS[1], 'bytes', bytes)
return {bytes, redis.call('HGET', KEYS[1], 'began')}
"""

# ARGV: bytes, and when the day began of which they were taken: no other day gets them.
GIVE_BACK = """
if redis.call('HGET', KEYS[1], 'began') ~= ARGV[2] then return 0 end
return redis.call('HINCRBY', KEYS[1], 'bytes', -ARGV[1])
"""


@contextmanager
def taken_for_photo(user, size: int | None):
    """Within this block `size` bytes of the user's day are taken for a photo, and given back if it raises.

    For an unknown size all that a photo may have is taken, in one step and not in one for each piece. Yields a function
    to call with the photo's true size before it is accepted. Both raise UploadQuotaExceededError.
    """
    if not settings.UPLOAD_BYTES_PER_DAY:
        yield lambda true_size: None
        return
    taken = _Taken(user)
    taken.take(size or 1, size or settings.IMAGE_MAX_BYTES)
    try:
        yield taken.become
    except BaseException:
        taken.give_back(taken.bytes)
        raise


class _Taken:
    def __init__(self, user):
        self._key = f"hopla:upload-bytes:{user.pk}"
        self._day = None
        self.bytes = 0

    def take(self, at_least: int, at_most: int) -> None:
        number, day = self._run(TAKE, at_least, at_most, settings.UPLOAD_BYTES_PER_DAY, DAY_SECONDS)
        if not number:
            raise UploadQuotaExceededError(wait=max(1, math.ceil(float(day))))
        if day != self._day:  # the day before has ended, and with it what was taken of that
            self._day, self.bytes = day, 0
        self.bytes += number

    def become(self, size: int) -> None:
        if size > self.bytes:
            self.take(size - self.bytes, size - self.bytes)
        elif size < self.bytes:
            self.give_back(self.bytes - size)

    def give_back(self, number: int) -> None:
        """If Redis is unavailable, they stay taken."""
        with suppress(RedisError):
            self._run(GIVE_BACK, number, self._day)
            self.bytes -= number

    def _run(self, script: str, *arguments):
        return exchange(redis_at(settings.REDIS_URL), ("EVAL", script, 1, self._key, *arguments))[0]
