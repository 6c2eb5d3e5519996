"""Photo bytes on their way, in Redis: reserve, write, read, discard, within one budget of bytes.

One string key per photo, always with an expiry, as long from its first piece on as the photo may become: a string that
grows is copied again and again, and takes up to twice its bytes. What a form had around the photo stays at its end.
Beside the keys stands the budget: a ZSET of expiries, a HASH of sizes and a total, changed together in Lua, so that
what expired is given back by whoever reserves next and nothing drifts. No photo byte touches a disk as long as this
Redis keeps no snapshot and no append-only file.
"""

import math

from django.conf import settings
from redis import Redis

from apps.redis_client import exchange, receive, redis_at
from apps.tickets.errors import StagingFullError

PREFIX = "hopla:staged:"
BUDGET_KEYS = [f"{PREFIX}expiries", f"{PREFIX}sizes", f"{PREFIX}total", f"{PREFIX}drain"]

# An upload of which no piece has come for this long has lost its reservation and its bytes.
INCOMING_TTL_SECONDS = 60
# The longest Retry-After we name: past it the guess says little.
LONGEST_WAIT_SECONDS = 60
DRAIN_WINDOW_SECONDS = 30
WASTE_BYTES = 4096

FORGET_EXPIRED = """
local clock = redis.call('TIME')
local now = tonumber(clock[1]) + tonumber(clock[2]) / 1000000
local function forget(id)
  local size = tonumber(redis.call('HGET', KEYS[2], id) or 0)
  redis.call('HDEL', KEYS[2], id)
  redis.call('ZREM', KEYS[1], id)
  if size > 0 and redis.call('DECRBY', KEYS[3], size) <= 0 then redis.call('DEL', KEYS[3]) end
  return size
end
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now)) do forget(id) end
"""

# ARGV: id, bytes, limit, ttl, window. Answers {1, total} or {0, bytes over, bytes a second drained, seconds to expiry}.
RESERVE = (
    FORGET_EXPIRED
    + """
forget(ARGV[1])
local total = tonumber(redis.call('GET', KEYS[3]) or 0)
local over = total + tonumber(ARGV[2]) - tonumber(ARGV[3])
if over > 0 then
  local drain = redis.call('HMGET', KEYS[4], 'bytes', 'at')
  local rate = tonumber(drain[1] or 0) * math.exp((tonumber(drain[2] or now) - now) / ARGV[5]) / ARGV[5]
  local first = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
  return {0, tostring(over), tostring(rate), tostring(first[2] and (first[2] - now) or 0)}
end
redis.call('ZADD', KEYS[1], now + ARGV[4], ARGV[1])
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
return {1, redis.call('INCRBY', KEYS[3], ARGV[2])}
"""
)

IN_USE = FORGET_EXPIRED + "return tonumber(redis.call('GET', KEYS[3]) or 0)"

# KEYS: expiries. ARGV: id, ttl.
EXTEND = """
return redis.call('ZADD', KEYS[1], 'XX', redis.call('TIME')[1] + ARGV[2], ARGV[1])
"""

# KEYS[5]: the photo's own key. ARGV: id, bytes, ttl, waste. The reservation takes the true size and the long expiry.
# A string that is longer than the photo by more than the waste is cut: memory is what the budget stands for.
KEEP = (
    FORGET_EXPIRED
    + """
if redis.call('STRLEN', KEYS[5]) > ARGV[2] + ARGV[4] then
  redis.call('SET', KEYS[5], redis.call('GETRANGE', KEYS[5], 0, ARGV[2] - 1))
end
if redis.call('EXPIRE', KEYS[5], ARGV[3]) == 0 then return 0 end
forget(ARGV[1])
redis.call('ZADD', KEYS[1], now + ARGV[3], ARGV[1])
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
redis.call('INCRBY', KEYS[3], ARGV[2])
return 1
"""
)

# KEYS[5]: the photo's own key. ARGV: id, window.
DISCARD = (
    FORGET_EXPIRED
    + """
redis.call('DEL', KEYS[5])
local size = forget(ARGV[1])
local drain = redis.call('HMGET', KEYS[4], 'bytes', 'at')
local drained = tonumber(drain[1] or 0) * math.exp((tonumber(drain[2] or now) - now) / ARGV[2]) + size
redis.call('HSET', KEYS[4], 'bytes', tostring(drained), 'at', string.format('%.3f', now))
redis.call('EXPIRE', KEYS[4], 600)
return size
"""
)


class StagedBytesGoneError(Exception):
    """The bytes expired, were flushed or were never whole."""


def connection() -> Redis:
    return redis_at(settings.STAGING_REDIS_URL)


