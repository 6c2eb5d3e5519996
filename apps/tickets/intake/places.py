"""Gives a new photo a place on its ticket: the wanted position, or the first that is free.

On PostgreSQL one statement is the fast path for the common photo, which takes the position after the last. The
statement may wait for the ticket, and sees the rows as of its start; then the unique constraint, or the ticket's
status, keeps it from taking a place. On the slow path the position is decided under the ticket's lock, and the same
statement runs again with it. SQLite has no row locks: there the transaction is the lock, and each part its own
statement.
"""

from functools import cache

from django.contrib.postgres.aggregates import ArrayAgg
from django.db import connection, models, transaction
from django.db.models import Count, F, Max, OuterRef, Q, Subquery
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
from apps.tickets.errors import TicketCancelledError, TicketCompletedError, TicketExpiredError, TicketFullError
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
    SELECT seen.*, twins[1] AS twin,
        coalesce(%s::integer, CASE WHEN taken IS NULL THEN 1 WHEN taken = last THEN last + 1 END) AS position
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
SELECT place.status, place.owner_id, image.position, image.duplicate_of_id FROM image, place
"""
IS_OPEN = Q(status__in=OPEN_TICKET) & (Q(expires_at=None) | Q(expires_at__gt=NOW))

_TICKET_ID = Parameter("ticket_id", models.BigIntegerField())
_POSITION = Parameter("position", models.PositiveIntegerField())


def places_taken() -> Subquery:
    """Returns an expression for a query of tickets: the number of places taken, null for none."""
    images = Image.objects.holding_a_place().filter(ticket=OuterRef("pk")).order_by().values("ticket")
    return Subquery(images.annotate(number=Count("pk")).values("number"))


def require_place(ticket: Ticket, *, taken: int) -> None:
    """Raise the refusal of one more photo on this ticket, given how many of its places are taken.

    Only reliable under the ticket's lock.
    """
    if ticket.status == TicketStatus.COMPLETED:
        raise TicketCompletedError
    if ticket.status == TicketStatus.CANCELLED:
        raise TicketCancelledError
    if ticket.status == TicketStatus.EXPIRED or ticket.is_overdue:
        raise TicketExpiredError
    if taken >= ticket.num_images:
        raise TicketFullError


def free_position(ticket: Ticket, *, wanted: int | None = None) -> int:
    """Returns the wanted position of a locked ticket, or else the first free one. Raises as `require_place`."""
    taken = set(ticket.images.holding_a_place().values_list("position", flat=True))
    require_place(ticket, taken=len(taken))
    if wanted is not None and wanted not in taken:
        return wanted
    return next(position for position in range(1, ticket.num_images + 1) if position not in taken)


def take_place(image: Image) -> None:
    """Insert this new image at a free position of its ticket, and raise the ticket's version. It sets the image's
    position and whether another has the same bytes; the first image starts the ticket's progress.

    Raises as `require_place`, and Ticket.DoesNotExist.
    """
    if connection.vendor == "postgresql" and _take_at_once(image):
        return
    with transaction.atomic():
        ticket = Ticket.objects.lock(image.ticket_id)
        position = free_position(ticket)
        if connection.vendor == "postgresql":
            _take_at_once(image, position=position)
        else:
            _take_in_steps(image, ticket, position=position)


def _take_at_once(image: Image, *, position: int | None = None) -> bool:
    """Insert the image. Without a position it takes the one after the last, if none before it is free."""
    now = timezone.now()
    begun = new_move(
        ticket_id=image.ticket_id, from_status=TicketStatus.PENDING, to_status=TicketStatus.IN_PROGRESS, at=now
    )
    row = _take().first(
        **values_to_insert(image),
        **values_to_insert(begun),
        ticket_id=image.ticket_id,
        sha256=image.sha256,
        position=position,
        now=now,
    )
    if row is None:
        return False
    status_before, owner_id, image.position, image.duplicate_of_id = row
    image._state.adding, image._state.db = False, connection.alias
    if status_before == TicketStatus.PENDING:
        begun.actor = f"user {owner_id}"
        transaction.on_commit(lambda: log_transition(begun, {}), robust=True)
    return True


def _take_in_steps(image: Image, ticket: Ticket, *, position: int) -> None:
    twin = _TWIN.first(ticket_id=ticket.pk, sha256=image.sha256)
    image.position, image.duplicate_of_id = position, twin and twin[0]
    insert(image)
    with acting_as(f"user {ticket.owner_id}"):
        if not begin(ticket):
            ticket.touch()


# For the same bytes, the first such photo that holds a place is the original.
_IS_TWIN = Q(sha256=Parameter("sha256", models.CharField()))
_TWIN = CompiledQuery(
    lambda: (
        Image.objects.holding_a_place().filter(_IS_TWIN, ticket=_TICKET_ID).order_by("created_at").values_list("pk")[:1]
    )
)


def _seen():
    ticket = Ticket.objects.filter(IS_OPEN, pk=_TICKET_ID).order_by()
    return ticket.values_list("status", "owner_id", "num_images")


def _held():
    """Returns what the statement needs to know of the ticket's photos, in one query. No row if there are none."""
    held = Image.objects.holding_a_place().filter(ticket=_TICKET_ID).order_by().values("ticket")
    twins = ArrayAgg("pk", filter=_IS_TWIN, order_by="created_at")
    return held.annotate(taken=Count("*"), last=Max("position"), twins=twins).values_list("taken", "last", "twins")


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
    insert_image, image_parameters = insert_sql(Image, position="place.position", duplicate_of_id="place.twin")
    insert_transition, transition_parameters = insert_sql(Transition, actor="'user ' || place.owner_id")
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
