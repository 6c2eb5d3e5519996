"""gunicorn's threaded worker with two habits of its own: it leaves a new connection to the process that has the fewest,
and its threads wait a moment for the next request of the connection they have answered.
"""

import select
import time
from array import array
from mmap import mmap

from gunicorn.workers.gthread import ThreadWorker

COURTESY_MILLISECONDS = 3
LINGER_MILLISECONDS = 5
MOST_IN_A_ROW = 16  # then it is another connection's turn, should there be more of them than threads

_NO_PROCESS = 2**31 - 1
# How many connections each process has, in memory that they share: it is made before gunicorn forks.
_connections = memoryview(mmap(-1, 64 * array("i").itemsize)).cast("i")
_connections[:] = array("i", [_NO_PROCESS] * 64)


class WebWorker(ThreadWorker):
    """gunicorn's own takes whatever connection it is the first to see: of 16 clients 12 may come to one process, and
    wait three times as long there as the other four. It also gives a connection back to its main thread after each
    request, which waits for the next one and then wakes another thread: a twelfth of what a photo takes, and a proxy
    under load, or a client on a good line, sends the next one at once.
    """

    def notify(self):
        """gunicorn calls this before each wait for something to happen."""
        super().notify()
        _connections[_place_of(self)] = self.nr_conns if self.alive else _NO_PROCESS

    def accept(self, listener):
        """Leaves the connection to a process that has at least two fewer, if that takes it within a moment."""
        for _ in range(COURTESY_MILLISECONDS):
            if self.nr_conns <= min(_connections) + 1:
                break
            time.sleep(0.001)
        super().accept(listener)  # which does nothing if the connection has gone

    def handle(self, conn):
        """Answers requests of this connection. True: it is to be kept, and nothing more has come by now."""
        for _ in range(MOST_IN_A_ROW):
            kept = super().handle(conn)
            if kept is not True or not self.alive or not _readable(conn.sock):
                break
        return kept


def forget(worker: WebWorker) -> None:
    """To be called when a process has ended. It would have few connections for ever, and the others wait for it."""
    _connections[_place_of(worker)] = _NO_PROCESS


def _place_of(worker: WebWorker) -> int:
    return worker.age % len(_connections)  # gunicorn numbers its processes since the start


def _readable(sock) -> bool:
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(LINGER_MILLISECONDS))
