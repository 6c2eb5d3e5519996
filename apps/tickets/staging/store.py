"""Photo bytes on their way, in Redis: make room, write, read, discard, within one budget of bytes on each server.

Which server a photo is on, its id says (staging/servers.py). What is asked of that server raises RedisError when it
does not answer.

One string key per photo, always with an expiry. What an upload holds of the budget grows with what has arrived, never
with what was announced, and is what its string takes in memory: Redis copies a string that outgrows its place and gives
it up to twice its bytes, so a client that keeps pace is given room ahead, within bounds. While others need the room,
one user's unfinished uploads hold no more than a share of it. What a form had around the photo stays at its end.

Beside the keys stands the budget: a ZSET of expiries, a HASH of sizes and a total; for what is unfinished its user and
the sum of each user; and who has asked for room of late. All are changed together in Lua, where each
script first gives back what has expired, so that nothing drifts. No photo byte touches a disk as long as this Redis
keeps no snapshot and no append-only file.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

from django.conf import settings
from redis.exceptions import RedisError

from apps.common.redis.wire import exchange, receive
from apps.tickets.errors import StagingFullError
from apps.tickets.staging import servers
from apps.tickets.staging.books import BOOKS_IN_LUA
from apps.tickets.staging.servers import Server, server_of

PREFIX = "hopla:staged:"
BOOKS = ("expiries", "sizes", "total", "drain", "users", "unfinished", "asked")
BUDGET_KEYS = [f"{PREFIX}{name}" for name in BOOKS]

# An upload of which no piece has come for this long has lost its reservation and its bytes.
INCOMING_TTL_SECONDS = 60
# The longest Retry-After, past which the guess says little.
LONGEST_WAIT_SECONDS = 60
DRAIN_WINDOW_SECONDS = 30
# A user who asked for room so long ago may come back: other users leave some.
ASKED_OF_LATE_SECONDS = 60
# Redis gives a string that grows as much again, or this much from this size on (SDS_MAX_PREALLOC in its sds.h).
GROWTH_BYTES = 1024 * 1024
# A photo up to this size gets all its room once its first piece has come at pace; a longer one, twice what has come.
AT_ONCE_BYTES = 2 * 1024 * 1024
# What a whole photo's string may take beyond it: this much, or an eighth, as allocators do; more is worth a copy.
WASTE_BYTES = 4096

FORGET_EXPIRED = (
    BOOKS_IN_LUA
    + """
local function add_to_user(id, bytes)
  local user = redis.call('HGET', KEYS[5], id)
  if user and redis.call('HINCRBY', KEYS[6], user, bytes) <= 0 then redis.call('HDEL', KEYS[6], user) end
end
local function forget(id)
  local size = strike_out(KEYS[1], KEYS[2], KEYS[3], id)
  if size > 0 then add_to_user(id, -size) end
  redis.call('HDEL', KEYS[5], id)
  return size
end
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now)) do forget(id) end
"""
)

# Nothing where so many bytes more fit, else {0, bytes too many, bytes a second drained, seconds to the next expiry,
# bytes taken}.
# Others need the room when the budget is more than half full and another user has asked for some of late.
FIT = (
    FORGET_EXPIRED
    + f"""
local taken
local function refusal(more, user, limit, share)
  taken = tonumber(redis.call('GET', KEYS[3]) or 0)
  local total = taken + more
  local over = total - limit
  if over <= 0 and user ~= '' and total > limit / 2 then
    local since = now - {ASKED_OF_LATE_SECONDS}
    local others = redis.call('ZCOUNT', KEYS[7], since, '+inf')
    if tonumber(redis.call('ZSCORE', KEYS[7], user) or 0) >= since then others = others - 1 end
    if others > 0 then over = tonumber(redis.call('HGET', KEYS[6], user) or 0) + more - share end
  end
  if over <= 0 then return end
  local drain = redis.call('HMGET', KEYS[4], 'bytes', 'at')
  local fades = math.exp((tonumber(drain[2] or now) - now) / {DRAIN_WINDOW_SECONDS})
  local rate = tonumber(drain[1] or 0) * fades / {DRAIN_WINDOW_SECONDS}
  local first = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
  return {{0, tostring(over), tostring(rate), tostring(first[2] and (first[2] - now) or 0), taken}}
