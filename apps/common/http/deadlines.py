"""Exchanges with other servers by urllib3 that end by a total deadline, or at once when the process stops.

urllib3's read timeout is per socket read, so a server that sends one byte a second never exceeds it. Here one thread of
the process shuts the connection down when the whole exchange (connect, TLS, send, wait, read) has taken too long, at
any stage. A timer for each exchange would be a thread for each, which costs more than a round trip to Redis.

Private parts of urllib3 2.8.0: `urllib3.connection.HTTPConnection._new_conn`.
"""

import os
import socket
import threading
import time

from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

from apps.common.http.slow_clients import forget, hang_up, watch

_running = threading.local()
_under_way: set["Exchange"] = set()  # of all threads


class Exchange:
    """One request and its response, limited to `seconds` in all. Use it as a context manager around the call.

    `status` and `headers` are those of the response, None and {} without one. `timed_out` is True if the deadline ended
    it, `interrupted` if `interrupt_all` did; the call then raises urllib3's error for a broken connection.
    """

    def __init__(self, seconds: float):
        self.status = None
        self.headers = {}
        self.timed_out = False
        self.interrupted = False
        self._handle = None
        self._lock = threading.Lock()
        self._seconds = seconds

    def __enter__(self):
        self._ends_at = time.monotonic() + self._seconds
        _running.exchange = self
        _under_way.add(self)
        watch(self)
        return self

    def __exit__(self, *exc_info):
        forget(self)
        _under_way.discard(self)
        _running.exchange = None
        with self._lock:
            self._drop_handle()

    def follow(self, sock) -> None:
        """Duplicate the socket: the copy survives TLS wrapping, and http.client closing the original early."""
        with self._lock:
            self._drop_handle()
            self._handle = socket.socket(fileno=os.dup(sock.fileno()))
            if self.was_cut:
                self._cut()

    @property
    def was_cut(self) -> bool:
        return self.timed_out or self.interrupted

    def interrupt(self) -> None:
        with self._lock:
            self.interrupted = True
            self._cut()

    def is_overdue(self) -> bool:
        return time.monotonic() > self._ends_at

    def cut(self) -> None:
        with self._lock:
            self.timed_out = True
            self._cut()

    def _cut(self):
        if self._handle is not None:
            hang_up(self._handle)

    def _drop_handle(self):
        if self._handle is not None:
            self._handle.close()
            self._handle = None


def interrupt_all() -> None:
    """End the running exchanges of this process as if their deadlines had passed."""
    for exchange in list(_under_way):
        exchange.interrupt()


def _follow(sock) -> None:
    exchange = getattr(_running, "exchange", None)
    if exchange is not None and sock is not None:
        exchange.follow(sock)


class _Followed:
    """Mixin of urllib3's connections that passes their socket to the running exchange."""

    def _new_conn(self):
        sock = super()._new_conn()
        _follow(sock)
        return sock

    def request(self, *args, **kwargs):
        _follow(self.sock)  # a pooled connection; a new one has no socket yet
        return super().request(*args, **kwargs)

    def getresponse(self):
        response = super().getresponse()
        exchange = getattr(_running, "exchange", None)
        if exchange is not None:
            exchange.status, exchange.headers = response.status, response.headers
        return response


class _FollowedHTTPConnection(_Followed, HTTPConnection):
    pass


class _FollowedHTTPSConnection(_Followed, HTTPSConnection):
    pass


class DeadlineHTTPPool(HTTPConnectionPool):
    ConnectionCls = _FollowedHTTPConnection


class DeadlineHTTPSPool(HTTPSConnectionPool):
    ConnectionCls = _FollowedHTTPSConnection
