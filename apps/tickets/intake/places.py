"""A new photo takes a place of its ticket: that of the slot it is for, or the first that is free and has no name.

On PostgreSQL one statement is the fast path, for the common photo, which takes the position after the last, and for
that of a slot. The statement may wait for the ticket, and sees the rows as of its start; then the unique constraint, or
the ticket's status, keeps it from taking a place. So where many photos of one ticket come side by side, it runs once
the ticket is locked, both in one round trip. On the slow path, for a place that was freed, the position is decided
under the ticket's lock, and the same statement runs again with it. SQLite has no row locks: there the transaction is
the lock, and each part its own statement.
"""

import time
from enum import Enum
from functools import cache, partial

from django.contrib.postgres.aggregates import ArrayAgg
from django.db import DEFAULT_DB_ALIAS, connections, models, transaction
from django.db.models import Case, Count, F, Max, OuterRef, Q, Subquery, When
from django.db.models.expressions import RawSQL
from django.utils import timezone

from apps.common.db.compiled_queries import (
    CompiledQuery,
    CompiledStatement,
    Parameter,
    insert,
    insert_sql,
    select_sql,
    update_sql,
    values_to_insert,
)
from apps.common.db.json_rows import JsonRows
from apps.common.observability.request_id import current_requester
from apps.tickets.errors import (
    SlotRequiredError,
    SlotTakenError,
    TicketCancelledError,
    TicketCompletedError,
    TicketExpiredError,
    TicketFullError,
)
from apps.tickets.lifecycle.executor import NOW
from apps.tickets.lifecycle.moves import TICKET_MOVES, begin
from apps.tickets.models import Image, Ticket, Transition
from apps.tickets.models.statuses import OPEN_TICKET, TicketStatus
from apps.tickets.models.transition import acting_as, log_transition, new_move

TAKE = """
WITH seen AS MATERIALIZED (
    {seen}
), held AS (
    {held}
), place AS (
    SELECT seen.*, twins[1] AS twin, coalesce(%s::integer, CASE
        WHEN slots <> '[]' THEN NULL WHEN taken IS NULL THEN 1 WHEN taken = last THEN last + 1 END) AS position
    FROM seen LEFT JOIN held ON true WHERE coalesce(taken, 0) < num_images
), ticket AS (
    {update_ticket} RETURNING id
), image AS (
    {insert_image} FROM ticket, place
    ON CONFLICT DO NOTHING
    RETURNING position, duplicate_of_id
), transition AS (
    {insert_transition} FROM image, place WHERE place.status = '{pending}'
)
SELECT place.status, place.owner_id, place.position, image.position, image.duplicate_of_id
FROM place LEFT JOIN image ON true
"""
# For so long after a photo lost its place to another the next ones of that ticket lock it first.
CONTENDED_SECONDS = 2
MOST_CONTENDED = 1000  # tickets that this process remembers
# What a new photo has not been through. Not as parameters: psycopg reads a statement with more than 50 of them anew
# each time that it is run.
NOT_YET = {
    **dict.fromkeys(("asset_id", "asset_format", "error_code", "error_detail"), "''"),
    **dict.fromkeys(("rejection_reason", "rejection_note", "md5"), "''"),
    **dict.fromkeys(("attempts", "attempts_uncounted"), "0"),
    **dict.fromkeys(("asset_version", "next_retry_at", "stored_at", "rejected_at", "upload_expires_at"), "NULL"),
}
IS_OPEN = Q(status__in=OPEN_TICKET) & (Q(expires_at=None) | Q(expires_at__gt=NOW))

_TICKET_ID = Parameter("ticket_id", models.BigIntegerField())
_POSITION = Parameter("position", models.PositiveIntegerField())


def places_taken(path: str = "") -> Subquery:
    """Returns an expression for a query that has a ticket at `path`: the number of places taken, null for none."""
    images = Image.objects.holding_a_place().filter(ticket=OuterRef(f"{path}pk")).order_by().values("ticket")
    return Subquery(images.annotate(number=Count("pk")).values("number"))


def positions_taken(path: str = "") -> Case:
    """Likewise: which, as a list for each; None for none, and where no place has a name."""
    images = Image.objects.holding_a_place().filter(ticket=OuterRef(f"{path}pk")).order_by().values("ticket")
    listed = Subquery(images.annotate(positions=JsonRows("position")).values("positions"))
    return Case(When(~Q(**{f"{path}slots": []}), then=listed))


