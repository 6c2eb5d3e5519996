"""The stats on the admin's first page: what the person on call wants to know within a minute.

Every query reads only rows that are in progress or recent (apps/tickets/stats.py), and Redis is asked for a handful of
keys. While Redis is unavailable the page says so, and shows the rest.
"""

import logging
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta

import redis
from django.conf import settings
from django.utils import timezone
from rq import Queue
from rq.job import Job

from apps.common.jobs.queue import default_queue
from apps.common.jobs.worker import live_workers
from apps.integrations.webhooks import stats as webhook_stats
from apps.operations.health import look_around
from apps.tickets import stats
from apps.tickets.delivery.pause import Pause, current_pause
from apps.tickets.staging import servers as staging_servers
from apps.tickets.staging import store

logger = logging.getLogger(__name__)

PERMISSION = "tickets.view_image"
JOBS_LOOKED_AT = 1000  # of the started jobs, to count them by worker
REVIEWS_COUNTED = 100
PLOT_HEIGHT = 100
BAR_WIDTH = 10


@dataclass(frozen=True)
class WorkerStats:
    name: str
    key: str  # in Redis; the RQ dashboard has it in its URLs
    host: str
    jobs_running: int
    jobs_done: int
    jobs_failed: int
    last_heartbeat_at: datetime


@dataclass(frozen=True)
class QueueStats:
    waiting: int
    workers: list[WorkerStats]
    pause: Pause | None


@dataclass(frozen=True)
class StagingStats:
    """Of one server."""

    name: str
    used: int | None  # bytes; None while it does not answer
    limit: int  # bytes


@dataclass(frozen=True)
class Bar:
    """One minute in the plot, in its own coordinates: PLOT_HEIGHT high, 0 at the top."""

    minute: datetime
    photos: int
    x: int
    y: int
    height: int


@dataclass(frozen=True)
class Plot:
    bars: list[Bar]
    width: int
    height: int = PLOT_HEIGHT

    @property
    def photos(self) -> int:
        return sum(bar.photos for bar in self.bars)

    @property
    def peak(self) -> int:
        return max(bar.photos for bar in self.bars)


def dashboard_for(user) -> dict:
    """The template's context; empty for a user who may not see photos."""
    if not user.has_perm(PERMISSION):
        return {}
    checks = look_around().checks
    return {
        "checks": checks,
        "in_flight": stats.in_flight(),
        "failed_in_a_day": stats.failed_since(timezone.now() - timedelta(days=1)),
        "reviews": stats.waiting_for_review(at_most=REVIEWS_COUNTED + 1),
        "reviews_counted": REVIEWS_COUNTED,
        "last_error": stats.last_upload_error(),
        "plot": plot_of(stats.stored_by_minute()),
        "webhooks": webhook_stats.waiting(),
        "queue": queue_stats() if checks["redis"] == "ok" else None,
        "staging": staging_stats() if checks["staging"] == "ok" else None,
    }


def queue_stats() -> QueueStats | None:
    """None when Redis is unavailable."""
    try:
        queue = default_queue()
        running = running_jobs(queue)
        return QueueStats(
            waiting=queue.count,
            workers=[
                WorkerStats(
                    name=worker.name,
                    key=worker.key,
                    host=f"{worker.hostname} ({worker.pid})",
                    jobs_running=running[worker.name],
                    jobs_done=worker.successful_job_count,
                    jobs_failed=worker.failed_job_count,
                    last_heartbeat_at=worker.last_heartbeat,
                )
                for worker in sorted(live_workers(queue.connection), key=lambda worker: worker.name)
            ],
            pause=current_pause(),
        )
    except redis.RedisError as error:
        logger.warning("no stats of the queue: %r", error)
        return None


def running_jobs(queue: Queue) -> Counter:
    """How many jobs each worker is running, by its name."""
    started = queue.started_job_registry.get_job_ids(0, JOBS_LOOKED_AT - 1, cleanup=False)
    with queue.connection.pipeline(transaction=False) as pipeline:
        for job_id in started:
            pipeline.hget(Job.key_for(job_id), "worker_name")
        return Counter(name.decode() for name in pipeline.execute() if name)


def staging_stats() -> list[StagingStats]:
    """Of each server of staging."""
    stats = []
    for server, answer in staging_servers.answers(store.bytes_in_use).items():
        if isinstance(answer, redis.RedisError):
            logger.warning("no stats of staging %s: %r", server.name, answer)
            answer = None
        stats.append(StagingStats(name=server.name, used=answer, limit=settings.STAGING_MAX_BYTES))
    return stats


def plot_of(by_minute: list[tuple[datetime, int]]) -> Plot:
    """A bar for each minute, the highest as high as the plot; a minute with only one photo is still visible."""
    peak = max(photos for _, photos in by_minute) or 1
    heights = [max(PLOT_HEIGHT * photos // peak, 2 if photos else 0) for _, photos in by_minute]
    bars = [
        Bar(minute=minute, photos=photos, x=number * BAR_WIDTH, y=PLOT_HEIGHT - height, height=height)
        for number, ((minute, photos), height) in enumerate(zip(by_minute, heights, strict=True))
    ]
    return Plot(bars, width=BAR_WIDTH * len(bars))
