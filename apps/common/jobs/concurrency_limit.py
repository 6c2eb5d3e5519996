"""Working by turns: of the many threads of a process only a few work at a time, the others wait for one of them to end.

Python runs one thread at once. Thirty-two that all have something to do take the interpreter from each other at every
wait for a server, and spend a third of their processor time on that. A thread that waits for something slow outside,
such as a client or Cloudinary, gives its turn back meanwhile.

A turn saves work and guards nothing: whoever has waited LONGEST_WAIT_SECONDS for one goes on without.
"""

import threading
from collections import deque
from contextlib import contextmanager

LONGEST_WAIT_SECONDS = 0.5


class ConcurrencyLimit:
    """`number` threads work at a time. Who has begun goes before who has not, and otherwise who came first."""

    def __init__(self, number: int):
        self._free = number
        self._lock = threading.Lock()
        self._returning, self._arriving = deque(), deque()  # each waits for a lock of its own to be released
        self._mine = threading.local()

    @contextmanager
    def turn(self):
        """Inside, this thread has its turn; answers whether it really has, or has waited too long."""
        self._take(self._arriving)
        try:
            yield self._mine.taken
        finally:
            self._give_back()

    @contextmanager
    def away(self):
        """Inside, another may have the turn of this thread, which waits for something. Outside a turn: nothing."""
        had_one = self._give_back()
        try:
            yield
        finally:
            if had_one:
                self._take(self._returning)

    @property
    def waiting(self) -> int:
        """How many threads wait for their turn."""
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
                    handed_over = True  # in this very moment
        self._mine.taken = handed_over

    def _give_back(self) -> bool:
        """Whether there was one to give."""
        if not getattr(self._mine, "taken", False):
            return False
        self._mine.taken = False
        with self._lock:
            waiting = self._returning or self._arriving
            if waiting:
                waiting.popleft().release()
            else:
                self._free += 1
        return True