def require_open(ticket: Ticket) -> None:
    """Raise what stands against any photo on this ticket. Certain only under the ticket's lock, as all below."""
    if ticket.status == TicketStatus.COMPLETED:
        raise TicketCompletedError
    if ticket.status == TicketStatus.CANCELLED:
        raise TicketCancelledError
    if ticket.status == TicketStatus.EXPIRED or ticket.is_overdue:
        raise TicketExpiredError


def require_place(ticket: Ticket, *, taken: int) -> None:
    """Likewise against one more, where so many of its places are taken."""
    require_open(ticket)
    if taken >= ticket.num_images:
        raise TicketFullError


def choose_position(ticket: Ticket, *, taken: set[int], wanted: int | None = None) -> int:
    """The wanted position, if it is free; or else the first free one that has no name, unless the wanted one has.

    Raises as `require_place`, SlotTakenError for a wanted one that is a slot's, SlotRequiredError when every free place
    has a name.
    """
    require_open(ticket)
    if wanted in taken and ticket.slot_at(wanted):
        raise SlotTakenError
    require_place(ticket, taken=len(taken))
    if wanted is not None and wanted not in taken:
        return wanted
    without_name = range(len(ticket.slots) + 1, ticket.num_images + 1)
    position = next((position for position in without_name if position not in taken), None)
    if position is None:
        raise SlotRequiredError
    return position


def free_position(ticket: Ticket, *, wanted: int | None = None) -> int:
    """Likewise, of a ticket that is locked, as its images are now."""
    taken = {position for [position] in _POSITIONS.rows(ticket_id=ticket.pk)}
    return choose_position(ticket, taken=taken, wanted=wanted)


def take_place(image: Image, *, position: int | None = None) -> None:
    """Write this new image with a free position of its ticket, and raise the ticket's version. The image has its
    position then, and knows whether another has the same bytes; with the first one the ticket is in progress.

    `position`: that of the slot it is for. Raises as `free_position`, and Ticket.DoesNotExist.
    """
    database = connections[DEFAULT_DB_ALIAS]  # each question to Django's `connection` looks it up, in ten calls
    if database.vendor == "postgresql" and _take_first_free(image, position=position):
        return
    with transaction.atomic():
        ticket = Ticket.objects.lock(image.ticket_id)
        position = free_position(ticket, wanted=position)
        if database.vendor == "postgresql":
            _take_at_once(image, position=position)
        else:
            _take_in_steps(image, ticket, position=position)


def take_awaited_place(image: Image, *, position: int | None = None) -> Ticket:
    """Likewise for a photo of which nothing is there yet. Returns the ticket, locked: call it in a transaction."""
    ticket = Ticket.objects.lock(image.ticket_id)
    _take_in_steps(image, ticket, position=free_position(ticket, wanted=position))
    return ticket


def _take_first_free(image: Image, *, position: int | None) -> bool:
    """Without a position: the one after the last, if none before it is free and none has a name."""
    is_contended = _contended.get(image.ticket_id, 0) > time.monotonic()
    outcome = _take_at_once(image, position=position, locks_first=is_contended)
    if outcome is Outcome.OVERTAKEN and not is_contended:
        _remember_contended(image.ticket_id)
        outcome = _take_at_once(image, position=position, locks_first=True)
    return outcome is Outcome.TAKEN


class Outcome(Enum):
    TAKEN = "taken"
    OVERTAKEN = "overtaken"  # by another photo, or a move of the ticket
    NOT_THERE = "not there"


# Tickets of which several photos come side by side, and until when that is assumed: a guess that only costs time.
_contended: dict[int, float] = {}


def _remember_contended(ticket_id: int) -> None:
    if len(_contended) >= MOST_CONTENDED:
        _contended.clear()
    _contended[ticket_id] = time.monotonic() + CONTENDED_SECONDS


