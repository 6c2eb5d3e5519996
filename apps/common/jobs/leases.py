"""The lease of an attempt: how long it runs before other workers consider it lost.

An attempt is a row that is marked as running, and one of the row's columns says until when. A worker that renews the
leases of its attempts (`keep`) takes short ones: when it is killed, they are taken over within LEASE_SECONDS, and not
only when the longest attempt would have ended. A process that runs jobs without renewing, such as RQ's own worker,
takes leases as long as an attempt may last.
"""

import threading
from collections.abc import Callable
from contextlib import contextmanager
from datetime import timedelta

from django.db import transaction
from django.db.models import Model, QuerySet
from django.utils import timezone

from apps.common.jobs.periodic import Periodic

LEASE_SECONDS = 15
PROLONG_EVERY_SECONDS = 3


class Leases:
    """The leases of the attempts of one table.

    `running`: its rows that are marked as running. `column`: until when a lease lasts. `attempt_seconds`: the longest
    that an attempt may take, until its outcome is recorded.
    """

    def __init__(
        self,
        name: str,
        *,
        running: Callable[[], QuerySet],
        column: str,
        attempt_seconds: Callable[[], float],
    ):
        self._running, self._column, self._attempt_seconds = running, column, attempt_seconds
        # The running attempts of this process, by row and number: one may be overtaken by another in the same process.
        self._held: set[tuple] = set()
        self._kept = threading.Event()
        # While the database is unavailable, no worker can take over an attempt either.
        self._prolonging = Periodic(name, self.prolong, every_seconds=PROLONG_EVERY_SECONDS)

    def seconds(self) -> float:
        """Returns the lease of an attempt that begins now."""
        return min(LEASE_SECONDS, self._attempt_seconds()) if self._kept.is_set() else self._attempt_seconds()

    @contextmanager
    def held(self, row: Model):
        """Inside, this process holds the lease of the row's attempt, which is numbered by its `attempts`."""
        attempt = (row.pk, row.attempts)
        self._held.add(attempt)
        try:
            yield
        finally:
            self._held.discard(attempt)

    def prolong(self) -> int:
        """Renew the leases of all running attempts of this process. Returns how many. If another worker has taken over
        an attempt, this renews that worker's lease, for no longer than its own attempt lasts.
        """
        if not self._held:
            return 0
        with transaction.atomic():
            # Locked rows are being settled. Waiting for them while holding other locks could deadlock: cancelling a
            # ticket locks its images in another order.
            running = self._running().filter(pk__in={pk for pk, _ in self._held.copy()})
            mine = list(running.order_by().select_for_update(skip_locked=True).values_list("pk", flat=True))
            moment = timezone.now() + timedelta(seconds=self.seconds())
            return self._running().model.objects.filter(pk__in=mine).update(**{self._column: moment})

    def keep(self, until: threading.Event) -> None:
        """Renew the leases every PROLONG_EVERY_SECONDS until the event is set; for its own thread, so nothing delays
        it.
        """
        self._kept.set()
        try:
            self._prolonging.keep_on(until, after_seconds=PROLONG_EVERY_SECONDS)
        finally:
            self._kept.clear()
