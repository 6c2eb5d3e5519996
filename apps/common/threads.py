"""Daemon threads, which run beside the requests or jobs of a process, also after it has forked."""

import os
import threading
import time
import weakref
from collections.abc import Callable

AGAIN_AFTER_SECONDS = 1  # after an error


def start(name: str, function: Callable, *arguments, on_error: Callable[[Exception], None]) -> threading.Thread:
    """Call `function` in a daemon thread, which ends when the function returns.

    An error that it raises is passed to `on_error`, and it is called again a moment later: otherwise the thread would
    end unnoticed.
    """

    def keep_calling():
        while True:
            try:
                return function(*arguments)
            except Exception as exc:  # noqa: BLE001  on_error reports it
                on_error(exc)
            time.sleep(AGAIN_AFTER_SECONDS)

    thread = threading.Thread(target=keep_calling, name=name, daemon=True)
    thread.start()
    return thread


class Daemon:
    """Calls `function` every `every_seconds` in one daemon thread of this process, once `ensure_started` was called.

    Call `ensure_started` whenever there is work: a forked process has none of its parent's threads and starts its own.
    """

    def __init__(
        self,
        name: str,
        function: Callable[[], object],
        *,
        every_seconds: float,
        on_error: Callable[[Exception], None],
    ):
        self._name, self._function, self._on_error = name, function, on_error
        self.every_seconds = every_seconds
        self._forget_thread()
        _daemons.add(self)

    def ensure_started(self) -> bool:
        """Returns whether this call started the thread."""
        if self._is_started:
            return False
        with self._starting:
            if self._is_started:
                return False
            start(self._name, self._keep_on, on_error=self._on_error)
            self._is_started = True
        return True

    def _keep_on(self) -> None:
        while True:
            time.sleep(self.every_seconds)
            self._function()

    def _forget_thread(self) -> None:
        self._is_started = False
        self._starting = threading.Lock()  # the parent's may be held by a thread that the fork has not copied


def _forget_threads_of_parent() -> None:
    for daemon in _daemons:
        daemon._forget_thread()


_daemons: weakref.WeakSet[Daemon] = weakref.WeakSet()
os.register_at_fork(after_in_child=_forget_threads_of_parent)
