"""TCP proxies between client and server that behave as bad networks do."""

import contextlib
import fcntl
import random
import selectors
import socket
import struct
import sys
import termios
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

PIECE_BYTES = 64 * 1024


class Proxy:
    """Listens at `url` and passes on to `target`, inside its block as a context manager. Subclasses say how. Without a
    target, until it has one, it hangs up.
    """

    buffered_bytes: int | None = None  # of a client's, that the system takes in before they are read

    def __init__(self, target: str | None):
        self.target = target
        self._lock = threading.Lock()

    def __enter__(self):
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        if self.buffered_bytes:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self.buffered_bytes)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *exc_info) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return  # the block has ended
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        if self.target is None:
            client.close()
            return
        address = urlsplit(self.target)
        with (
            client,
            contextlib.suppress(OSError),
            socket.create_connection((address.hostname, address.port)) as server,
            selectors.DefaultSelector() as both,
        ):
            both.register(client, selectors.EVENT_READ)
            both.register(server, selectors.EVENT_READ)
            self._pass_on(client, server, both)

    def _pass_on(self, client: socket.socket, server: socket.socket, both: selectors.BaseSelector) -> None:
        """Until one side closes, or the network does what this one does. `both`: says which of the two has sent."""
        raise NotImplementedError


class LossyProxy(Proxy):
    """Loses responses: the request arrives, and its response does not. Of all responses it drops the share `loss`,
    closing the connection. One seed makes the dice repeatable."""

    def __init__(self, target: str | None = None, *, loss: float, seed: int = 0):
        super().__init__(target)
        self._loss = loss
        self._dice = random.Random(seed)
        self.dropped = 0

    def _pass_on(self, client, server, both):
        awaits_answer = False
        while True:
            for key, _ in both.select():
                source = key.fileobj
                piece = source.recv(PIECE_BYTES)
                if not piece:
                    return
                if source is server and awaits_answer and self._loses_this_one():
                    return
                awaits_answer = source is client
                (server if awaits_answer else client).sendall(piece)

    def _loses_this_one(self) -> bool:
        with self._lock:
            lost = self._dice.random() < self._loss
            self.dropped += lost
        return lost


class BadLine(Proxy):
    """One line, as of a phone, that all connections share: slow, and cut now and then with all that it carries.

    `bytes_per_second`: what clients send in all. A cut comes each time that the clients have sent `cut_after_bytes`,
    every `cut_every_seconds`, and with `cut()`. Clients notice at once. The server sees one of `ends` in turn: the
    connection's end, a reset, or silence, as when a phone has left its network.

    `in_step`: of each connection the next bytes wait until the server has read the last ones, and a cut does, too. What
    is sent in vain, or twice, then depends on clients and server alone, and not on how busy they are.
    """

    ENDS = ("end", "reset", "silence")
    LOOK_EVERY_SECONDS = 0.02
    CATCH_UP_SECONDS = 0.1  # so late it may be, on a busy machine, without losing speed

    def __init__(
        self,
        target: str,
        *,
        bytes_per_second: float | None = None,
        cut_after_bytes: int | None = None,
        cut_every_seconds: float | None = None,
        ends: tuple[str, ...] = ENDS,
        in_step: bool = False,
    ):
        super().__init__(target)
        self.buffered_bytes = self._piece_bytes = 4 * 1024 if in_step else 32 * 1024
        self._rate, self._free_at = bytes_per_second, 0.0
        self._cut_after_bytes, self._cut_every_seconds = cut_after_bytes, cut_every_seconds
        self._ends, self._in_step = ends, in_step
        self._open: list[_Connection] = []
        self._silent: list[socket.socket] = []
        self._over = threading.Event()
        self.sent = self.cuts = 0  # bytes from clients, and cuts that ended a connection

    def __enter__(self):
        super().__enter__()
        if self._cut_every_seconds:
            threading.Thread(target=self._cut_by_the_clock, daemon=True).start()
        return self

    def __exit__(self, *exc_info):
        self._over.set()
        super().__exit__(*exc_info)
        for connection in self._silent:
            connection.close()

    def cut(self) -> None:
        """Everything that is under way."""
        with self._lock:
            self._cut()

    def _cut(self) -> None:
        if not self._open:
            return
        for connection in self._open:
            connection.ends_by = self._ends[self.cuts % len(self._ends)]
        self._open = []
        self.cuts += 1

    def _cut_by_the_clock(self) -> None:
        while not self._over.wait(self._cut_every_seconds):
            self.cut()

    def _pass_on(self, client, server, both):
        connection = _Connection(client, server)
        with self._lock:
            self._open.append(connection)
        try:
            while connection.ends_by is None and not self._over.is_set():
                for key, _ in both.select(self.LOOK_EVERY_SECONDS):
                    source = key.fileobj
                    piece = source.recv(self._piece_bytes)
                    if not piece:
                        return
                    if source is client:
                        self._wait_for_room(len(piece))
                    connection.other_than(source).sendall(piece)
                    if source is client:
                        self._count(len(piece))
                        if self._in_step:
                            connection.wait_until_read(self._over)
        finally:
            with self._lock:
                if connection in self._open:
                    self._open.remove(connection)
        self._end(connection)

    def _wait_for_room(self, number: int) -> None:
        if self._rate:
            with self._lock:
                earliest = time.monotonic() - self.CATCH_UP_SECONDS
                self._free_at = max(self._free_at, earliest) + number / self._rate
                free_at = self._free_at
            self._over.wait(max(0, free_at - time.monotonic()))

    def _count(self, number: int) -> None:
        with self._lock:
            before, self.sent = self.sent, self.sent + number
            every = self._cut_after_bytes
            if every and before // every < self.sent // every:
                self._cut()

    def _end(self, connection: "_Connection") -> None:
        if self._in_step:
            connection.wait_until_read(self._over)
        if connection.ends_by == "silence":
            with self._lock:
                self._silent.append(connection.server.dup())
        elif connection.ends_by == "reset":
            at_once = struct.pack("ii", 1, 0)
            connection.server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)


class _Connection:
    def __init__(self, client: socket.socket, server: socket.socket):
        self.client, self.server = client, server
        self.ends_by: str | None = None  # one of BadLine.ENDS, once it is cut

    def other_than(self, side: socket.socket) -> socket.socket:
        return self.server if side is self.client else self.client

    def wait_until_read(self, over: threading.Event) -> None:
        """Until the server's program has read what lies in its system."""
        wait = 0.001
        while unread_bytes(self.server):
            if over.wait(wait):
                return
            wait = min(2 * wait, 0.02)


def unsent_bytes(client: socket.socket) -> int:
    """How many bytes the system of this side still keeps for the other one. Linux."""
    return int.from_bytes(fcntl.ioctl(client, termios.TIOCOUTQ, bytes(4)), sys.byteorder)


def unread_bytes(client: socket.socket) -> int:
    """How many of the bytes that were sent there the server's program has not read, by its system. Linux, and an IPv4
    server on this machine.
    """
    ours, theirs = (_as_in_proc(end) for end in (client.getsockname(), client.getpeername()))
    rows = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines())
    return sum(int(row[4].partition(":")[2], 16) for row in rows if row[1:3] == [theirs, ours])


def _as_in_proc(address: tuple[str, int]) -> str:
    host, port = address
    return f"{struct.unpack('=I', socket.inet_aton(host))[0]:08X}:{port:04X}"
