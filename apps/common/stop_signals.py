"""The signals that end a program: SIGTERM, and Ctrl-C."""

import signal
import time

LOOK_EVERY_SECONDS = 0.1


class StopSignals:
    """Catches them from now on; for the main thread of a program that has nothing else to do.

    `wait` looks up now and then, for Python runs handlers in the main thread alone: on a busy machine the system gives
    about one signal in thirty to another thread, and a wait without an end, such as `Event.wait()`, then goes on.
    """

    def __init__(self):
        self._is_asked = False
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, self._remember)

    def wait(self) -> None:
        """Returns once one of them has come."""
        while not self._is_asked:
            time.sleep(LOOK_EVERY_SECONDS)

    def _remember(self, number, frame):
        self._is_asked = True