end
local function note_that_asks(user)
  if user == '' then return end
  redis.call('ZADD', KEYS[7], now, user)
  redis.call('ZREMRANGEBYSCORE', KEYS[7], '-inf', now - {ASKED_OF_LATE_SECONDS})
  redis.call('EXPIRE', KEYS[7], {ASKED_OF_LATE_SECONDS})
end
"""
)

# ARGV: bytes, user, limit, share. Returns {1, bytes taken}, or the refusal of FIT.
ASK = (
    FIT
    + """
note_that_asks(ARGV[2])
return refusal(ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])) or {1, taken}
"""
)

# KEYS[8]: the photo's own key. KEYS[9]: one that a transaction watches, which is not to run when there is no room.
# KEYS[10], with a fence: its HASH.
# ARGV: id, where the piece begins and ends, bytes announced, whether it came at pace, user, limit, share, ttl; token.
# Returns {bytes held, bytes taken}, without the latter when none were added; the refusal of FIT; {-1} when what came
# before has been lost; or {-2} when the token is not that of the fence.
HOLD = (
    FIT
    + f"""
local start, stop, announced = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local function no(reason)
  redis.call('SET', KEYS[9], '')
  redis.call('DEL', KEYS[9])
  return reason
end
if KEYS[10] and redis.call('HGET', KEYS[10], 'holder') ~= ARGV[10] then return no({{-2}}) end
if start > 0 and redis.call('EXISTS', KEYS[8]) == 0 then return no({{-1}}) end
local held = tonumber(redis.call('HGET', KEYS[2], ARGV[1]) or 0)
if held < stop then
  local at_pace, growth, limit = ARGV[5] == '1', {GROWTH_BYTES}, tonumber(ARGV[7])
  local length, room = stop, stop
  if held == 0 then
    if at_pace then length = math.max(stop, announced <= {AT_ONCE_BYTES} and announced or growth) end
    room = length
  else
    local wanted = at_pace and math.min(announced, 2 * stop) or stop
    length = math.max(stop, wanted < 2 * growth and math.floor(wanted / 2) or wanted - growth)
    room = math.max(stop, math.min(limit, length < growth and 2 * length or length + growth))
  end
  local full = refusal(room - held, ARGV[6], limit, tonumber(ARGV[8]))
  if full then return no(full) end
  if held == 0 and ARGV[6] ~= '' then
    redis.call('HSET', KEYS[5], ARGV[1], ARGV[6])
    note_that_asks(ARGV[6])
  end
  add(KEYS[3], room - held)
  taken = taken + room - held
  add_to_user(ARGV[1], room - held)
  redis.call('HSET', KEYS[2], ARGV[1], room)
  redis.call('SETRANGE', KEYS[8], length - 1, '\\0')
  held = room
end
redis.call('ZADD', KEYS[1], now + ARGV[9], ARGV[1])
redis.call('EXPIRE', KEYS[8], ARGV[9])
return {{held, taken}}
"""
)

# KEYS: expiries. ARGV: id, ttl.
EXTEND = "return redis.call('ZADD', KEYS[1], 'XX', redis.call('TIME')[1] + ARGV[2], ARGV[1])"

IN_USE = FORGET_EXPIRED + "return tonumber(redis.call('GET', KEYS[3]) or 0)"

# KEYS[8]: the photo's own key. ARGV: id, bytes, ttl. It is no user's unfinished upload any more, takes the true size
# and the long expiry, and its string is cut when it is much longer, because the budget stands for memory.
KEEP = (
    FORGET_EXPIRED
    + f"""
