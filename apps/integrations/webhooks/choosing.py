"""Which deliveries are attempted next: those that are due, fairly among owners and endpoints.

Each endpoint has few attempts at a time, over all workers, and each owner has no more than half of what a worker can
make. So receivers that hang take some of the threads, never all; and whoever has the fewest attempts under way comes
first. Endpoints with something due are found by skipping from one to the next in the index, so that a million rows for
one of them cost what one row does.
"""

import heapq
from collections import Counter
from datetime import datetime, timedelta
from datetime import timezone as datetime_timezone
from typing import NamedTuple

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import connection, transaction
from django.db.models import Count, F, Q
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from apps.integrations.models import Delivery, DeliveryStatus, Endpoint
from apps.integrations.webhooks.leases import leases

ENDPOINT_LIMIT = 8
FAILING_ENDPOINT_LIMIT = 1  # an endpoint whose last attempt failed gets one at a time, until one succeeds
OWNER_SHARE = 0.5  # of WEBHOOK_CONCURRENCY

# The status is written out for SQLite, which uses a partial index only for a condition that it can read.
WAITING = """
WITH RECURSIVE waiting(endpoint_id) AS (
    SELECT (SELECT MIN(endpoint_id) FROM {delivery} WHERE status = 'pending')
    UNION ALL
    SELECT (SELECT MIN(endpoint_id) FROM {delivery} WHERE status = 'pending' AND endpoint_id > waiting.endpoint_id)
    FROM waiting WHERE waiting.endpoint_id IS NOT NULL
)
SELECT id, owner_id, is_failing, due_at FROM (
    SELECT
        endpoint.id, endpoint.owner_id, endpoint.failing_since IS NOT NULL AS is_failing,
        (SELECT MIN(next_try_at) FROM {delivery} WHERE status = 'pending' AND endpoint_id = endpoint.id) AS due_at
    FROM waiting
    JOIN {endpoint} endpoint ON endpoint.id = waiting.endpoint_id
    JOIN {user} owner ON owner.id = endpoint.owner_id
    WHERE endpoint.enabled AND owner.is_active AND (endpoint.not_before IS NULL OR endpoint.not_before <= %s)
) AS found WHERE due_at <= %s
"""


class Waiting(NamedTuple):
    """An endpoint with something due."""

    endpoint_id: int
    owner_id: int
    is_failing: bool
    due_at: datetime  # of the first of it


def take(most: int) -> list[Delivery]:
    """Returns up to so many deliveries, each with an attempt that has begun, its event and its endpoint. As long
    as it returns any, there may be more. Safe to run concurrently, on any host.
    """
    chosen = _fair_choice(waiting(), most)
    return _begin(chosen) if chosen else []


def waiting() -> list[Waiting]:
    """Returns the endpoints with something due that may be sent to."""
    tables = {"delivery": Delivery, "endpoint": Endpoint, "user": get_user_model()}
    quoted = {name: connection.ops.quote_name(model._meta.db_table) for name, model in tables.items()}
    now = connection.ops.adapt_datetimefield_value(timezone.now())
    with connection.cursor() as cursor:
        cursor.execute(WAITING.format(**quoted), [now, now])
        return [Waiting(*row[:-1], _moment(row[-1])) for row in cursor.fetchall()]


def _moment(value: datetime | str) -> datetime:
    """Returns the moment as PostgreSQL does, of the text that SQLite keeps."""
    return value if isinstance(value, datetime) else parse_datetime(value).replace(tzinfo=datetime_timezone.utc)


def _fair_choice(found: list[Waiting], most: int) -> Counter:
    """Returns how many attempts to begin at each of these endpoints. Again and again, whoever has the fewest under way
    gets one.
    """
    chosen = Counter()
    if not found:
        return chosen
    of_owner, of_endpoint = running()
    owner_limit = max(1, int(settings.WEBHOOK_CONCURRENCY * OWNER_SHARE))
    heap = [(of_owner[each.owner_id], of_endpoint[each.endpoint_id], each.due_at, each) for each in found]
    heapq.heapify(heap)
    while heap and chosen.total() < most:
        owners, endpoints, due_at, each = heapq.heappop(heap)
        if (owners, endpoints) != (of_owner[each.owner_id], of_endpoint[each.endpoint_id]):  # its owner got one since
            heapq.heappush(heap, (of_owner[each.owner_id], of_endpoint[each.endpoint_id], due_at, each))
        elif owners < owner_limit and endpoints < _limit(each.is_failing):
            chosen[each.endpoint_id] += 1
            of_owner[each.owner_id] += 1
            of_endpoint[each.endpoint_id] += 1
            heapq.heappush(heap, (owners + 1, endpoints + 1, due_at, each))
    return chosen


def _limit(is_failing: bool) -> int:
    return FAILING_ENDPOINT_LIMIT if is_failing else ENDPOINT_LIMIT


def running(endpoints=None) -> tuple[Counter, Counter]:
    """Returns how many attempts are under way for each owner and for each endpoint, or for each of these endpoints. One
    whose lease has ended is not under way.
    """
    of_owner, of_endpoint = Counter(), Counter()
    rows = Delivery.objects.filter(is_running=True, next_try_at__gt=timezone.now())
    if endpoints is not None:
        rows = rows.filter(endpoint__in=list(endpoints))
    rows = rows.order_by().values_list("endpoint_id", "endpoint__owner_id").annotate(number=Count("pk"))
    for endpoint_id, owner_id, number in rows:
        of_owner[owner_id] += number
        of_endpoint[endpoint_id] += number
    return of_owner, of_endpoint


def _begin(chosen: Counter) -> list[Delivery]:
    """Begin so many attempts at each endpoint, as long as its limit lets it. The locks on their rows keep workers that
    choose at the same time from passing a limit together; who finds one locked leaves the endpoint to the other.
    """
    with transaction.atomic():
        not_now = Q(enabled=False) | Q(not_before__gt=timezone.now())  # since the choice was made
        found = Endpoint.objects.filter(pk__in=list(chosen)).exclude(not_now).order_by("pk")
        endpoints = found.select_for_update(skip_locked=True, no_key=True).in_bulk()
        _, of_endpoint = running(endpoints)
        due = []
        for endpoint in endpoints.values():
            room = _limit(endpoint.failing_since is not None) - of_endpoint[endpoint.pk]
            if room > 0:
                first = _due().filter(endpoint=endpoint).order_by("next_try_at").values_list("pk", flat=True)
                due += first[: min(chosen[endpoint.pk], room)]
        # Rows that are being settled are skipped: whoever settles one may wait for its endpoint.
        locked = _due().filter(pk__in=due).order_by().select_for_update(skip_locked=True)
        pks = list(locked.values_list("pk", flat=True))
        until = timezone.now() + timedelta(seconds=leases.seconds())
        Delivery.objects.filter(pk__in=pks).update(attempts=F("attempts") + 1, is_running=True, next_try_at=until)
        begun = list(Delivery.objects.filter(pk__in=pks).order_by().select_related("event"))
    for delivery in begun:
        delivery.endpoint = endpoints[delivery.endpoint_id]
    return begun


def _due():
    return Delivery.objects.filter(status=DeliveryStatus.PENDING, next_try_at__lte=timezone.now())
