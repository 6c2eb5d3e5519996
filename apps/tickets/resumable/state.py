"""What is known of an unfinished upload, beside its bytes in staging's Redis: one HASH for each.

The number of bytes that have come is written in the transaction that writes them, so that the two never disagree. What
is finished has no HASH any more: its image's row is the truth. An expired one is remembered for a while, to say so.

Who may write is the `holder`: each request gets the next number. While a holder is under way a newer request writes its
number to `wanted`, and waits until the holder has written what it has and let go; one that does not, because it was
killed or hangs, loses its hold, and with it the right to write, in the same step.
"""

import uuid
from dataclasses import dataclass, replace
from operator import itemgetter

from django.conf import settings
from redis.exceptions import RedisError

from apps.common.redis.wire import exchange
from apps.tickets.staging import store
from apps.tickets.staging.servers import grouped

PREFIX = "hopla:resumable:"
KNOWN_AFTER_EXPIRY_SECONDS = 60 * 60

GONE, EXPIRED, WAITING, OVERTAKEN, HELD = "gone", "expired", "waiting", "overtaken", "held"

# ARGV: ttl, for how long it is known after that; then fields and values of the HASH.
PROLONG = f"""
local clock = redis.call('TIME')
local now = tonumber(clock[1])
local function prolong()
  redis.call('HSET', KEYS[1], 'expires_at', now + ARGV[1])
  redis.call('EXPIRE', KEYS[1], ARGV[1] + {KNOWN_AFTER_EXPIRY_SECONDS})
end
"""
BEGIN = (
    PROLONG + "redis.call('HSET', KEYS[1], unpack(ARGV, 2)) prolong() return redis.call('HGET', KEYS[1], 'expires_at')"
)

# Beside a piece of bytes, in its transaction. ARGV: ttl, bytes that have come; without them, they are not announced.
ADVANCE = PROLONG + "if ARGV[2] then redis.call('HSET', KEYS[1], 'offset', ARGV[2]) end prolong() return 1"

# KEYS: the HASH, its bytes, what a holder's transaction watches: a key that is there, so that emptying Redis touches
# it, or the bytes would be written to a new string without an expiry. ARGV: the ticket, this request's number, which is
# empty until it has one, and whether the holder has had its time. Returns one of the words above, with HELD and WAITING
# the number, with HELD the HASH, too.
TAKE = f"""
local found = redis.call('HMGET', KEYS[1], 'ticket', 'expires_at', 'offset', 'holder', 'wanted')
if found[1] ~= ARGV[1] then return {{'{GONE}'}} end
if tonumber(found[2]) <= tonumber(redis.call('TIME')[1]) then return {{'{EXPIRED}'}} end
if tonumber(found[3]) > 0 and redis.call('EXISTS', KEYS[2]) == 0 then return {{'{GONE}'}} end
local mine, holder, wanted = tonumber(ARGV[2]), tonumber(found[4] or 0), tonumber(found[5] or 0)
if not mine then
  mine = redis.call('HINCRBY', KEYS[1], 'requests', 1)
elseif math.max(holder, wanted) > mine then
  return {{'{OVERTAKEN}'}}
end
if holder > 0 and ARGV[3] ~= '1' then
  redis.call('HSET', KEYS[1], 'wanted', mine)
  return {{'{WAITING}', mine}}
end
redis.call('HSET', KEYS[1], 'holder', mine)
redis.call('HDEL', KEYS[1], 'wanted')
redis.call('SET', KEYS[3], mine, 'PX', redis.call('PTTL', KEYS[1]))
return {{'{HELD}', mine, redis.call('HGETALL', KEYS[1])}}
"""

# Each of these is done by the holder alone. ARGV: its number.
IF_HELD = "if redis.call('HGET', KEYS[1], 'holder') ~= ARGV[1] then return 0 end "
LET_GO = IF_HELD + "return redis.call('HDEL', KEYS[1], 'holder')"
STILL_HELD = IF_HELD + "return 1"
SET = IF_HELD + "redis.call('HSET', KEYS[1], ARGV[2], ARGV[3]) return 1"
END = IF_HELD + "redis.call('DEL', KEYS[2]) return redis.call('DEL', KEYS[1])"


@dataclass(frozen=True)
class Upload:
    """An unfinished upload, as its HASH has it. Its id will be that of its image."""

    id: uuid.UUID
    ticket_id: int
    user_id: int
    length: int | None  # bytes of the whole; None: the client has not said yet
    offset: int = 0  # bytes that have come
    filename: str = ""
    slot: str = ""
    metadata: str = ""  # as the client gave it, to be shown again
    sha256: str = ""  # of the whole, in hex, if the client has said
    expires_at: int = 0  # seconds since 1970
    guest_link_id: int | None = None  # of the guest who began it
    key: str = ""  # the Idempotency-Key it was begun with, as `idempotency.key_of` has it

    @property
    def is_whole(self) -> bool:
        return self.offset == self.length

    @property
    def most_bytes(self) -> int:
        """What it may come to."""
        return settings.IMAGE_MAX_BYTES if self.length is None else self.length


