"""Tells the workers that something is to be delivered, so that it need not wait until they look by themselves.

A call is an entry in a list in Redis, which one worker takes; there is one at a time, however many events come. It is
sent by a thread of its own, since it would cost whoever writes an event a round trip.
"""

import os
import threading
from functools import cache, partial

from django.conf import settings
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from apps.common import threads
from apps.common.observability import unforeseen
from apps.common.redis.client import new_client, redis_at

KEY = "hopla:webhooks:wakeup"
WAIT_SECONDS = 1

# KEYS: the list. One entry is enough, and it must not grow while there is no worker.
CALL = "if redis.call('EXISTS', KEYS[1]) == 0 then redis.call('RPUSH', KEYS[1], '1') end"


def wake_senders() -> None:
    """Have the workers look for what is due. It costs next to nothing, and may be left out or lost: they look every
    second by themselves.
    """
    _caller.wanted.set()
    _caller.ensure_started()


def wait_for_a_call() -> bool:
    """Returns True at once when there is a call, and False when there was none for WAIT_SECONDS. Raises RedisError."""
    return _listening_at(settings.REDIS_URL).blpop(KEY, timeout=WAIT_SECONDS) is not None


@cache
def _listening_at(url: str) -> Redis:
    """Returns a client with one connection of its own, which waits most of the time."""
    return new_client(
        url,
        max_connections=1,
        timeout=WAIT_SECONDS,
        retry=Retry(NoBackoff(), 0),
        socket_connect_timeout=1,
        socket_timeout=WAIT_SECONDS + 1.5,
    )


class _Caller:
    """The thread that calls. A forked process starts its own."""

    def __init__(self):
        self.wanted = threading.Event()
        self._starting = threading.Lock()
        self._is_started = False

    def ensure_started(self) -> None:
        if self._is_started:
            return
        with self._starting:
            if not self._is_started:
                report = partial(unforeseen.report, "webhooks", "waking up the senders")
                threads.start("webhooks-caller", self._call, on_error=report)
                self._is_started = True

    def _call(self) -> None:
        while True:
            self.wanted.wait()
            self.wanted.clear()
            try:
                redis_at(settings.REDIS_URL).eval(CALL, 1, KEY)
            except RedisError:
                continue  # they look by themselves


def _start_anew() -> None:
    global _caller
    _caller = _Caller()


_caller = _Caller()
os.register_at_fork(after_in_child=_start_anew)
