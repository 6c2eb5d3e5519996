"""/metrics, for Prometheus: counters and histograms (apps/common/observability/metrics.py), and the current state.

Requests need `Authorization: Bearer <METRICS_TOKEN>`; without that setting the page is 404. What cannot be read,
because the database or Redis is unavailable, is left out, and `hopla_up` says so: a page that fails would hide the
rest.
"""

import hmac
import logging
from collections import defaultdict
from collections.abc import Iterator

import redis
from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection
from django.db.models import Count, Q
from django.http import HttpResponse
from django.utils.timezone import now
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from psycopg_pool import PoolTimeout

from apps.common.jobs.queue import default_queue
from apps.common.jobs.worker import live_workers
from apps.common.mail.outbox import CHECK_AGAIN_AFTER, EmailState
from apps.common.observability import metrics
from apps.common.observability.unforeseen import PLACES
from apps.guests.models import GuestEmail
from apps.integrations.models import DisabledReason, WebhookEmail
from apps.integrations.webhooks import stats as webhook_stats
from apps.integrations.webhooks.outcomes import OUTCOMES as WEBHOOK_OUTCOMES
from apps.support.models import Email
from apps.tickets import stats
from apps.tickets.delivery.pause import current_pause
from apps.tickets.handover.archive import OUTCOMES
from apps.tickets.lifecycle.outcomes import ERROR_CODES
from apps.tickets.models import AssetRemoval
from apps.tickets.models.statuses import ImageStatus, RejectionReason
from apps.tickets.resumable.finishing import EVENTS
from apps.tickets.staging import servers as staging_servers
from apps.tickets.staging import store

logger = logging.getLogger(__name__)

# Label values that exist before they are counted: `increase` misses the value with which a series begins.
FROM_THE_BEGINNING = {
    name: [(code,) for code in ERROR_CODES] for name in ("hopla_photos_failed", "hopla_upload_retries")
} | {
    "hopla_unforeseen_errors": [(place,) for place in PLACES],
    "hopla_archives": [(outcome,) for outcome in OUTCOMES],
    "hopla_resumable_uploads": [(event,) for event in EVENTS],
    "hopla_photos_rejected": [(reason,) for reason in RejectionReason.values],
    "hopla_webhook_attempts": [(outcome,) for outcome in WEBHOOK_OUTCOMES],
    "hopla_webhooks_disabled": [(DisabledReason.GONE,), (DisabledReason.FAILING,)],
}


@never_cache
@require_safe
def metrics_page(request):
    if not settings.METRICS_TOKEN:
        return HttpResponse("METRICS_TOKEN is not set.\n", status=404, content_type="text/plain")
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not hmac.compare_digest(token.encode(), settings.METRICS_TOKEN.encode()):
        return HttpResponse(
            "Authorization: Bearer and METRICS_TOKEN, please.\n",
            status=401,
            content_type="text/plain",
            headers={"WWW-Authenticate": "Bearer"},
        )
    registry = CollectorRegistry()
    registry.register(Collector())
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


class Collector:
    """All of hopla's metrics, for one scrape."""

    def describe(self) -> list[Metric]:
        return []  # otherwise registering it would collect once in vain

    def collect(self) -> Iterator[Metric]:
        up = GaugeMetricFamily("hopla_up", "Whether this part could be asked.", labels=["part"])
        for part, collect, trouble in (
            ("redis", collect_redis, redis.RedisError),
            ("staging", collect_staging, redis.RedisError),
            ("database", collect_database, (DatabaseError, InterfaceError, PoolTimeout)),
        ):
            try:
                yield from collect()
                up.add_metric([part], 1)
            except trouble as error:
                logger.warning("metrics: %s cannot be asked, %s", part, type(error).__name__)
                up.add_metric([part], 0)
        yield up


def collect_redis() -> Iterator[Metric]:
    yield from counted(metrics.totals())
    queue = default_queue()
    jobs = GaugeMetricFamily("hopla_queue_jobs", "Jobs in RQ's queue, by state.", labels=["state"])
    jobs.add_metric(["queued"], queue.count)
    jobs.add_metric(["started"], queue.started_job_registry.get_job_count(cleanup=False))
    jobs.add_metric(["failed"], queue.failed_job_registry.get_job_count(cleanup=False))
    yield jobs
    yield gauge("hopla_workers", "Workers alive.", len(live_workers(queue.connection)))
    yield gauge("hopla_uploads_paused", "1 while every upload waits for Cloudinary.", int(current_pause() is not None))


