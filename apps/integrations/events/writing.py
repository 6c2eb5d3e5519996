"""Writes an event, and a delivery of it for each endpoint of its owner that wants it, in the caller's transaction.

Those of tickets and images are written for each photo, though few are ever read: on PostgreSQL one statement counts the
ticket's images, which the caller wants to know anyway, keeps the rows as they are and writes the deliveries. What the
event tells is made from these when somebody reads it (models/facts.py).
"""

import json
from datetime import datetime

from django.db import connection, models, transaction
from django.db.models import Count

from apps.common.db.compiled_queries import CompiledStatement, Parameter, insert_sql
from apps.common.observability.request_id import current_request_id
from apps.integrations.events.wakeup import wake_senders
from apps.integrations.models import Delivery, Endpoint, Event
from apps.integrations.models.event import new_event_id
from apps.integrations.models.facts import IMAGE_COLUMNS, MISSING_AT_MOST, TICKET_COLUMNS
from apps.integrations.models.positions import OF_TICKET
from apps.tickets.models import Image, Progress, Ticket
from apps.tickets.models.statuses import WITHOUT_A_PLACE

_TICKET = Parameter("ticket_id", models.BigIntegerField())
_IMAGE = Parameter("image_id", models.UUIDField())

STATEMENT = """
WITH counts AS MATERIALIZED (
    SELECT json_object_agg(status, number) AS by_status
    FROM (SELECT status, count(*) AS number FROM tickets_image WHERE ticket_id = %s GROUP BY status) AS counted
), event AS (
    {insert_event} FROM counts, tickets_ticket AS row_of_ticket
    CROSS JOIN LATERAL (SELECT {ticket_columns}) AS ticket
    LEFT JOIN tickets_image AS row_of_image ON row_of_image.id = %s::uuid
    LEFT JOIN LATERAL (SELECT {image_columns}) AS image ON row_of_image.id IS NOT NULL
    WHERE row_of_ticket.id = %s
    RETURNING *
), delivery AS (
    {insert_delivery} FROM event JOIN integrations_endpoint AS endpoint ON endpoint.owner_id = event.owner_id
    WHERE endpoint.enabled AND (endpoint.events = '[]' OR endpoint.events @> to_jsonb(event.type))
    FOR KEY SHARE OF endpoint  -- one that is being deleted gets no delivery, which could not be committed
    RETURNING 1
)
SELECT counts.by_status, (SELECT count(*) FROM delivery) FROM counts
"""
FACTS = """json_build_object(
    'ticket', to_json(ticket), 'image', to_json(image), 'counts', counts.by_status,
    'slot', row_of_ticket.slots -> (row_of_image.position - 1) ->> 'name',
    'missing', CASE WHEN row_of_ticket.slots <> '[]' THEN (
        SELECT json_agg(name ORDER BY place) FROM (
            SELECT slot ->> 'name' AS name, place
            FROM jsonb_array_elements(row_of_ticket.slots) WITH ORDINALITY AS places (slot, place)
            WHERE NOT EXISTS (
                SELECT FROM tickets_image
                WHERE ticket_id = row_of_ticket.id AND position = place AND status NOT IN ({without_a_place})
            ) ORDER BY place LIMIT {missing_at_most}
        ) AS first_missing
    ) END
)::text"""


def write_event(
    type: str,
    *,
    owner_id: int,
    data: dict,
    ticket_id: int | None = None,
    image_id=None,
    only_to: Endpoint | None = None,
    but: Endpoint | None = None,
) -> Event:
    """Write an event with this data, and its deliveries. Returns it. `only_to`: the one endpoint that gets it, such as
    that of a ping. `but`: one that does not, such as the one that was disabled. Raises Endpoint.DoesNotExist if
    `only_to` was deleted meanwhile.
    """
    event = Event(type=type, owner_id=owner_id, data=data, ticket_id=ticket_id, image_id=image_id)
    _write(event, only_to=only_to, but=but)
    return event