local size = tonumber(ARGV[2])
local taken = math.max(tonumber(redis.call('HGET', KEYS[2], ARGV[1]) or 0), redis.call('STRLEN', KEYS[8]))
if taken > size + math.max({WASTE_BYTES}, size / 8) then
  redis.call('SET', KEYS[8], redis.call('GETRANGE', KEYS[8], 0, size - 1))
end
if redis.call('EXPIRE', KEYS[8], ARGV[3]) == 0 then return 0 end
forget(ARGV[1])
redis.call('ZADD', KEYS[1], now + ARGV[3], ARGV[1])
redis.call('HSET', KEYS[2], ARGV[1], size)
add(KEYS[3], size)
return 1
"""
)

# KEYS[8]: the photo's own key. ARGV: id.
DISCARD = (
    FORGET_EXPIRED
    + f"""
redis.call('DEL', KEYS[8])
local size = forget(ARGV[1])
local drain = redis.call('HMGET', KEYS[4], 'bytes', 'at')
local fades = math.exp((tonumber(drain[2] or now) - now) / {DRAIN_WINDOW_SECONDS})
redis.call('HSET', KEYS[4], 'bytes', tostring(tonumber(drain[1] or 0) * fades + size), 'at', string.format('%.3f', now))
redis.call('EXPIRE', KEYS[4], 600)
return size
"""
)


class StagedBytesGoneError(Exception):
    """The bytes expired, were flushed or were never whole."""


class NotTheHolderError(Exception):
    """Another request may write to this upload now."""


class Fence(NamedTuple):
    """Lets one request at a time write to an upload: the one whose `token` is the `holder` in the HASH `key`.

    Whoever changes the holder touches the key `changed`. `advance(offset)` is the command that notes how far the bytes
    have come, in the transaction that writes them.
    """

    key: str
    token: str
    changed: str
    advance: Callable[[int], tuple]


def require_room(size: int, *, user="") -> Server:
    """Returns a server with room for a photo of this size at the moment. It holds nothing yet.

    One that has plenty by what it answered to others is not asked again: whoever then writes the first piece is told if
    that is no longer true. Raises StagingFullError when all that answer are full, RedisError when none answers.
    """
    full, away = [], None
    ask = ("EVAL", ASK, len(BUDGET_KEYS), *BUDGET_KEYS, size, user, settings.STAGING_MAX_BYTES, _share())
    for server in servers.by_room():
        if server.has_plenty(size):
            return server
        try:
            (reply,) = server.must_answer(exchange, server.client, ask)
            _granted(reply, server)
        except StagingFullError as error:
            full.append(error)
        except RedisError as error:
            away = error
        else:
            return server
    raise min(full, key=lambda error: error.wait) if full else away


def reserve(
    image_id,
    size: int,
    *,
    offset: int = 0,
    announced: int = 0,
    at_pace: bool = False,
    user="",
    ttl: int | None = None,
    fence: Fence | None = None,
) -> int:
    """Hold the room of an unfinished upload that has come to `size` bytes, the last of them from `offset` on.

    Returns how many bytes it holds now; 0 when what came before has been lost meanwhile: discard it. Raises
    StagingFullError, and has changed nothing then. Safe to run twice. `announced`: bytes that the whole may have;
    `at_pace`: it came quickly enough for room ahead. `ttl`: how many seconds it is kept from now on, instead of
    INCOMING_TTL_SECONDS. Raises NotTheHolderError when the `fence` is another's.
    """
    (reply,) = ask(image_id, _hold(image_id, offset, size, announced, at_pace, user, ttl, fence))
    return _granted(reply, server_of(image_id))


def write(
    image_id,
    *portions: bytes,
    offset: int,
    size: int,
    held: int = 0,
    at_pace: bool = False,
    user="",
    ttl: int | None = None,
    fence: Fence | None = None,
) -> int:
    """Write a piece of a photo that may have `size` bytes, its portions in order, to its place; see `reserve`.

    `held`: by what was written before; up to there nothing is to be asked, unless there is a fence. Prolongs the
    reservation by `ttl`.
    """
    stop = offset + sum(map(len, portions))
    if stop > held or fence:
        hold = _hold(image_id, offset, stop, size, at_pace, user, ttl, fence)
        also = [fence.advance(stop)] if fence else []
        return _write(image_id, portions, *also, offset=offset, held=held, hold=hold, fence=fence)
    ttl = ttl or INCOMING_TTL_SECONDS
    extend = ("EVAL", EXTEND, 1, BUDGET_KEYS[0], image_id, ttl)
    expire = ("EXPIRE", key_of(image_id), ttl)
    return _write(image_id, portions, extend, expire, offset=offset, held=held)


def write_last(image_id, *portions: bytes, offset: int, held: int = 0, user="") -> bool:
    """Write the last piece, or none, and hold the photo, which ends there, for STAGING_TTL_SECONDS; see `write`."""
    size = offset + sum(map(len, portions))
    hold = _hold(image_id, offset, size, size, False, user) if size > held else None
    keys = [*BUDGET_KEYS, key_of(image_id)]
    keep = ("EVAL", KEEP, len(keys), *keys, image_id, size, settings.STAGING_TTL_SECONDS)
    return bool(_write(image_id, portions, keep, offset=offset, held=held, hold=hold))


def _write(
    image_id,
    portions: tuple,
    *also: tuple,
    offset: int,
    held: int,
    hold: tuple | None = None,
    fence: Fence | None = None,
) -> int:
    """Returns the bytes held then, 0 when something has been lost.

    It is one transaction, as SETRANGE would make a key that was lost anew, with zeros before the piece. It does not run
    when there is no room, because HOLD then touches the key that it watches; nor once another request may write.
    """
    key = key_of(image_id)
    watched = [_guard_of(image_id, fence), *([fence.changed] if fence else [])]
    *asked, written = ask(
        image_id,
        *([("WATCH", *watched), hold] if hold else []),
        ("MULTI",),
        ("EXISTS", key),
        ("SETRANGE", key, offset, portions),
        *also,
        ("EXEC",),
    )
    if hold:
        held = _granted(asked[1], server_of(image_id))
    if fence and held and written is None:  # the holder has changed in between
        raise NotTheHolderError
    return held if written and written[0] and written[-1] else 0


def _hold(
    image_id, offset: int, stop: int, announced: int, at_pace: bool, user, ttl=None, fence: Fence | None = None
) -> tuple:
    keys = [*BUDGET_KEYS, key_of(image_id), _guard_of(image_id, fence), *([fence.key] if fence else [])]
    piece = (image_id, offset, stop, max(announced, stop), int(at_pace), user)
    budget = (settings.STAGING_MAX_BYTES, _share(), ttl or INCOMING_TTL_SECONDS)
    return ("EVAL", HOLD, len(keys), *keys, *piece, *budget, *([fence.token] if fence else []))


def _guard_of(image_id, fence: Fence | None = None) -> str:
    """Of a fenced write the writer's own: a refusal of one is none of the others."""
    return f"{PREFIX}{image_id}:refused" + (f":{fence.token}" if fence else "")


