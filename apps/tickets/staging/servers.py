"""The Redis servers of staging, over which photos are spread: which one a photo is on, and which of them answer.

A photo's id names its server: it is a UUID of version 8 (RFC 9562), whose field custom_b, the three digits after the
version, is a hash of the server's address. So whoever knows the photo finds its bytes, and nothing is written down. An
id of another version is from before there were several servers, and its photo is on the first. A server that is not
configured counts as one that is away.

A server that did not answer is not asked for a few seconds, but by one caller that finds out whether it is back, or
each would wait for it in turn. One that has no other beside it is always asked.
"""

import hashlib
import logging
import os
import random
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache

from django.conf import settings
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import MaxConnectionsError, RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from apps.common.redis.address import address_of, urls_in
from apps.common.redis.client import redis_at

logger = logging.getLogger(__name__)

# What the client raises when the server does not answer.
NO_ANSWER = (RedisConnectionError, RedisTimeoutError)
AWAY_SECONDS = 5
# How long what a server said of its budget is believed.
BELIEVED_SECONDS = 1
VERSION = 8


class ServerAwayError(RedisConnectionError):
    """The server did not answer a moment ago, or is not configured here."""


def address_code(address: str) -> int:
    """Returns the 12 bits that stand for it in an id."""
    return int(hashlib.sha256(address.encode()).hexdigest()[:3], 16)


class Server:
    """One Redis of staging. `name`: may be shown, it has no password. `code`: 12 bits, as in the ids of its photos."""

    def __init__(self, url: str, *, alone: bool):
        self.url = url
        self.name = address_of(url)
        self.code = address_code(self.name)
        self._alone = alone
        self._away_until: float | None = None
        self._taken, self._taken_until = 0, 0.0

    @property
    def client(self) -> Redis:
        return redis_at(self.url)

    def is_away(self) -> bool:
        """Returns whether it did not answer of late. The first to ask after AWAY_SECONDS is told no, and finds out."""
        until, now = self._away_until, time.monotonic()
        if until is None:
            return False
        if now < until:
            return True
        self._away_until = now + AWAY_SECONDS
        return False

    def ask(self, question: Callable, *arguments):
        """Returns `question(*arguments)`, which sends this server a command. Raises ServerAwayError at once if it is
        away.
        """
        if self.is_away():
            raise ServerAwayError(f"{self.name} is away")
        return self.must_answer(question, *arguments)

    def must_answer(self, question: Callable, *arguments):
        """Likewise, even if it was away a moment ago: for bytes that have no other way to go."""
        try:
            answer = question(*arguments)
        except MaxConnectionsError:  # this process is busy
            raise
        except NO_ANSWER as error:
            self._note_away(error)
            raise
        except RedisError:  # it answers, if in the negative
            self._note_back()
            raise
        self._note_back()
        return answer

    def _note_away(self, error: RedisError) -> None:
        self._taken_until = 0.0
        if self._alone:
            return
        if self._away_until is None:
            logger.warning("staging: %s does not answer, %s", self.name, type(error).__name__)
        self._away_until = time.monotonic() + AWAY_SECONDS

    def _note_back(self) -> None:
        if self._away_until is not None:
            self._away_until = None
            logger.info("staging: %s answers again", self.name)

    def note_taken(self, taken: int) -> None:
        """Remember for a moment how many bytes of its budget are taken."""
        self._taken, self._taken_until = taken, time.monotonic() + BELIEVED_SECONDS

    def has_plenty(self, size: int) -> bool:
        """Returns whether it said a moment ago that it would be at most half full with this photo, too: then it refuses
        nobody. Of several servers each is asked, so that one that does not answer is found out before a photo comes.
        """
        is_believed = self._alone and time.monotonic() < self._taken_until
        return is_believed and self._taken + size <= settings.STAGING_MAX_BYTES / 2

    def room(self) -> int:
        """Returns how many bytes it has room for, as far as is known here; of a full one still 1."""
        taken = self._taken if time.monotonic() < self._taken_until else 0
        return max(1, settings.STAGING_MAX_BYTES - taken)


class UnknownServer:
    """Stands for a server that is not configured here, by its code."""

    def __init__(self, code: int):
        self.name = f"{code:03x}, which is not configured"
        self.code = code

    @property
    def client(self) -> Redis:
        raise ServerAwayError(self.name)

    def is_away(self) -> bool:
        return True

    def ask(self, question: Callable, *arguments):
        raise ServerAwayError(self.name)

    must_answer = ask


def all_servers() -> tuple[Server, ...]:
    return _servers(settings.STAGING_REDIS_URL)


@lru_cache
def _servers(text: str) -> tuple[Server, ...]:
    urls = urls_in(text)
    return tuple(Server(url, alone=len(urls) == 1) for url in urls)


def server_of(image_id) -> Server | UnknownServer:
    """`image_id`: a UUID or its text."""
    servers = all_servers()
    number = (image_id if isinstance(image_id, uuid.UUID) else uuid.UUID(image_id)).int
    if number >> 76 & 0xF != VERSION:
        return servers[0]
    code = number >> 64 & 0xFFF
    for server in servers:
        if server.code == code:
            return server
    return _unknown_server(code)


@lru_cache
def _unknown_server(code: int) -> UnknownServer:
    server = UnknownServer(code)
    logger.warning("staging: a photo is on the server with the code %s", server.name)  # once for each process
    return server


def id_on(server: Server) -> uuid.UUID:
    """Returns a new id, whose photo is on this server."""
    number = int.from_bytes(os.urandom(16), "big")
    number &= ~(0xFFFF << 64 | 0x3 << 62)
    return uuid.UUID(int=number | VERSION << 76 | server.code << 64 | 0x2 << 62)


def grouped(items: Iterable, *, id_of: Callable = lambda item: item) -> dict:
    """Returns the items by the server of their photo."""
    groups = {}
    for item in items:
        groups.setdefault(server_of(id_of(item)), []).append(item)
    return groups


def by_room() -> Iterator[Server]:
    """Yields the servers that may take a new photo, in the order to try: by lot, with chances as their room.

    By lot, because what other processes send there is not known here. If all are away, one of them is tried.
    """
    servers = all_servers()
    if len(servers) == 1:
        yield servers[0]
        return
    all_are_away = True
    by_lot = sorted(servers, key=lambda server: random.expovariate(server.room()))
    for server in by_lot:
        if not server.is_away():  # asked last, for who is told no finds out
            all_are_away = False
            yield server
    if all_are_away:
        yield by_lot[0]


def answers(question: Callable[[Server], object]) -> dict:
    """Returns for each server what `question(server)` does, or the RedisError that it raises."""
    return {server: _answer(server, question) for server in all_servers()}


def _answer(server: Server, question: Callable[[Server], object]):
    try:
        return question(server)
    except RedisError as error:
        return error
