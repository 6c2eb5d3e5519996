"""Bytes of failed photos, kept in staging's Redis for a while, so that staff can have them tried again.

They are no part of the budget and hold nobody up: at most an eighth of it, beside it, and the oldest go first. They
are where the photos on their way are, in memory alone.
"""

from django.conf import settings

from apps.tickets.staging import BUDGET_KEYS, connection, key_of

SET_ASIDE = "hopla:aside:"
BOOKS = [f"{SET_ASIDE}since", f"{SET_ASIDE}sizes", f"{SET_ASIDE}total"]
SHARE_OF_BUDGET = 8

# KEYS: since, sizes, total, then the photo's key in staging and the one aside.
FORGET = """
local clock = redis.call('TIME')
local now = tonumber(clock[1]) + tonumber(clock[2]) / 1000000
local function forget(id)
  local size = tonumber(redis.call('HGET', KEYS[2], id) or 0)
  redis.call('ZREM', KEYS[1], id)
  redis.call('HDEL', KEYS[2], id)
  if size > 0 and redis.call('DECRBY', KEYS[3], size) <= 0 then redis.call('DEL', KEYS[3]) end
end
"""

# ARGV: id, ttl, most bytes, prefix of keys aside. What was staged is given back to the budget by whoever calls this.
PUT = (
    FORGET
    + """
if redis.call('EXISTS', KEYS[4]) == 0 then return 0 end
forget(ARGV[1])
redis.call('RENAME', KEYS[4], KEYS[5])
redis.call('EXPIRE', KEYS[5], ARGV[2])
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('HSET', KEYS[2], ARGV[1], redis.call('STRLEN', KEYS[5]))
local total = redis.call('INCRBY', KEYS[3], redis.call('STRLEN', KEYS[5]))
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now - ARGV[2])) do forget(id) end
while tonumber(redis.call('GET', KEYS[3]) or 0) > tonumber(ARGV[3]) do
  local oldest = redis.call('ZRANGE', KEYS[1], 0, 0)[1]
  forget(oldest)
  redis.call('DEL', ARGV[4] .. oldest)
end
return 1
"""
)

# KEYS: as above, then staging's expiries, sizes, total. ARGV: id, bytes, ttl.
TAKE_BACK = (
    FORGET
    + """
if redis.call('STRLEN', KEYS[5]) < tonumber(ARGV[2]) or tonumber(ARGV[2]) == 0 then return 0 end
forget(ARGV[1])
redis.call('RENAME', KEYS[5], KEYS[4])
redis.call('EXPIRE', KEYS[4], ARGV[3])
redis.call('ZADD', KEYS[6], now + ARGV[3], ARGV[1])
if redis.call('HSET', KEYS[7], ARGV[1], ARGV[2]) == 1 then redis.call('INCRBY', KEYS[8], ARGV[2]) end
return 1
"""
)

DROP = FORGET + "forget(ARGV[1]) return redis.call('DEL', KEYS[5])"


def put(image_id) -> None:
    """Keep the bytes of a photo that has failed, for STAGING_TTL_SECONDS at most. `staging.discard` gives its share of
    the budget back afterwards.
    """
    most = settings.STAGING_MAX_BYTES // SHARE_OF_BUDGET
    _run(PUT, image_id, settings.STAGING_TTL_SECONDS, most, SET_ASIDE)


def take_back(image_id, size: int) -> bool:
    """Stage the bytes again. False when they are not there, or not whole. They may exceed the budget, for once."""
    return bool(_run(TAKE_BACK, image_id, size, settings.STAGING_TTL_SECONDS, also=BUDGET_KEYS[:3]))


def drop(image_id) -> None:
    """Nobody will try it again. Safe for a photo that was never set aside."""
    _run(DROP, image_id)


def which_are_kept(image_ids) -> set:
    """Those of these photos whose bytes are here."""
    image_ids = list(image_ids)
    with connection().pipeline(transaction=False) as pipeline:
        for image_id in image_ids:
            pipeline.exists(f"{SET_ASIDE}{image_id}")
        return {image_id for image_id, there in zip(image_ids, pipeline.execute(), strict=True) if there}


def _run(script: str, image_id, *arguments, also=()):
    keys = [*BOOKS, key_of(image_id), f"{SET_ASIDE}{image_id}", *also]
    return connection().eval(script, len(keys), *keys, str(image_id), *arguments)
