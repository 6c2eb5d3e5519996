"""Cuts off clients that take too long to send what they have begun, or to take what they asked for; and servers that
take too long to answer, see deadlines.py.

A thread that reads from a client cannot check the clock meanwhile. One other thread of the process checks for all of
them, and ends a read by shutting down the reading side of its connection: a response can still be written.
"""

import socket
import time
from contextlib import suppress
from functools import partial

from apps.common.observability import unforeseen
from apps.common.threads import Daemon

WATCH_EVERY_SECONDS = 0.25

# Most clients send the head of a request, or a small body, at once. While more than CROWD clients are late, each gets
# CROWD_SECONDS: enough for a well-behaved client, too little to keep the threads of the process from the others.
CROWD = 64
CROWD_SECONDS = 0.5

_watched: set = set()


class Brief:
    """A thread's waits for data that should arrive at once: limited to `seconds` in all, fewer in a crowd."""

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


def watch(client) -> None:
    """Until `forget`, another thread calls `client.cut()` as soon as `client.is_overdue()`, perhaps repeatedly."""
    _watched.add(client)
    watcher.ensure_started()


def forget(client) -> None:
    _watched.discard(client)


def shut(sock: socket.socket) -> None:
    """Shut down the reading side of the socket: a pending read returns."""
    with suppress(OSError):  # the client has disconnected
        socket.socket.shutdown(sock, socket.SHUT_RD)  # SSLSocket.shutdown would end the response's encryption, too


def hang_up(sock: socket.socket) -> None:
    """Nothing more is read from it or sent to it. What waits for room to send fails."""
    with suppress(OSError):  # it has gone by itself
        socket.socket.shutdown(sock, socket.SHUT_RDWR)


def _cut_off_overdue() -> None:
    for client in _watched.copy():
        with unforeseen.survived("web", "looking at a slow client"):  # the others are still checked
            if client.is_overdue():
                client.cut()


watcher = Daemon(
    "slow-clients",
    _cut_off_overdue,
    every_seconds=WATCH_EVERY_SECONDS,
    on_error=partial(unforeseen.report, "web", "looking for slow clients"),
)
