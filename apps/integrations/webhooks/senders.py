"""The part of a worker that sends webhooks: one thread looks for what is due, and gives each attempt one of its own.

It is apart from the jobs, so that photos never wait for a receiver. It looks when it is woken (events/wakeup.py), when
an attempt has ended, and every second.
"""

import threading
import time
from collections.abc import Callable
from functools import partial

from django.conf import settings
from redis.exceptions import RedisError

from apps.common import threads
from apps.common.db.release import release_connection
from apps.common.jobs.periodic import Periodic
from apps.common.observability import unforeseen
from apps.integrations.events.wakeup import wait_for_a_call
from apps.integrations.models import Delivery
from apps.integrations.webhooks import choosing
from apps.integrations.webhooks.sending import attempt

LOOK_EVERY_SECONDS = 1
LOOK_AT_MOST_EVERY_SECONDS = 0.02


class Senders:
    """Sends what is due, up to WEBHOOK_CONCURRENCY deliveries at a time. `send`: makes an attempt that has begun."""

    def __init__(self, send: Callable[[Delivery], object] = attempt):
        self._send = send
        self._woken = threading.Event()
        self._lock = threading.Lock()
        self._threads: set[threading.Thread] = set()
        self._looking = Periodic("sending webhooks", self._look)

    def work(self, stopping: threading.Event) -> None:
        """Send until the event is set, and until the attempts under way have ended then."""
        report = partial(unforeseen.report, "webhooks", "waking up the senders")
        threads.start("webhooks-wakeup", self._listen, stopping, on_error=report)
        threads.start("webhooks-stop", self._wake_at, stopping, on_error=report)
        while not stopping.is_set():
            self._woken.clear()
            found = self._looking.attempt()
            if found:
                time.sleep(LOOK_AT_MOST_EVERY_SECONDS)
            else:
                self._woken.wait(LOOK_EVERY_SECONDS)
        for thread in self._under_way():
            thread.join()

    def _look(self) -> int:
        """Begin attempts for what is due, as long as there are threads. Returns how many."""
        free = settings.WEBHOOK_CONCURRENCY - len(self._under_way())
        if free <= 0:
            return 0
        try:
            taken = choosing.take(free)
        finally:
            release_connection()
        for delivery in taken:
            thread = threading.Thread(target=self._run, args=[delivery], name="webhook", daemon=True)
            with self._lock:
                self._threads.add(thread)
            thread.start()
        return len(taken)

    def _run(self, delivery: Delivery) -> None:
        try:
            with unforeseen.survived("webhooks", f"delivering {delivery}"):  # its lease ends, and it is sent again
                self._send(delivery)
        finally:
            with self._lock:
                self._threads.discard(threading.current_thread())
            self._woken.set()

    def _under_way(self) -> list[threading.Thread]:
        with self._lock:
            return list(self._threads)

    def _listen(self, stopping: threading.Event) -> None:
        while not stopping.is_set():
            try:
                if wait_for_a_call():
                    self._woken.set()
            except RedisError:
                stopping.wait(LOOK_EVERY_SECONDS)

    def _wake_at(self, stopping: threading.Event) -> None:
        stopping.wait()
        self._woken.set()


def send_webhooks(stopping: threading.Event) -> None:
    """What a worker does beside its jobs until it stops."""
    Senders().work(stopping)
