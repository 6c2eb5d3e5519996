"""How many bytes one user may upload a day (UPLOAD_BYTES_PER_DAY, 0: no limit), counted in Redis. A day begins with the
first upload after the one before has ended.

They are taken before the photo comes, in the step that looks whether enough are left: otherwise uploads side by side
would each find the same ones. A refused photo's bytes are given back. A process that is killed in between leaves its
photos' bytes taken until the day ends: to prevent that, each upload would need a lease.

A resumable upload has one, as it may well be left alone: how many of its bytes have not come yet, and when it is given
up. Those of leases that have run out are given back by the next step that takes some.
"""

import math
from contextlib import contextmanager, suppress

from django.conf import settings
from redis.exceptions import RedisError

from apps.common.redis.client import redis_at
from apps.common.redis.wire import exchange
from apps.tickets.errors import UploadQuotaExceededError

DAY_SECONDS = 24 * 60 * 60

# KEYS: the user's day, a HASH of when it began and the bytes taken; its leases, a HASH of bytes and the second of their
# end by upload. ARGV: at least, at most, limit, seconds of a day; of a lease the upload and for how many seconds.
# Returns {bytes taken, when the day began}, or {0, seconds until it ends}.
TAKE = """
local now = tonumber(redis.call('TIME')[1])
local leases = redis.call('EXISTS', KEYS[1]) == 1 and redis.call('HGETALL', KEYS[2]) or {}
for i = 1, #leases, 2 do
  local to_come, ends = string.match(leases[i + 1], '(%d+) (%d+)')
  if tonumber(ends) <= now then
    redis.call('HINCRBY', KEYS[1], 'bytes', -to_come)
    redis.call('HDEL', KEYS[2], leases[i])
  end
end
local bytes = math.min(tonumber(ARGV[2]), ARGV[3] - (redis.call('HGET', KEYS[1], 'bytes') or 0))
if bytes < tonumber(ARGV[1]) then return {0, tostring(redis.call('PTTL', KEYS[1]) / 1000)} end
if redis.call('EXISTS', KEYS[1]) == 0 then
  local clock = redis.call('TIME')
  redis.call('HSET', KEYS[1], 'began', clock[1] .. '.' .. clock[2])
  redis.call('EXPIRE', KEYS[1], ARGV[4])
end
redis.call('HINCRBY', KEYS[1], 'bytes', bytes)
if ARGV[5] then
  redis.call('HSET', KEYS[2], ARGV[5], bytes .. ' ' .. (now + ARGV[6]))
  redis.call('PEXPIRE', KEYS[2], redis.call('PTTL', KEYS[1]))
end
return {bytes, redis.call('HGET', KEYS[1], 'began')}
"""

# ARGV: bytes, and when the day began of which they were taken: no other day gets them.
GIVE_BACK = """
if redis.call('HGET', KEYS[1], 'began') ~= ARGV[2] then return 0 end
return redis.call('HINCRBY', KEYS[1], 'bytes', -ARGV[1])
"""

# ARGV: upload, bytes to come, for how many seconds, bytes to give back. A lease that is gone has given back its bytes.
CHANGE_LEASE = """
local lease = redis.call('HGET', KEYS[2], ARGV[1])
if not lease or redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
redis.call('HINCRBY', KEYS[1], 'bytes', -ARGV[4])
if ARGV[2] == '0' then return redis.call('HDEL', KEYS[2], ARGV[1]) end
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2] .. ' ' .. (redis.call('TIME')[1] + ARGV[3]))
return 1
"""

# ARGV: upload, bytes that have come. Without a lease, which has run out, they count all the same.
END_LEASE = """
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
local leased = string.match(redis.call('HGET', KEYS[2], ARGV[1]) or '0', '%d+')
redis.call('HINCRBY', KEYS[1], 'bytes', ARGV[2] - leased)
return redis.call('HDEL', KEYS[2], ARGV[1])
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


def lease_for_upload(user_id: int, upload_id, *, size: int, seconds: int) -> None:
    """Take the bytes of an upload for a time. What has not come then is given back. Raises UploadQuotaExceededError."""
    if settings.UPLOAD_BYTES_PER_DAY:
        _take(user_id, size, size, str(upload_id), seconds)


def renew_lease(user_id: int, upload_id, *, to_come: int, seconds: int, give_back: int = 0) -> None:
    """So many of its bytes are still to come, and others never will. With none to come the lease ends."""
    if settings.UPLOAD_BYTES_PER_DAY:
        _run(CHANGE_LEASE, user_id, str(upload_id), to_come, seconds, give_back)


def end_lease(user_id: int, upload_id, *, came: int) -> None:
    """So many of its bytes have come, and no more will: the rest is given back. If Redis is away, all of it later."""
    if settings.UPLOAD_BYTES_PER_DAY:
        with suppress(RedisError):
            _run(END_LEASE, user_id, str(upload_id), came)


def _take(user_id: int, at_least: int, at_most: int, *lease) -> tuple[int, bytes]:
    """Returns the bytes taken, and when the day began of which they are. Raises UploadQuotaExceededError."""
    number, day = _run(TAKE, user_id, at_least, at_most, settings.UPLOAD_BYTES_PER_DAY, DAY_SECONDS, *lease)
    if not number:
        raise UploadQuotaExceededError(wait=max(1, math.ceil(float(day))))
    return number, day


def _run(script: str, user_id: int, *arguments):
    key = f"hopla:upload-bytes:{user_id}"
    return exchange(redis_at(settings.REDIS_URL), ("EVAL", script, 2, key, f"{key}:leases", *arguments))[0]


class _Taken:
    def __init__(self, user):
        self._user_id = user.pk
        self._day = None
        self.bytes = 0

    def take(self, at_least: int, at_most: int) -> None:
        number, day = _take(self._user_id, at_least, at_most)
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
            _run(GIVE_BACK, self._user_id, number, self._day)
            self.bytes -= number