def begin(upload: Upload) -> Upload:
    """Write down a new upload. Returns it, with the moment at which it expires."""
    fields = {
        "ticket": upload.ticket_id,
        "user": upload.user_id,
        "length": "" if upload.length is None else upload.length,
        "offset": upload.offset,
        "filename": upload.filename,
        "slot": upload.slot,
        "metadata": upload.metadata,
        "sha256": upload.sha256,
        "guest_link": upload.guest_link_id or "",
        "key": upload.key,
    }
    pairs = [part for pair in fields.items() for part in pair]
    expires_at = _run(BEGIN, upload.id, [key_of(upload.id)], settings.RESUMABLE_TTL_SECONDS, *pairs)
    return replace(upload, expires_at=int(expires_at))


def take(upload_id: uuid.UUID, *, ticket_id: int, number: int | None = None, by_force: bool = False):
    """Try to become the holder. Returns (word, number or None, the Upload or None); see TAKE."""
    keys = [key_of(upload_id), store.key_of(upload_id), changed_key_of(upload_id)]
    command = ("EVAL", TAKE, len(keys), *keys, ticket_id, number or "", int(by_force))
    word, *rest = store.ask_unless_away(upload_id, command)[0]
    number, fields = (*rest, None, None)[:2]
    return word.decode(), number, fields and _upload_of(upload_id, fields)


def let_go(upload_id, number: int) -> None:
    _run(LET_GO, upload_id, [key_of(upload_id)], number)


def is_held(upload_id, number: int) -> bool:
    return bool(_run(STILL_HELD, upload_id, [key_of(upload_id)], number))


def note(upload_id, number: int, *, field: str, value: int) -> bool:
    """Set `offset` or `length`. Returns whether this request is still the holder, or else has changed nothing."""
    return bool(_run(SET, upload_id, [key_of(upload_id)], number, field, value))


def end(upload_id, number: int) -> bool:
    """Forget the upload, but not its bytes. Returns whether this request was still the holder."""
    return bool(_run(END, upload_id, [key_of(upload_id), changed_key_of(upload_id)], number))


def fence(upload_id, number: int, *, announces: bool) -> store.Fence:
    """Returns what lets this holder alone write bytes. `announces`: as they come, and not after they were verified."""
    key = key_of(upload_id)

    def advance(offset: int) -> tuple:
        return ("EVAL", ADVANCE, 1, key, settings.RESUMABLE_TTL_SECONDS, *([offset] if announces else []))

    return store.Fence(key=key, token=str(number), changed=changed_key_of(upload_id), advance=advance)


def which_are_wanted(held: list[tuple[uuid.UUID, int]]) -> list[tuple[uuid.UUID, int]]:
    """Returns those of these (upload, holder's number) that a newer request waits for, or that have another holder.

    In one exchange with each server: it is asked often, for all uploads that are under way.
    """
    wanted = []
    for server, holds in grouped(held, id_of=itemgetter(0)).items():
        questions = [("HMGET", key_of(upload_id), "holder", "wanted") for upload_id, _ in holds]
        try:
            found = server.ask(lambda server=server, asked=questions: exchange(server.client, *asked))
        except RedisError:  # then they cannot write either, and those of other servers go on
            continue
        for hold, (holder, waiting) in zip(holds, found, strict=True):
            if waiting or holder != b"%d" % hold[1]:
                wanted.append(hold)
    return wanted


def is_unfinished(upload_id) -> bool:
    """Returns whether this is an upload that may still go on, so that its bytes are not left over."""
    (clock, expires_at) = store.ask_unless_away(upload_id, ("TIME",), ("HGET", key_of(upload_id), "expires_at"))
    return expires_at is not None and int(expires_at) > int(clock[0])


def key_of(upload_id) -> str:
    return f"{PREFIX}{upload_id}"


def changed_key_of(upload_id) -> str:
    return f"{PREFIX}{upload_id}:holder-changed"


def _upload_of(upload_id: uuid.UUID, fields: list[bytes]) -> Upload:
    found = {name.decode(): value.decode() for name, value in zip(fields[::2], fields[1::2], strict=True)}
    return Upload(
        id=upload_id,
        ticket_id=int(found["ticket"]),
        user_id=int(found["user"]),
        length=int(found["length"]) if found["length"] else None,
        offset=int(found["offset"]),
        filename=found["filename"],
        slot=found["slot"],
        metadata=found["metadata"],
        sha256=found["sha256"],
        expires_at=int(found["expires_at"]),
        guest_link_id=int(found["guest_link"]) if found["guest_link"] else None,
        key=found["key"],
    )


def _run(script: str, upload_id, keys: list[str], *arguments):
    return store.ask(upload_id, ("EVAL", script, len(keys), *keys, *arguments))[0]
