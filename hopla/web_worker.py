"""gunicorn's threaded worker, changed in three ways: it leaves a new connection to the process that has the fewest; its
threads wait a moment for the next request on the connection that they have served; and no thread waits for a slow
client longer than a bounded time, least of all the main thread, which accepts and closes all connections.

Private parts of gunicorn 27.0.1: `gunicorn.workers.gthread.ThreadWorker._keepalive_after`, `.accept`, `.enqueue_req`,
`.finish_request`, `.handle`, `.handle_request`, `.nr_conns`, `.on_pending_socket_readable`, `.pending_conns`,
`.poller`, `.wait_for_and_dispatch_events`, `gunicorn.workers.gthread.TConn.data_ready`, `.initialized`.
"""

import select
import selectors
import socket
import time
from array import array
from collections import deque
from contextlib import suppress
from functools import partial
from mmap import mmap

from gunicorn.workers.gthread import TConn, ThreadWorker

from apps.common.http.request_body import RequestBody
from apps.common.http.slow_clients import CROWD, CROWD_SECONDS, Brief
from apps.common.http.unparsed import refuse
from apps.common.http.unread_body import read_off

# Of 16 clients that keep their connections, the busier of two processes has 8 then, and 11 or 12 without; behind nginx
# likewise. With 9, as often when one more was no reason to wait, the slowest requests take a tenth longer. Three times
# as long shares no better, and costs a fifth of the requests that come on new connections. With SO_REUSEPORT in its
# place, a process that restarts resets the connections in its queue: 1 in 130 here.
COURTESY_SECONDS = 0.001
# A thread that waits costs nothing, there are many; and a client that makes its next photo ready, or a proxy on a busy
# machine, often takes longer than a few milliseconds.
LINGER_MILLISECONDS = 30
MOST_IN_A_ROW = 16  # then it is another connection's turn, should there be more of them than threads

FIRST_BYTES_SECONDS = 7  # after connecting, until the first byte
HEAD_SECONDS = 15  # from then on, or on a kept connection from the first byte, until the head of the request is whole
UNREAD_BYTES, UNREAD_SECONDS = 64 * 1024, 5  # of a body that the application accepted but did not read whole
# After the last response, until the client closes its side: closing with unread bytes would lose the response.
CLOSING_SECONDS, CLOSING_BYTES = 2, 64 * 1024

_NO_PROCESS = 2**31 - 1
# The number of connections of each process, in shared memory that is allocated before gunicorn forks.
_connections = memoryview(mmap(-1, 64 * array("i").itemsize)).cast("i")
_connections[:] = array("i", [_NO_PROCESS] * 64)


