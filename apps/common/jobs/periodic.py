"""What a worker does besides its jobs. Each app registers its own work in `ready()`.

Each periodic task runs in its own thread, so that trouble in one delays no other. An unavailable server is foreseen and
logged in one line; any other error is reported with its traceback. Both are counted every time, and logged only when
they begin or change: a task that runs every second fails every second.
"""

import logging
import threading
from collections.abc import Callable

from django.db import close_old_connections, connection

from apps.common.observability import metrics, unforeseen

logger = logging.getLogger(__name__)

_tasks: dict[str, "Periodic"] = {}
_companions: dict[str, Callable[[threading.Event], None]] = {}
_sidelines: dict[str, Callable[[threading.Event], None]] = {}
_stop_hooks: dict[Callable[[], None], None] = {}  # ordered, without duplicates


def register(name: str, function: Callable[[], int | None], *, every_seconds: float) -> None:
    """Have each worker call `function` every `every_seconds`, as `Periodic` does, until it stops."""
    _tasks[name] = Periodic(name, function, every_seconds=every_seconds)


def register_companion(name: str, function: Callable[[threading.Event], None]) -> None:
    """Have each worker call `function(until)` in its own thread. `until` is set when the last job has ended."""
    _companions[name] = function


def register_sideline(name: str, function: Callable[[threading.Event], None]) -> None:
    """Have each worker call `function(stopping)` in its own thread, for work that it does beside its jobs. `stopping`
    is set when the worker takes no more jobs; then the function ends what it has begun, and returns. It has as long
    for that as a job.
    """
    _sidelines[name] = function


def on_stop(function: Callable[[], None]) -> None:
    """Have a stopping worker call `function`, perhaps repeatedly, once its jobs have used up their time: it cuts off
    what they wait for.
    """
    _stop_hooks[function] = None


def tasks() -> list["Periodic"]:
    return list(_tasks.values())


def companions() -> dict[str, Callable[[threading.Event], None]]:
    return dict(_companions)


def sidelines() -> dict[str, Callable[[threading.Event], None]]:
    return dict(_sidelines)


def call_stop_hooks() -> None:
    for function in list(_stop_hooks):
        with unforeseen.survived("worker", f"calling {function.__module__}.{function.__qualname__} at the stop"):
            function()


class Periodic:
    """One periodic task. `function` returns how much it did, and is safe to call again after any error."""

    def __init__(self, name: str, function: Callable[[], int | None], *, every_seconds: float = 1):
        self.name = name
        self._function = function
        self._every_seconds = every_seconds
        self._trouble = ""

    def attempt(self) -> int | None:
        """Run it once. Returns how much it did, or None when it failed, which is logged and counted, never raised."""
        try:
            done = self._function() or 0
        except Exception as exc:  # noqa: BLE001  `_note` logs it
            self._note(exc)
            if not connection.in_atomic_block:
                close_old_connections()  # a broken one is not usable again
            return None
        if self._trouble:
            logger.info("%s goes on", self.name)
            self._trouble = ""
        return done

    def keep_on(self, until: threading.Event, *, after_seconds: float = 0) -> None:
        """Run it every `every_seconds` until the event is set; for its own thread. After a run that did something it
        waits a second at most, since there may be more to do.
        """
        wait = after_seconds
        while not until.wait(wait):
            try:
                done = self.attempt()
            finally:
                close_old_connections()
            wait = min(self._every_seconds, 1) if done else self._every_seconds

    def _note(self, exc: Exception) -> None:
        metrics.count("hopla_periodic_failures", task=self.name)
        trouble = type(exc).__name__
        if unforeseen.is_foreseen(exc):
            if trouble != self._trouble:
                logger.warning("%s has to wait (%s)", self.name, trouble)
        elif trouble != self._trouble:
            unforeseen.report("periodic", self.name, exc)
        else:
            metrics.count("hopla_unforeseen_errors", place="periodic")
        self._trouble = trouble
