"""gunicorn's threaded worker, whose threads wait a moment for the next request of the connection they have answered."""

import select

from gunicorn.workers.gthread import ThreadWorker

LINGER_MILLISECONDS = 5
MOST_IN_A_ROW = 16  # then it is another connection's turn, should there be more of them than threads


class LingeringWorker(ThreadWorker):
    """gunicorn's own gives every connection back to its main thread, which waits for a request and then wakes another
    thread: a twelfth of what a photo takes. A proxy under load, or a client on a good line, sends the next one at once.
    """

    def handle(self, conn):
        """Answers requests of this connection. True: it is to be kept, and nothing more has come by now."""
        for _ in range(MOST_IN_A_ROW):
            kept = super().handle(conn)
            if kept is not True or not self.alive or not _readable(conn.sock):
                break
        return kept


def _readable(sock) -> bool:
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(LINGER_MILLISECONDS))
