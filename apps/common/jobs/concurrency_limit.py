"""A concurrency limit: of the many threads of a process only a few work at a time, the others wait for their turn.

Python runs one thread at a time. Thirty-two busy threads take the interpreter from each other whenever one waits for a
server, and spend a third of their CPU time on that. A thread that waits for something slow and external, such as a
client or Cloudinary, gives its turn back meanwhile.

A turn saves CPU time and protects nothing: a thread that has waited LONGEST_WAIT_SECONDS for one goes on without it.
"""

import threading
from collections import deque
from contextlib import contextmanager

LONGEST_WAIT_SECONDS = 0.5


class ConcurrencyLimit:
    """Lets `number` threads work at a time. Threads that have begun go first, else it is first come, first served."""

    def __init__(self, number: int):
        self._free = number
        self._lock = threading.Lock()
        self._returning, self._arriving = deque(), deque()  # each thread waits for its own lock to be released
        self._mine = threading.local()

    @contextmanager
    def turn(self):
        """Inside, this thread has a turn. Yields True, or False if it waited too long and goes on without one."""
        self._take(self._arriving)
        try:
            yield self._mine.taken
        finally:
            self._give_back()

    @contextmanager
    def away(self):
        """Inside, this thread waits for something and lends its turn to another. Outside a turn it does nothing."""
        had_one = self._give_back()
        try:
            yield
        finally:
            if had_one:
                self._take(self._returning)

    @property
    def has_one(self) -> bool:
        """Whether this thread has a turn."""
        return getattr(self._mine, "taken", False)

    @property
    def waiting(self) -> int:
        """Returns how many threads wait for their turn."""
        return len(self._returning) + len(self._arriving)

    def _take(self, waiting: deque) -> None:
        with self._lock:
            if self._free:
                self._free -= 1
                self._mine.taken = True
                return
            gate = threading.Lock()
            gate.acquire()
            waiting.append(gate)
        handed_over = gate.acquire(timeout=LONGEST_WAIT_SECONDS)
        if not handed_over:
            with self._lock:
                if gate in waiting:
                    waiting.remove(gate)
                else:
                    handed_over = True  # just now, after the timeout
        self._mine.taken = handed_over

    def _give_back(self) -> bool:
        """Give back this thread's turn. Returns whether it had one."""
        if not self.has_one:
            return False
        self._mine.taken = False
        with self._lock:
            waiting = self._returning or self._arriving
            if waiting:
                waiting.popleft().release()
            else:
                self._free += 1
        return True
