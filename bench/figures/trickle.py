"""Clients without credentials send a byte every two seconds, while /healthz is asked twice a second.

As many of them for each web process as would take all of its threads and connections, were each left alone.
"""

import http.client
import select
import socket
import statistics
import threading
import time
from contextlib import suppress

from bench.results import Table
from bench.stage import Stage

EVERY_SECONDS = 2
CROWD = 2 * 340  # for two processes
GIVE_UP_AFTER_SECONDS = 90
LOGIN, PHOTOS = "/api/v1/auth/login/", "/api/v1/tickets/1/images/"


def head(path: str, content_type: str) -> bytes:
    return (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {content_type}\r\nContent-Length: 60000\r\n".encode()
    )


REFUSED = head(PHOTOS, "image/jpeg") + b"\r\n"
LAST = head(PHOTOS, "image/jpeg") + b"Connection: close\r\n\r\n"
BODY = head(LOGIN, "application/json") + b"\r\n"
HEAD = head(LOGIN, "application/json") + b"X-Filler: "


def measure(stage: Stage, options) -> list[Table]:
    hopla = stage.hopla
    hopla.start_web()
    hopla.load(clients=16, requests=160, photo_bytes=1000)  # until both processes are warm
    table = Table("The time that a connection is held, and what /healthz takes meanwhile")
    for _ in range(options.rounds):
        for name, clients in {
            "one that was answered 401": Tricklers(hopla.port, 1, REFUSED),
            f"{CROWD} that were answered 401": Tricklers(hopla.port, CROWD, REFUSED),
            f"{CROWD} bodies of a log-in": Tricklers(hopla.port, CROWD, BODY),
            f"{CROWD} heads of a request": Tricklers(hopla.port, CROWD, HEAD),
            "120 that were answered 401, silent for 7 s": Tricklers(hopla.port, 120, LAST, silent_seconds=7),
        }.items():
            with clients:
                seconds = healthz_seconds(hopla.port, until=clients.are_gone)
            table.add(f"{name}: the last one's end, s", "hopla", clients.held_seconds())
            table.add(f"{name}: /healthz, median ms", "hopla", 1000 * statistics.median(seconds))
            table.add(f"{name}: /healthz, longest ms", "hopla", 1000 * max(seconds))
    table.note(f"Who is still connected after {GIVE_UP_AFTER_SECONDS} seconds counts as held so long.")
    return [table]


class Tricklers:
    """`number` connections that send `first`, and then a byte every two seconds until the server ends them."""

    def __init__(self, port: int, number: int, first: bytes, silent_seconds: float = 0):
        self._port, self._number, self._first, self._silent_seconds = port, number, first, silent_seconds
        self._open: set[socket.socket] = set()
        self._started_at = self._last_end = time.monotonic()
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self):
        self._started_at = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, *exc_info):
        self._is_over.set()
        self._thread.join()

    def are_gone(self) -> bool:
        return not self._thread.is_alive()

    def held_seconds(self) -> float:
        return self._last_end - self._started_at

    def _run(self) -> None:
        for _ in range(self._number):
            connection = socket.create_connection(("127.0.0.1", self._port))
            connection.sendall(self._first)
            self._open.add(connection)
        self._is_over.wait(self._silent_seconds)
        while self._open and not self._is_over.is_set():
            for connection in list(self._open):
                if has_ended(connection):
                    self._open.remove(connection)
                    self._last_end = time.monotonic()
            if time.monotonic() - self._started_at > GIVE_UP_AFTER_SECONDS:
                self._last_end = time.monotonic()
                break
            self._is_over.wait(EVERY_SECONDS)
        for connection in self._open:
            connection.close()


def has_ended(connection: socket.socket) -> bool:
    """Sends one more byte, and reads what has been answered."""
    with suppress(BlockingIOError):
        try:
            connection.send(b"x")
            poll = select.poll()
            poll.register(connection, select.POLLIN)
            if poll.poll(0) and not connection.recv(65536):
                connection.close()
                return True
        except OSError:
            connection.close()
            return True
    return False


def healthz_seconds(port: int, *, until) -> list[float]:
    """How long each request took, on a connection of its own."""
    seconds = []
    while not seconds or not until():
        started = time.monotonic()
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=GIVE_UP_AFTER_SECONDS)
        with suppress(OSError, http.client.HTTPException):
            connection.request("GET", "/healthz")
            connection.getresponse().read()
        connection.close()
        seconds.append(time.monotonic() - started)
        time.sleep(0.5)
    return seconds