def _share() -> int:
    """Returns how many bytes one user's unfinished uploads may hold: at least what one photo may."""
    share = int(settings.STAGING_MAX_BYTES * settings.STAGING_USER_SHARE)
    return max(share, settings.IMAGE_MAX_BYTES + GROWTH_BYTES)


def _granted(reply: list, server: Server) -> int:
    """Returns the bytes held; 0 when what came before has been lost. Raises StagingFullError, NotTheHolderError."""
    if reply[0] == -2:
        raise NotTheHolderError
    if len(reply) > 1:
        server.note_taken(reply[-1])
    if reply[0]:
        return max(0, reply[0])
    over, drained_a_second, seconds_to_expiry = (float(value) for value in reply[1:4])
    waits = [seconds_to_expiry]
    if drained_a_second > 0:
        waits.append(over / drained_a_second)
    raise StagingFullError(wait=min(LONGEST_WAIT_SECONDS, max(1, math.ceil(min(waits)))))


def read_range(image_id, offset: int, length: int) -> bytes:
    """Returns up to `length` bytes from `offset`, or b"" without a key. Bytes past the photo's end are not its own."""
    return ask(image_id, ("GETRANGE", key_of(image_id), offset, offset + length - 1))[0]


def read(image_id, size: int) -> bytes | memoryview:
    """Returns the photo's bytes, `size` of them. Raises StagedBytesGoneError when they are not all there."""
    server = server_of(image_id)
    command = ("GETRANGE", key_of(image_id), 0, size - 1)
    content = server.must_answer(lambda: receive(server.client, command, size))
    if content is None:
        (content,) = ask(image_id, command)
    if len(content) != size:
        raise StagedBytesGoneError
    return content


