"""Bytes of failed photos, kept on their server of staging for a while, so that staff can have them tried again.

They do not count towards the budget and take no room from it: they are at most an eighth of it, beside it, and the
oldest go first. Like the photos on their way they are in memory alone.

Redis and the database are never changed in one step, so a photo may be tried again while another process still acts on
its failure. Two rules make that harmless: the bytes of a photo that may be tried again are moved and never dropped,
each move a single step of Redis; and a job that finds no bytes of its photo in staging looks here, with `take_back`.
"""

from django.conf import settings

from apps.tickets.staging.books import BOOKS_IN_LUA
from apps.tickets.staging.servers import server_of
from apps.tickets.staging.store import BUDGET_KEYS, DISCARD, DRAIN_WINDOW_SECONDS, key_of, which_exist

QUARANTINE = "hopla:quarantine:"
BOOKS = [f"{QUARANTINE}since", f"{QUARANTINE}sizes", f"{QUARANTINE}total"]
SHARE_OF_BUDGET = 8

# The last KEYS of each script: since, sizes, total, the photo's key aside. Before them come those of staging.
FORGET = (
    BOOKS_IN_LUA
    + """
local since, sizes, total, aside = KEYS[#KEYS - 3], KEYS[#KEYS - 2], KEYS[#KEYS - 1], KEYS[#KEYS]
local function forget(id) strike_out(since, sizes, total, id) end
"""
)

# KEYS: those of DISCARD first. ARGV: what DISCARD takes, and at the end the photo's size, ttl, most bytes, prefix of
# keys aside, the least seconds that the photo must have been whole in staging.
PUT = (
    "do"
    + FORGET
    + """
local size, ttl, most = tonumber(ARGV[#ARGV - 4]), tonumber(ARGV[#ARGV - 3]), tonumber(ARGV[#ARGV - 2])
local staged, least = KEYS[#KEYS - 4], tonumber(ARGV[#ARGV])
local expiry = tonumber(redis.call('ZSCORE', KEYS[1], ARGV[1]) or 0)
if least > 0 and expiry > now + ttl - least then return 0 end
if redis.call('STRLEN', staged) >= size and size > 0 then
  forget(ARGV[1])
  redis.call('RENAME', staged, aside)
  redis.call('EXPIRE', aside, ttl)
  redis.call('ZADD', since, now, ARGV[1])
  redis.call('HSET', sizes, ARGV[1], redis.call('STRLEN', aside))
  add(total, redis.call('STRLEN', aside))
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', since, '-inf', now - ttl)) do forget(id) end
  while tonumber(redis.call('GET', total) or 0) > most do
    local oldest = redis.call('ZRANGE', since, 0, 0)[1]
    forget(oldest)
    redis.call('DEL', ARGV[#ARGV - 1] .. oldest)
  end
end
end
"""
    + DISCARD
)

# KEYS: staging's expiries, sizes, total and the photo's own, then as above. ARGV: id, bytes, ttl.
TAKE_BACK = (
    FORGET
    + """
local bytes = tonumber(ARGV[2])
if redis.call('STRLEN', KEYS[4]) < bytes then
  if redis.call('STRLEN', aside) < bytes then return 0 end
  forget(ARGV[1])
  redis.call('RENAME', aside, KEYS[4])
end
if redis.call('EXPIRE', KEYS[4], ARGV[3]) == 0 then return 0 end
redis.call('ZADD', KEYS[1], now + ARGV[3], ARGV[1])
if redis.call('HSET', KEYS[2], ARGV[1], ARGV[2]) == 1 then add(KEYS[3], ARGV[2]) end
return 1
"""
)

DROP = FORGET + "forget(ARGV[1]) return redis.call('DEL', aside)"


def put(image_id, size: int, *, whole_for_seconds: int = 0) -> None:
    """Keep the bytes of a photo that has failed, for STAGING_TTL_SECONDS at most, and give its share of the budget
    back. Of one whose `size` bytes are not all there, nothing is kept.

    Nothing is done to a photo that became whole in staging, or was taken back to it, less than `whole_for_seconds` ago.
    """
    ttl, most = settings.STAGING_TTL_SECONDS, settings.STAGING_MAX_BYTES // SHARE_OF_BUDGET
    staging_keys = [*BUDGET_KEYS, key_of(image_id)]
    arguments = [DRAIN_WINDOW_SECONDS, size, ttl, most, QUARANTINE, whole_for_seconds]
    _run(PUT, image_id, *arguments, staging_keys=staging_keys)


def take_back(image_id, size: int) -> bool:
    """Move the bytes back to staging, unless they are there, even if that exceeds the budget.

    Returns False when they are in neither place, or not whole.
    """
    staging_keys = [*BUDGET_KEYS[:3], key_of(image_id)]
    return bool(_run(TAKE_BACK, image_id, size, settings.STAGING_TTL_SECONDS, staging_keys=staging_keys))


def drop(image_id) -> None:
    """Drop the bytes of a photo that will not be tried again. Safe for one that has none here."""
    _run(DROP, image_id)


def which_are_kept(image_ids) -> set:
    """Returns those of these failed photos whose bytes are here, or still in staging. Raises RedisError if the server
    of one is away.
    """
    return which_exist(image_ids, lambda image_id: [f"{QUARANTINE}{image_id}", key_of(image_id)])


def _run(script: str, image_id, *arguments, staging_keys=()):
    server, keys = server_of(image_id), [*staging_keys, *BOOKS, f"{QUARANTINE}{image_id}"]
    return server.ask(lambda: server.client.eval(script, len(keys), *keys, str(image_id), *arguments))