def collect_staging() -> Iterator[Metric]:
    """By server. Raises RedisError in the end when none answers."""
    taken = GaugeMetricFamily("hopla_staging_bytes", "Photo bytes on their way.", labels=["server"])
    limit = GaugeMetricFamily("hopla_staging_max_bytes", "The most of them that are let in.", labels=["server"])
    up = GaugeMetricFamily("hopla_staging_up", "Whether this server of staging could be asked.", labels=["server"])
    answers = staging_servers.answers(store.bytes_in_use)
    for server, answer in answers.items():
        answered = not isinstance(answer, redis.RedisError)
        up.add_metric([server.name], int(answered))
        if answered:
            taken.add_metric([server.name], answer)
            limit.add_metric([server.name], settings.STAGING_MAX_BYTES)
    yield from (taken, limit, up)
    if not taken.samples:
        raise next(iter(answers.values()))


def collect_database() -> Iterator[Metric]:
    """Each query reads only what is in progress, or a partial index, however many images are stored."""
    try:
        found = stats.in_flight()
        waiting = GaugeMetricFamily("hopla_photos_waiting", "Photos accepted and not settled.", labels=["status"])
        waiting.add_metric([ImageStatus.QUEUED], found.ready + found.waiting)
        waiting.add_metric([ImageStatus.UPLOADING], found.uploading)
        yield waiting
        oldest = (now() - found.oldest_accepted_at).total_seconds() if found.oldest_accepted_at else 0
        yield gauge("hopla_photos_oldest_waiting_seconds", "Since the oldest of them was accepted.", oldest)
        emails = GaugeMetricFamily("hopla_emails", "E-mails that should have been sent by now.", labels=["state"])
        soon = Q(due_at__lte=now() + CHECK_AGAIN_AFTER) | Q(attempts__gt=0)  # not those that are planned for later
        for state, which in ((EmailState.QUEUED, soon), (EmailState.FAILED, Q())):
            number = sum(
                model.objects.filter(which, state=state).count() for model in (Email, GuestEmail, WebhookEmail)
            )
            emails.add_metric([state], number)
        yield emails
        due, refused = Q(due_at__lte=now()), Q(attempts__gt=0)
        removals = AssetRemoval.objects.aggregate(due=Count("pk", filter=due), refused=Count("pk", filter=refused))
        yield gauge("hopla_asset_removals_due", "Assets that should have gone from Cloudinary by now.", removals["due"])
        yield gauge(
            "hopla_asset_removals_refused", "Assets that Cloudinary was asked in vain to remove.", removals["refused"]
        )
        yield gauge("hopla_webhooks_waiting", "Deliveries pending, up to 100,000 of them.", webhook_stats.waiting())
        yield gauge(
            "hopla_webhooks_overdue_seconds",
            "Since the first delivery was due that no worker has begun.",
            webhook_stats.overdue_seconds(),
        )
    finally:
        if not connection.in_atomic_block:
            connection.close()


def gauge(name: str, documentation: str, value: float) -> Metric:
    return GaugeMetricFamily(name, documentation, value=value)


def counted(totals: dict[tuple, float]) -> Iterator[Metric]:
    """The counters and histograms, with 0 where their labels are known: Prometheus has to see a series begin."""
    by_name = defaultdict(lambda: defaultdict(dict))
    for (name, labels, part), amount in totals.items():
        by_name[name][labels][part] = amount
    for name, (documentation, labels) in metrics.COUNTERS.items():
        family = CounterMetricFamily(name, documentation, labels=labels)
        at_zero = {values: {} for values in FROM_THE_BEGINNING.get(name, () if labels else [()])}
        for values, parts in (at_zero | by_name[name]).items():
            family.add_metric(values, parts.get("", 0))
        yield family
    for name, (documentation, labels, bounds) in metrics.HISTOGRAMS.items():
        family = HistogramMetricFamily(name, documentation, labels=labels)
        for values, parts in (by_name[name] or ({} if labels else {(): {}})).items():
            family.add_metric(values, _cumulated(parts, [*map(str, bounds), "+Inf"]), parts.get("sum", 0))
        yield family


def _cumulated(parts: dict[str, float], bounds: list[str]) -> list[tuple[str, float]]:
    sums, total = [], 0
    for bound in bounds:
        total += parts.get(bound, 0)
        sums.append((bound, total))
    return sums