def discard(image_id) -> None:
    """Drop the bytes and give the budget back. Safe to run twice, and for a photo that was never staged."""
    server, keys = server_of(image_id), [*BUDGET_KEYS, key_of(image_id)]
    server.ask(lambda: exchange(server.client, ("EVAL", DISCARD, len(keys), *keys, image_id)))


def which_are_gone(image_ids) -> set:
    """Returns those of these photos of which no byte is left here. Raises RedisError if one's server is away."""
    image_ids = set(image_ids)
    return image_ids - which_exist(image_ids, lambda image_id: [key_of(image_id)])


def which_exist(image_ids, keys_of: Callable) -> set:
    """Returns those of these photos that have one of `keys_of(image_id)` on their server. Raises RedisError."""
    found = set()
    for server, theirs in servers.grouped(image_ids).items():
        with server.client.pipeline(transaction=False) as pipeline:
            for image_id in theirs:
                pipeline.exists(*keys_of(image_id))
            replies = server.ask(pipeline.execute)
        found |= {image_id for image_id, there in zip(theirs, replies, strict=True) if there}
    return found


def sample(count: int, *, server: Server) -> list[str]:
    """Returns up to `count` ids of the photos that hold a part of this server's budget, at random, without those that
    expired.
    """
    bytes_in_use(server)
    found = server.ask(server.client.hrandfield, BUDGET_KEYS[1], count)
    return [image_id.decode() for image_id in found]


def seconds_whole(image_ids: list, *, server: Server) -> dict[str, float]:
    """Returns for how many seconds each of these photos has been whole on this server, without those still arriving or
    gone.
    """
    if not image_ids:
        return {}
    # In one transaction: a photo that began to arrive in between would look whole.
    with server.client.pipeline(transaction=True) as pipeline:
        clock, expiries = server.ask(pipeline.time().zmscore(BUDGET_KEYS[0], image_ids).execute)
    left = {image_id: expiry - clock[0] for image_id, expiry in zip(image_ids, expiries, strict=True) if expiry}
    return {
        image_id: settings.STAGING_TTL_SECONDS - seconds
        for image_id, seconds in left.items()
        if seconds > INCOMING_TTL_SECONDS + 1  # the clock above is in whole seconds
    }


def bytes_in_use(server: Server | None = None) -> int:
    """Returns how much of this server's budget is taken, or of all together, once what has expired is given back."""
    asked = [server] if server else servers.all_servers()
    return sum(each.ask(each.client.register_script(IN_USE), BUDGET_KEYS) for each in asked)


def key_of(image_id) -> str:
    return f"{PREFIX}{image_id}"


def ask(image_id, *commands: tuple) -> list:
    """Returns the replies of the server that has this photo, and what else is kept beside its bytes. Raises RedisError,
    ServerAwayError too.
    """
    server = server_of(image_id)
    return server.must_answer(lambda: exchange(server.client, *commands))


def ask_unless_away(image_id, *commands: tuple) -> list:
    """Likewise, but raises ServerAwayError at once if the server did not answer a moment ago: requests about an upload
    begin with this, and hundreds of them that each waited for a server which hangs would leave no thread for photos on
    the others.
    """
    server = server_of(image_id)
    return server.ask(lambda: exchange(server.client, *commands))