def reserve(image_id, size: int) -> None:
    """Set `size` bytes of the budget aside for this photo. Raises StagingFullError, and holds nothing then."""
    answer = _run(RESERVE, image_id, size, settings.STAGING_MAX_BYTES, INCOMING_TTL_SECONDS, DRAIN_WINDOW_SECONDS)
    if not answer[0]:
        over, drained_a_second, seconds_to_expiry = (float(value) for value in answer[1:])
        waits = [seconds_to_expiry]
        if drained_a_second > 0:
            waits.append(over / drained_a_second)
        raise StagingFullError(wait=min(LONGEST_WAIT_SECONDS, max(1, math.ceil(min(waits)))))


def write(image_id, *portions: bytes, offset: int, size: int) -> bool:
    """Write a piece of the photo, its portions in order, to its place; the first one makes room for `size` bytes.

    Prolongs the reservation by INCOMING_TTL_SECONDS. False when what was written before has been lost meanwhile:
    discard it.
    """
    extend = ("EVAL", EXTEND, 1, BUDGET_KEYS[0], image_id, INCOMING_TTL_SECONDS)
    *_, written, _ = exchange(connection(), *_write(image_id, portions, offset=offset, size=size), extend)
    return bool(written[0])


def write_last(image_id, *portions: bytes, offset: int) -> bool:
    """Write the last piece, or none, and hold the photo, which ends there, for STAGING_TTL_SECONDS.

    False when some of it has been lost meanwhile: discard it.
    """
    size = offset + sum(map(len, portions))
    keep = ("EVAL", KEEP, 5, *BUDGET_KEYS, key_of(image_id), image_id, size, settings.STAGING_TTL_SECONDS, WASTE_BYTES)
    *_, written, kept = exchange(connection(), *_write(image_id, portions, offset=offset, size=size), keep)
    return bool(written[0] and kept)


def _write(image_id, portions: tuple, *, offset: int, size: int) -> list[tuple]:
    """In one transaction: of a key that was lost the rest would be made anew, with nothing before it."""
    key = key_of(image_id)
    return [
        ("MULTI",),
        ("EXISTS", key) if offset else ("SETRANGE", key, size - 1, b"\0"),
        ("SETRANGE", key, offset, portions),
        ("EXPIRE", key, INCOMING_TTL_SECONDS),
        ("EXEC",),
    ]


def read_range(image_id, offset: int, length: int) -> bytes:
    """Up to `length` bytes from `offset`; b"" when the key is gone. What follows the photo's end is not the photo's."""
    return connection().getrange(key_of(image_id), offset, offset + length - 1)


def read(image_id, size: int) -> bytes | memoryview:
    """The photo's bytes, `size` of them. Raises StagedBytesGoneError when they are not all there."""
    command = ("GETRANGE", key_of(image_id), 0, size - 1)
    content = receive(connection(), command, size)
    if content is None:
        content = connection().execute_command(*command)
    if len(content) != size:
        raise StagedBytesGoneError
    return content


def discard(image_id) -> None:
    """Drop the bytes and give the budget back. Safe to run twice, and for a photo that was never staged."""
    _run(DISCARD, image_id, DRAIN_WINDOW_SECONDS, photo=True)


def which_are_gone(image_ids) -> set:
    """Those of these photos of which no byte is left here."""
    image_ids = list(image_ids)
    with connection().pipeline(transaction=False) as pipeline:
        for image_id in image_ids:
            pipeline.exists(key_of(image_id))
        return {image_id for image_id, there in zip(image_ids, pipeline.execute(), strict=True) if not there}


def sample(count: int) -> list[str]:
    """Up to that many of the photos that hold a part of the budget, at random, once what has expired is forgotten."""
    bytes_in_use()
    found = connection().hrandfield(BUDGET_KEYS[1], count)
    return [image_id.decode() for image_id in found]


def seconds_whole(image_ids) -> dict[str, float]:
    """For how long each of these photos has been whole; one that is still arriving, or has gone, is left out."""
    image_ids = list(image_ids)
    if not image_ids:
        return {}
    # In one transaction: a photo that began to arrive in between would look whole.
    with connection().pipeline(transaction=True) as pipeline:
        clock, expiries = pipeline.time().zmscore(BUDGET_KEYS[0], image_ids).execute()
    left = {image_id: expiry - clock[0] for image_id, expiry in zip(image_ids, expiries, strict=True) if expiry}
    return {
        image_id: settings.STAGING_TTL_SECONDS - seconds
        for image_id, seconds in left.items()
        if seconds > INCOMING_TTL_SECONDS + 1  # the clock above is in whole seconds
    }


def bytes_in_use() -> int:
    """How much of the budget is taken. What has expired by now is given back first."""
    return connection().register_script(IN_USE)(keys=BUDGET_KEYS)


def key_of(image_id) -> str:
    return f"{PREFIX}{image_id}"


def _run(script: str, image_id, *arguments, photo: bool = False):
    keys = [*BUDGET_KEYS, key_of(image_id)] if photo else BUDGET_KEYS
    return exchange(connection(), ("EVAL", script, len(keys), *keys, image_id, *arguments))[0]