def write_event_of(ticket: Ticket, type: str, *, image: Image | None = None) -> None:
    """Write an event of this ticket, and of its image, as their rows are. The ticket must be locked, or new.

    Its progress is left in `ticket.counted`.
    """
    if connection.vendor != "postgresql":
        _write_in_steps(ticket, type, image=image)
        return
    counts, deliveries = _STATEMENT.first(
        ticket_id=ticket.pk,
        image_id=image and image.pk,
        **{"event.id": new_event_id(), "event.type": type, "event.request_id": current_request_id()},
    )
    ticket.counted = Progress.of(ticket, counts or {})
    if deliveries:
        transaction.on_commit(wake_senders, robust=True)


def _write(event: Event, *, only_to: Endpoint | None = None, but: Endpoint | None = None) -> None:
    event.save(force_insert=True)
    wanted = {"pk": only_to.pk} if only_to else {"owner_id": event.owner_id, "enabled": True}
    endpoints = Endpoint.objects.filter(**wanted).kept()
    if only_to and not endpoints:
        raise Endpoint.DoesNotExist
    deliveries = [
        Delivery(endpoint=endpoint, event=event)
        for endpoint in endpoints
        if endpoint != but and endpoint.wants(event.type)
    ]
    if deliveries:
        Delivery.objects.bulk_create(deliveries)
        transaction.on_commit(wake_senders, robust=True)


def _write_in_steps(ticket: Ticket, type: str, *, image: Image | None = None) -> None:
    """What the statement does, for SQLite."""
    then = Ticket.objects.get(pk=ticket.pk)
    image = image and Image.objects.get(pk=image.pk)
    of_ticket = Image.objects.filter(ticket=then).order_by()
    counts = dict(of_ticket.values_list("status").annotate(number=Count("pk")))
    taken = set(of_ticket.holding_a_place().values_list("position", flat=True)) if then.slots else ()
    missing = [slot["name"] for place, slot in enumerate(then.slots, start=1) if place not in taken]
    facts = {
        "ticket": {name: getattr(then, name) for name in TICKET_COLUMNS},
        "image": image and {name: getattr(image, name) for name in IMAGE_COLUMNS},
        "counts": counts,
        "slot": image and then.slot_at(image.position),
        "missing": missing[:MISSING_AT_MOST],
    }
    _write(
        Event(
            type=type,
            owner_id=then.owner_id,
            ticket_id=then.pk,
            image_id=image and image.pk,
            at=then.updated_at,
            request_id=current_request_id() or (image.request_id if image else ""),
            facts=json.dumps(facts, default=_as_json),
        )
    )
    ticket.counted = Progress.of(ticket, counts)


def _as_json(value) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _compile() -> tuple[str, list]:
    without_a_place = ", ".join(f"'{status}'" for status in WITHOUT_A_PLACE)
    insert_event, event_parameters = insert_sql(
        Event,
        position=OF_TICKET.format(version="row_of_ticket.version"),
        owner_id="row_of_ticket.owner_id",
        ticket_id="row_of_ticket.id",
        image_id="row_of_image.id",
        at="row_of_ticket.updated_at",
        request_id="coalesce(nullif(%s, ''), row_of_image.request_id, '')",
        text="NULL",
        facts=FACTS.format(without_a_place=without_a_place, missing_at_most=MISSING_AT_MOST),
    )
    insert_delivery, _ = insert_sql(
        Delivery, **{field.column: _of_new(field) for field in Delivery._meta.concrete_fields}
    )
    sql = STATEMENT.format(
        insert_event=insert_event,
        ticket_columns=", ".join(f"row_of_ticket.{column}" for column in TICKET_COLUMNS),
        image_columns=", ".join(f"row_of_image.{column}" for column in IMAGE_COLUMNS),
        insert_delivery=insert_delivery,
    )
    return sql, [_TICKET, *event_parameters, _IMAGE, _TICKET]


def _of_new(field: models.Field) -> str:
    """The SQL of what a new delivery has in this field."""
    if field.column in (computed := {"endpoint_id": "endpoint.id", "event_id": "event.id"}):
        return computed[field.column]
    if not field.has_default() and field.null:
        return "NULL"
    if isinstance(field, models.DateTimeField):
        return "event.at"
    return connection.ops.compose_sql("%s", [field.get_default()])


_STATEMENT = CompiledStatement(_compile)