def _take_at_once(image: Image, *, position: int | None, locks_first: bool = False) -> Outcome:
    now = timezone.now()
    begun = new_move(
        ticket_id=image.ticket_id,
        from_status=TicketStatus.PENDING,
        to_status=TicketStatus.IN_PROGRESS,
        at=now,
        actor=_sender(image),
    )
    take = partial(_take().first_after, _lock()) if locks_first else _take().first
    row = take(
        **values_to_insert(image),
        **values_to_insert(begun),
        ticket_id=image.ticket_id,
        sha256=image.sha256,
        position=position,
        now=now,
    )
    if row is None:
        return Outcome.NOT_THERE
    status_before, owner_id, wanted, taken, twin = row
    if taken is None:
        return Outcome.NOT_THERE if wanted is None else Outcome.OVERTAKEN
    image.position, image.duplicate_of_id = taken, twin
    image._state.adding, image._state.db = False, DEFAULT_DB_ALIAS
    if status_before == TicketStatus.PENDING:
        begun.actor = begun.actor or f"user {owner_id}"
        transaction.on_commit(lambda: log_transition(begun, {}), robust=True)
    return Outcome.TAKEN


def _take_in_steps(image: Image, ticket: Ticket, *, position: int) -> None:
    twin = image.sha256 and _TWIN.first(ticket_id=ticket.pk, sha256=image.sha256)
    image.position, image.duplicate_of_id = position, twin[0] if twin else None
    insert(image)
    with acting_as(_sender(image) or f"user {ticket.owner_id}"):
        if not begin(ticket):
            ticket.touch()


def _sender(image: Image) -> str:
    """The actor, if a guest or a key has sent it; "" if its owner has."""
    return current_requester() if image.guest_link_id is None else f"guest link {image.guest_link_id}"


# For the same bytes, the first such photo that holds a place is the original.
_IS_TWIN = Q(sha256=Parameter("sha256", models.CharField()))
_TWIN = CompiledQuery(
    lambda: (
        Image.objects.holding_a_place().filter(_IS_TWIN, ticket=_TICKET_ID).order_by("created_at").values_list("pk")[:1]
    )
)


_POSITIONS = CompiledQuery(
    lambda: Image.objects.holding_a_place().filter(ticket=_TICKET_ID).order_by().values_list("position")
)


def _seen():
    ticket = Ticket.objects.filter(IS_OPEN, pk=_TICKET_ID).order_by()
    return ticket.values_list("status", "owner_id", "num_images", "slots")


def _held():
    """Returns what the statement needs to know of the ticket's photos, in one query. No row if there are none."""
    held = Image.objects.holding_a_place().filter(ticket=_TICKET_ID).order_by().values("ticket")
    twins = ArrayAgg("pk", filter=_IS_TWIN, order_by="created_at")
    return held.annotate(taken=Count("*"), last=Max("position"), twins=twins).values_list("taken", "last", "twins")


@cache
def _lock() -> CompiledQuery:
    query = CompiledQuery(
        lambda: Ticket.objects.filter(pk=_TICKET_ID).order_by().select_for_update(no_key=True).values_list("pk")
    )
    with transaction.atomic():  # Django compiles a query that locks in a transaction only
        query.compile()
    return query


@cache
def _take() -> CompiledStatement:
    return CompiledStatement(_compile_take)


def _compile_take() -> tuple[str, list]:
    seen, seen_parameters = select_sql(_seen())
    held, held_parameters = select_sql(_held())
    # A ticket with another status than was read stays as it is: only one photo is the first and records that the ticket
    # is in progress.
    status = RawSQL("SELECT status FROM place WHERE position <= num_images", ())
    update_ticket, ticket_parameters = update_sql(
        Ticket.objects.filter(IS_OPEN, pk=_TICKET_ID, status=status),
        TICKET_MOVES["begin"].values_written() | {"version": F("version") + 1},
    )
    insert_image, image_parameters = insert_sql(
        Image, position="place.position", duplicate_of_id="place.twin", **NOT_YET
    )
    insert_transition, transition_parameters = insert_sql(
        Transition, actor="coalesce(nullif(%s, ''), 'user ' || place.owner_id)"
    )
    sql = TAKE.format(
        seen=seen,
        held=held,
        update_ticket=update_ticket,
        insert_image=insert_image,
        insert_transition=insert_transition,
        pending=TicketStatus.PENDING.value,
    )
    parameters = [*seen_parameters, *held_parameters, _POSITION]
    return sql, [*parameters, *ticket_parameters, *image_parameters, *transition_parameters]
