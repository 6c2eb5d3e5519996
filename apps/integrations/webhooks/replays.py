"""What is done with an endpoint and its deliveries: it is disabled, enabled, pinged, and sent again what it missed."""

from datetime import datetime, timedelta

from django.db import connection, models, transaction
from django.db.models import F, Q, QuerySet, Value
from django.utils import timezone

from apps.integrations.events.wakeup import wake_senders
from apps.integrations.events.writing import write_event
from apps.integrations.models import Delivery, DeliveryStatus, Endpoint, Event, EventType
from apps.integrations.models.endpoint import NO_FAILURES
from apps.integrations.models.event import oldest_id_at
from apps.integrations.webhooks.shown import webhook_data

# Most that one call of `recover` sends; what is left is found by the next call.
MOST_RECOVERED = 100_000
CLOCKS_DIFFER = timedelta(minutes=1)  # the time in an event's id is of its process, the event's own perhaps of the row


def enable(endpoint: Endpoint) -> None:
    """Send to the endpoint again, beginning with what has waited. Its failures are forgotten."""
    changed = {"enabled": True, "disabled_reason": "", "disabled_at": None, "not_before": None} | NO_FAILURES
    _change(endpoint, Endpoint.objects.filter(pk=endpoint.pk), changed)
    transaction.on_commit(wake_senders, robust=True)


def disable(endpoint: Endpoint, reason: str) -> bool:
    """Send nothing more to the endpoint: what is pending waits until it is enabled. Returns False if it was disabled
    already. `reason`: of DisabledReason. Its owner is told by webhooks/disabling.py where hopla itself does it.
    """
    changed = {"enabled": False, "disabled_reason": reason, "disabled_at": timezone.now()}
    return _change(endpoint, Endpoint.objects.filter(pk=endpoint.pk, enabled=True), changed)


def _change(endpoint: Endpoint, row: QuerySet, fields: dict) -> bool:
    """Update the row, and the instance likewise. Returns False if there is no such row."""
    if not row.update(**fields):
        return False
    for name, value in fields.items():
        setattr(endpoint, name, value)
    return True


def ping(endpoint: Endpoint) -> Event:
    """Send the endpoint an event that tells of nothing but itself. A disabled one gets it when it is enabled."""
    with transaction.atomic():
        return write_event(
            EventType.PING, owner_id=endpoint.owner_id, data={"webhook": webhook_data(endpoint)}, only_to=endpoint
        )


def replay(delivery: Delivery) -> bool:
    """Send it again, now and with all its retries, whatever became of it. Returns False if it is being sent."""
    at_rest = Delivery.objects.filter(pk=delivery.pk, is_running=False)
    with transaction.atomic():
        if not at_rest.update(**_anew()):
            return False
        transaction.on_commit(wake_senders, robust=True)
        delivery.refresh_from_db()
    return True


def recover(endpoint: Endpoint, since: datetime) -> int:
    """Send every event since then that the endpoint wants and has not got: that failed, waits for a retry, or was
    written while the endpoint was disabled or was not there. Returns how many. Events come back that its owner
    still has: see EVENTS_KEPT_DAYS. Raises Endpoint.DoesNotExist.
    """
    wanted = _wanted(endpoint, since)
    with transaction.atomic():
        if not Endpoint.objects.filter(pk=endpoint.pk).kept():
            raise Endpoint.DoesNotExist
        mine = Delivery.objects.filter(
            Q(status=DeliveryStatus.FAILED) | Q(status=DeliveryStatus.PENDING, next_try_at__gt=timezone.now()),
            endpoint=endpoint,
            is_running=False,
            event__in=wanted,
        )
        due = list(mine.order_by("id").values_list("pk", flat=True)[:MOST_RECOVERED])
        number = sum(
            Delivery.objects.filter(pk__in=due[start : start + 500], is_running=False).update(**_anew())
            for start in range(0, len(due), 500)
        )
        missing = wanted.exclude(deliveries__endpoint=endpoint).order_by("id")
        number += _insert_deliveries(endpoint, missing[: MOST_RECOVERED - number])
        if number:
            transaction.on_commit(wake_senders, robust=True)
    return number


def _anew() -> dict:
    """What a delivery changes to in order to begin a new round of attempts."""
    return {
        "status": DeliveryStatus.PENDING,
        "attempts_before": F("attempts"),
        "next_try_at": timezone.now(),
        "delivered_at": None,
    }


def _wanted(endpoint: Endpoint, since: datetime):
    """Returns the events since then that the endpoint wants, without those of one endpoint alone: pings, and that this
    one was disabled. Each statement looks for that again, since it may be disabled between two.
    """
    first = oldest_id_at(since - CLOCKS_DIFFER)
    events = Event.objects.filter(owner_id=endpoint.owner_id, pk__gte=first, at__gte=since)
    its_end = Q(type=EventType.WEBHOOK_DISABLED, text__regex=rf'^\{{"webhook": \{{"id": {endpoint.pk}\D')
    events = events.exclude(Q(type=EventType.PING) | its_end)
    return events.filter(type__in=endpoint.events) if endpoint.events else events


def _insert_deliveries(endpoint: Endpoint, events) -> int:
    """Insert a delivery of each of these events in one statement. Returns how many: those that another call has
    inserted meanwhile are left out.
    """
    now = Value(timezone.now(), output_field=models.DateTimeField())
    fields = {
        "endpoint": Value(endpoint.pk, output_field=models.BigIntegerField()),
        "event": F("pk"),
        "status": Value(DeliveryStatus.PENDING.value, output_field=models.CharField()),
        "attempts": Value(0),
        "attempts_before": Value(0),
        "answer": Value("", output_field=models.CharField()),
        "next_try_at": now,
        "is_running": Value(False, output_field=models.BooleanField()),
        "created_at": now,
    }
    rows = events.annotate(**{f"new_{name}": value for name, value in fields.items()})
    select, parameters = rows.values_list(*(f"new_{name}" for name in fields)).query.sql_with_params()
    quote = connection.ops.quote_name
    columns = ", ".join(quote(Delivery._meta.get_field(name).column) for name in fields)
    insert = f"INSERT INTO {quote(Delivery._meta.db_table)} ({columns}) {select} ON CONFLICT DO NOTHING"
    with connection.cursor() as cursor:
        cursor.execute(insert, parameters)
        return cursor.rowcount
