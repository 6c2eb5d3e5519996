"""Cuts off clients that take too long to send what they have begun, or to take what they asked for.

A thread that reads from a client cannot look at the clock meanwhile. One other thread of the process looks for all of
them, and ends a read by shutting the reading side of its connection: an answer can still be written.
"""

import socket
import time
from contextlib import contextmanager, suppress
from functools import partial

from apps.common.observability import unforeseen
from apps.common.threads import Daemon

WATCH_EVERY_SECONDS = 0.25

# Most clients send the head of a request, or a small body, at once. With more of them late than CROWD, each is given
# CROWD_SECONDS: enough for who means well, and too little to keep a process's threads from everyone else.
CROWD = 64
CROWD_SECONDS = 0.5

_watched: set = set()


class Brief:
    """Waits of a thread for what should be there in a moment: they may last `seconds` together, fewer in a crowd."""

    _all: set["Brief"] = set()

    def __init__(self, sock: socket.socket, *, seconds: float):
        self._socket, self._seconds = sock, seconds
        self._started_at = time.monotonic()
        self.was_cut = False

    def begin(self) -> None:
        self._all.add(self)
        watch(self)

    def end(self) -> None:
        self._all.discard(self)
        forget(self)

    def __enter__(self):
        self.begin()
        return self

    def __exit__(self, *exc_info):
        self.end()

    def is_overdue(self) -> bool:
        elapsed = time.monotonic() - self._started_at
        return elapsed > self._allowed_seconds() or (len(self._all) > CROWD and elapsed > CROWD_SECONDS)

    def _allowed_seconds(self) -> float:
        return self._seconds

    def cut(self) -> None:
        self.was_cut = True
        shut(self._socket)


@contextmanager
def watched(client):
    """Inside, `client.cut()` is called as soon as `client.is_overdue()`, from another thread, perhaps repeatedly."""
    watch(client)
    try:
        yield client
    finally:
        forget(client)


def watch(client) -> None:
    _watched.add(client)
    watcher.ensure_started()


def forget(client) -> None:
    _watched.discard(client)


def shut(sock: socket.socket) -> None:
    """No more is read from it. What waits for its next bytes returns."""
    with suppress(OSError):  # it has gone by itself
        socket.socket.shutdown(sock, socket.SHUT_RD)  # an SSLSocket's own would end the encryption of the answer, too


def hang_up(sock: socket.socket) -> None:
    """Nothing more is read from it or sent to it. What waits for room to send fails."""
    with suppress(OSError):  # it has gone by itself
        socket.socket.shutdown(sock, socket.SHUT_RDWR)


def _cut_off_overdue() -> None:
    for client in _watched.copy():
        with unforeseen.survived("web", "looking at a slow client"):  # the others are looked at all the same
            if client.is_overdue():
                client.cut()


watcher = Daemon(
    "slow-clients",
    _cut_off_overdue,
    every_seconds=WATCH_EVERY_SECONDS,
    on_error=partial(unforeseen.report, "web", "looking for slow clients"),
)
