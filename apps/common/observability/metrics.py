"""Counters and histograms over all processes of hopla, on any number of hosts.

Each process keeps its own sums and adds them to one hash in Redis every second, so that counting costs no round trip,
and any process can return the metrics of all (apps/operations/metrics_page.py). A killed process loses its last second.
A flushed Redis starts at 0 again, which Prometheus takes for a restart.
"""

import atexit
import json
import logging
import os
import threading
from bisect import bisect_left
from collections import defaultdict

from django.conf import settings
from redis.exceptions import RedisError

from apps.common.redis.client import redis_at
from apps.common.threads import Daemon

logger = logging.getLogger(__name__)

KEY = "hopla:metrics"
FLUSH_EVERY_SECONDS = 1
MOST_SERIES = 5000  # of one process; a label with unlimited values would fill the memory

COUNTERS = {
    "hopla_http_requests": ("Requests answered.", ("method", "route", "status")),
    "hopla_photos_accepted": ("Photos answered with 202.", ()),
    "hopla_photo_bytes_accepted": ("Bytes of the photos accepted.", ()),
    "hopla_photos_refused": ("Photos refused, by the code of the answer.", ("code",)),
    "hopla_resumable_uploads": ("Resumable uploads, by what became of them.", ("event",)),
    "hopla_photos_stored": ("Photos that Cloudinary holds and the ticket counts.", ()),
    "hopla_photos_failed": ("Photos that failed for good, by code.", ("code",)),
    "hopla_upload_attempts": ("Attempts to bring a photo to Cloudinary.", ()),
    "hopla_upload_retries": ("Attempts that came to nothing and are tried again, by code.", ("code",)),
    "hopla_photos_rejected": ("Photos of which staff want another, by reason.", ("reason",)),
    "hopla_tickets_approved": ("Tickets whose photos staff approved.", ()),
    "hopla_tickets_completed": ("Tickets whose last photo was stored.", ()),
    "hopla_archives": ("Archives of photos asked for, by what became of them.", ("outcome",)),
    "hopla_archive_bytes": ("Bytes of archives sent.", ()),
    "hopla_webhook_attempts": ("Attempts to deliver an event to an endpoint, by what came of them.", ("outcome",)),
    "hopla_webhooks_disabled": ("Endpoints that hopla has disabled, by reason.", ("reason",)),
    "hopla_periodic_failures": ("Failures of work that is done over and over, foreseen or not.", ("task",)),
    "hopla_unforeseen_errors": ("Errors that nobody foresaw, by the place where they were met.", ("place",)),
}
HISTOGRAMS = {
    "hopla_http_request_seconds": (
        "From the first byte of a request to its answer, the wait for its body left out.",
        ("method", "route"),
        (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
    ),
    "hopla_upload_seconds": (
        "One exchange with Cloudinary that stored a photo.",
        (),
        (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0),
    ),
    "hopla_webhook_seconds": (
        "One exchange with the receiver of an endpoint.",
        (),
        (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0),
    ),
    "hopla_photo_stored_seconds": (
        "From a photo's acceptance until it is stored.",
        (),
        (0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0),
    ),
}


def count(name: str, amount: int = 1, **labels: str) -> None:
    """Add to a counter. Its labels are those of COUNTERS, in that order."""
    _sums.add(name, labels, "", amount)


def observe(name: str, seconds: float, **labels: str) -> None:
    """Add one duration to a histogram. Its labels are those of HISTOGRAMS, in that order."""
    bounds = HISTOGRAMS[name][2]
    slot = bisect_left(bounds, seconds)
    _sums.add(name, labels, str(bounds[slot]) if slot < len(bounds) else "+Inf", 1)
    _sums.add(name, labels, "sum", seconds)


def close() -> None:
    """Flush the sums now, and not again at exit: for a process with limited time to end."""
    _sums.flush_if_possible()
    atexit.unregister(_sums.flush_if_possible)


def totals() -> dict[tuple, float]:
    """Returns the sums of all processes by (name, label values, part): part is "" for a counter, and for a histogram
    the upper bound of a bucket, not cumulative, or "sum". Raises RedisError.
    """
    _sums.flush()
    found = _redis().hgetall(KEY)
    return {_parsed(field): float(amount) for field, amount in found.items()}


def _parsed(field: bytes) -> tuple:
    name, labels, part = json.loads(field)
    return name, tuple(labels), part


class _Sums:
    """The sums of this process that Redis does not have yet."""

    def __init__(self):
        self._lock = threading.Lock()
        self._amounts = defaultdict(float)

    def add(self, name: str, labels: dict[str, str], part: str, amount: float) -> None:
        self._add((name, tuple(labels.values()), part), amount)
        if os.getpid() != _imported_by and threading.current_thread() is threading.main_thread():
            self.flush_if_possible()  # the child that RQ's own worker forks for a job: it runs no exit handlers
        elif _flusher.ensure_started():
            atexit.register(self.flush_if_possible)

    def _add(self, key: tuple, amount: float) -> None:
        with self._lock:
            if key in self._amounts or len(self._amounts) < MOST_SERIES:
                self._amounts[key] += amount

    def flush(self) -> None:
        """Add the sums to those in Redis. On RedisError, which it raises, they are kept for the next time."""
        with self._lock:
            amounts, self._amounts = self._amounts, defaultdict(float)
        if not amounts:
            return
        try:
            with _redis().pipeline(transaction=True) as pipeline:
                for key, amount in amounts.items():
                    pipeline.hincrbyfloat(KEY, json.dumps(key), amount)
                pipeline.execute()
        except RedisError:
            with self._lock:
                for key, amount in amounts.items():
                    self._amounts[key] += amount
            raise

    def flush_if_possible(self) -> None:
        try:
            self.flush()
        except RedisError:
            return  # code that needs Redis for more than counting logs that it is unavailable
        except Exception as exc:  # noqa: BLE001  `report` logs it
            self.report(exc)

    def report(self, exc: Exception) -> None:
        """Do what `unforeseen.report` does, which imports this module. It never flushes, which may fail again."""
        logger.error("metrics cannot be added up", exc_info=exc)
        self._add(("hopla_unforeseen_errors", ("metrics",), ""), 1)


_imported_by = os.getpid()
_sums = _Sums()
_flusher = Daemon("metrics", _sums.flush_if_possible, every_seconds=FLUSH_EVERY_SECONDS, on_error=_sums.report)
os.register_at_fork(after_in_child=_sums.__init__)  # what was added up before belongs to the parent


def _redis():
    return redis_at(settings.REDIS_URL)