class WebWorker(ThreadWorker):
    """gunicorn's own accepts every connection that it sees first: of 16 clients 12 may get to one process, and wait
    three times as long there as the other four. It also returns a connection to its main thread after each request,
    which waits for the next one and then wakes another thread: a twelfth of the CPU time of a photo, although a proxy
    under load, or a client on a fast line, sends the next request at once.

    As for slow clients, gunicorn's own lets a client that sends nothing occupy a thread for five seconds, and one that
    sends its head or its unread body byte by byte for ever; and its main thread waits up to two seconds for each
    connection that it closes.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.closing = deque()  # Closing, the oldest first

    def notify(self):
        """gunicorn calls this before each wait for events."""
        super().notify()
        self._end_overdue()
        _connections[_place_of(self)] = self.nr_conns if self.alive else _NO_PROCESS

    def accept(self, listener):
        """Leaves the connection to a process that has fewer, if that one accepts it within a moment."""
        if self.nr_conns > min(_connections):
            time.sleep(COURTESY_SECONDS)
        super().accept(listener)  # which does nothing if another process has accepted it

    def enqueue_req(self, conn):
        """A new connection gets a thread once the first bytes have arrived."""
        if conn.initialized or conn.data_ready or _readable(conn.sock, milliseconds=0):
            conn.data_ready = True
            super().enqueue_req(conn)
        else:
            conn.timeout = time.monotonic() + FIRST_BYTES_SECONDS
            self.pending_conns.append(conn)
            self.poller.register(conn.sock, selectors.EVENT_READ, partial(self.on_pending_socket_readable, conn))

    def handle(self, conn):
        """Serves requests on this connection. Returns True to keep it, when no further request has arrived yet."""
        for _ in range(MOST_IN_A_ROW):
            conn.head = Brief(conn.sock, seconds=HEAD_SECONDS)
            with conn.head:
                kept = super().handle(conn)
            if kept is not True or not self.alive or not _readable(conn.sock):
                break
        return kept

    def handle_request(self, req, conn):
        """The head is complete. What follows has other limits."""
        conn.head.end()
        return super().handle_request(req, conn)

    def _keepalive_after(self, conn, keepalive):
        """Whether the connection can be used for another request. gunicorn's own reads its clock once per KiB."""
        body = conn.parser.mesg.body
        return (
            keepalive
            and not body.failed
            and read_off(RequestBody.left_unread(body), conn.sock, most_bytes=UNREAD_BYTES, seconds=UNREAD_SECONDS)
        )

    def handle_error(self, req, client, addr, exc):
        with suppress(OSError):  # the client has gone
            refuse(lambda answer: super(WebWorker, self).handle_error(req, answer, addr, exc), client, exc)

    # --- Ending connections, in the main thread ---

    def finish_request(self, conn, fs):
        """gunicorn calls this when a thread has finished with a connection."""
        if not fs.cancelled() and not fs.exception() and not fs.result():
            self._begin_closing(conn)
        else:
            super().finish_request(conn, fs)

    def _begin_closing(self, conn: TConn) -> None:
        closing = Closing(conn.sock)
        if closing.is_over():
            self.nr_conns -= 1
            closing.close()
        else:
            self.closing.append(closing)
            self.poller.register(closing.sock, selectors.EVENT_READ, partial(self._go_on_closing, closing))

    def _go_on_closing(self, closing: "Closing", sock) -> None:
        if closing.is_over():
            self.closing.remove(closing)
            self._close(closing)

    def _end_overdue(self) -> None:
        """Close connections whose time is over: those that are being closed, and those that have sent nothing yet. Both
        count among the connections that a process may have, so they get less time when there are many.
        """
        now = time.monotonic()
        while self.closing and now > self.closing[0].until - _hurry(self.closing, CLOSING_SECONDS):
            self._close(self.closing.popleft())
        while self.pending_conns and now > self.pending_conns[0].timeout - _hurry(
            self.pending_conns, FIRST_BYTES_SECONDS
        ):
            self._close(self.pending_conns.popleft())

    def wait_for_and_dispatch_events(self, timeout):
        """Waits only briefly while there are connections to close in time."""
        has_deadlines = self.closing or self.pending_conns
        super().wait_for_and_dispatch_events(min(timeout, CROWD_SECONDS / 2) if has_deadlines else timeout)

    def _close(self, connection: "TConn | Closing") -> None:
        self.poller.unregister(connection.sock)
        self.nr_conns -= 1
        connection.close()


class Closing:
    """A connection to be closed once the client has closed its side, or its time is over (RFC 9112, section 9.6)."""

    def __init__(self, sock: socket.socket):
        self.sock = sock
        self.until = time.monotonic() + CLOSING_SECONDS
        self._left = CLOSING_BYTES
        self._is_over = False
        try:
            sock.setblocking(False)
            sock.shutdown(socket.SHUT_WR)
        except OSError:
            self._is_over = True  # the client has closed it

    def is_over(self) -> bool:
        """Whether it can be closed. Reads what has arrived, and never waits."""
        while not self._is_over:
            try:
                portion = self.sock.recv(16 * 1024)
            except (BlockingIOError, InterruptedError):
                return False
            except OSError:
                portion = b""
            self._left -= len(portion)
            self._is_over = not portion or self._left <= 0
        return True

    def close(self) -> None:
        with suppress(OSError):
            self.sock.close()


def forget(worker: WebWorker) -> None:
    """Call this when a process has ended: its count would stay low, and the others would leave connections to it."""
    _connections[_place_of(worker)] = _NO_PROCESS


def _place_of(worker: WebWorker) -> int:
    return worker.age % len(_connections)  # gunicorn numbers its processes since the start


def _hurry(waiting: deque, seconds: float) -> float:
    """By how much the `seconds` that each may wait are shortened."""
    return seconds - CROWD_SECONDS if len(waiting) > CROWD else 0


def _readable(sock, milliseconds: int = LINGER_MILLISECONDS) -> bool:
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(milliseconds))
