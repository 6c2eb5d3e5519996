"""The health of endpoints: since when one has failed, and when hopla disables it and tells its owner."""

from datetime import timedelta

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from apps.common.observability import metrics
from apps.integrations.events.writing import write_event
from apps.integrations.models import DisabledReason, Endpoint, EventType
from apps.integrations.models.endpoint import NO_FAILURES
from apps.integrations.webhooks import emails, replays
from apps.integrations.webhooks.shown import webhook_data

# As Svix does: after five days without a success, with several failures that are half a day apart. Two days without
# one, as nothing was sent, begin the count anew.
FAILING_FOR = timedelta(hours=120)
FAILURES_APART = timedelta(hours=12)
FAILURES = 4
FORGOTTEN_AFTER = timedelta(hours=48)
# A busy endpoint's row is not written at each success.
SUCCESS_PRECISION = timedelta(minutes=1)


def note_success(endpoint: Endpoint) -> None:
    now = timezone.now()
    if endpoint.failing_since is None and _is_recent(endpoint.last_success_at, now):
        return
    stale = Q(failing_since__isnull=False) | Q(last_success_at=None) | Q(last_success_at__lt=now - SUCCESS_PRECISION)
    Endpoint.objects.filter(stale, pk=endpoint.pk).update(last_success_at=now, **NO_FAILURES)


def _is_recent(moment, now) -> bool:
    return moment is not None and moment > now - SUCCESS_PRECISION


def note_failure(endpoint: Endpoint) -> None:
    """Count the failure, and disable the endpoint if it was one too many. In the transaction that records it."""
    now = timezone.now()
    mine = Endpoint.objects.filter(pk=endpoint.pk)
    row = mine.values_list("failing_since", "failed_at", "failures").first()
    if row is None:
        return
    failing_since, failed_at, failures = row
    guarded = mine.filter(failing_since=failing_since, failed_at=failed_at)  # of two at once, one counts
    if failing_since is None or failed_at is None or now - failed_at > FORGOTTEN_AFTER:
        guarded.update(failing_since=now, failed_at=now, failures=1)
        return
    if now - failed_at >= FAILURES_APART and guarded.update(failed_at=now, failures=failures + 1):
        failures += 1
    if now - failing_since >= FAILING_FOR and failures >= FAILURES:
        disable_and_tell(endpoint, DisabledReason.FAILING)


def disable_and_tell(endpoint: Endpoint, reason: str) -> None:
    """Disable the endpoint, and tell its owner once: by e-mail, in the feed, and by the other endpoints."""
    with transaction.atomic():
        if not replays.disable(endpoint, reason):
            return
        write_event(
            EventType.WEBHOOK_DISABLED,
            owner_id=endpoint.owner_id,
            data={"webhook": webhook_data(endpoint)},
            but=endpoint,
        )
        emails.tell_that_it_was_disabled(endpoint)
        transaction.on_commit(lambda: metrics.count("hopla_webhooks_disabled", reason=str(reason)), robust=True)
