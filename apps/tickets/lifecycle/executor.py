"""Makes a move of `moves.py`: the row changes, the ticket's version is raised, the transition is written.

An image's move is one statement on PostgreSQL, compiled from the table. It takes the ticket's lock, by raising the
version, before it changes the image: every move of an image holds that lock. An image that was moved while the
statement waited stays as it is; the same statement then runs again, now holding the lock, and its result is final.
SQLite has no row locks: there the transaction is the lock, and each part is its own statement.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

from django.db import connection, models, transaction
from django.db.models import F, Q
from django.db.models.expressions import RawSQL
from django.utils import timezone

from apps.common.db.compiled_queries import (
    CompiledQuery,
    CompiledStatement,
    CompiledUpdate,
    Parameter,
    columns_of,
    insert,
    insert_sql,
    instance_of,
    select_sql,
    update_sql,
    values_to_insert,
)
from apps.tickets.models import Image, Ticket, Transition
from apps.tickets.models.transition import log_transition, new_move, write

NOW = Parameter("now", models.DateTimeField())  # the time of the move, in every move
_ID = Parameter("id", models.UUIDField())
_NUMBER = Parameter("id", models.BigIntegerField())

LONG = ("instructions", "metadata", "slots")  # of a ticket: a move has no use for them

STATEMENT = """
WITH seen AS MATERIALIZED (
    {seen}
), ticket AS (
    {raise_version} RETURNING *
), image AS (
    {change} RETURNING *
), transition AS (
    {insert_transition} FROM image, seen
)
SELECT seen.status, {columns} FROM seen, image, ticket
"""


@dataclass(frozen=True, eq=False)
class Move:
    """One move: from which statuses to which, what else is written, and the other conditions on the row.

    A Parameter in it is a placeholder for a value that is given when the move is made.
    """

    from_statuses: tuple[str, ...]
    to_status: str
    changes: dict = field(default_factory=dict)
    only_if: Callable[[], Q] | Q = field(default_factory=Q)
    reason: str | Parameter = ""  # of the transition

    def allowed(self) -> Q:
        return Q(status__in=self.from_statuses) & (self.only_if if isinstance(self.only_if, Q) else self.only_if())

    def values_written(self) -> dict:
        return {"status": self.to_status, "updated_at": NOW} | self.changes

    def transition(self, values: dict, **fields) -> Transition:
        """Returns a transition of now that is not saved yet and does not know the status before."""
        reason = values[self.reason.name] if isinstance(self.reason, Parameter) else self.reason
        return new_move(to_status=self.to_status, reason=reason[:64], at=values["now"], **fields)


class ImageMove(Move):
    """A move of an image, under its ticket's lock."""

    def make(self, image_id, *, ticket_id: int | None = None, **values) -> tuple[Image, Ticket] | None:
        """Returns the moved image and its ticket with its version raised, locked until the transaction ends; None if
        the move is not allowed, and then nothing has changed. Raises Ticket.DoesNotExist.
        """
        values = {"id": image_id, "now": timezone.now()} | values
        if connection.vendor != "postgresql":
            with transaction.atomic():
                return self._make_in_steps(values)
        made = self._make_at_once(values)
        if made is None:
            with transaction.atomic():
                if _hold_ticket_of(image_id, ticket_id):
                    made = self._make_at_once(values)
        return made

    def make_of(self, image: Image, **values) -> Ticket | None:
        """Move this instance, which is updated to the row, and return the same as above. None also if another attempt
        has begun since it was read, or staff had it tried again: `SAME_ATTEMPT`.
        """
        own = {"attempts": image.attempts, "attempts_uncounted": image.attempts_uncounted}
        made = self.make(image.pk, ticket_id=image.ticket_id, **own, **values)
        if made is None:
            return None
        moved, ticket = made
        _copy(moved, image)
        return ticket

    def _make_at_once(self, values: dict) -> tuple[Image, Ticket] | None:
        move = self.transition(values, image_id=values["id"])
        row = self._statement.first(**values_to_insert(move), **values)
        if row is None:
            return None
        move.from_status, *columns = row
        of_image = len(columns_of(Image))
        image, ticket = instance_of(Image, columns[:of_image]), instance_of(Ticket, columns[of_image:], without=LONG)
        return _told(move, image, ticket)

    def _make_in_steps(self, values: dict) -> tuple[Image, Ticket] | None:
        seen = self._seen.first(**values)
        if seen is None:
            return None
        ticket = Ticket.objects.lock(seen[0])
        ticket.touch()
        self._change.run(**values)
        image = Image.objects.find(values["id"])
        move = self.transition(values, image_id=image.pk, ticket_id=ticket.pk, from_status=seen[1])
        move.request_id = move.request_id or image.request_id
        insert(move)
        return _told(move, image, ticket)

    @cached_property
    def _seen(self) -> CompiledQuery:
        return CompiledQuery(self._allowed_image)

    @cached_property
    def _change(self) -> CompiledUpdate:
        return CompiledUpdate(lambda: (Image.objects.filter(pk=_ID), self.values_written()))

    @cached_property
    def _statement(self) -> CompiledStatement:
        return CompiledStatement(self._compile)

    def _allowed_image(self):
        return Image.objects.filter(self.allowed(), pk=_ID).order_by().values_list("ticket_id", "status")

    def _compile(self) -> tuple[str, list]:
        seen, seen_parameters = select_sql(self._allowed_image())
        raise_version, version_parameters = update_sql(
            Ticket.objects.filter(pk=RawSQL("SELECT ticket_id FROM seen", ())),
            {"version": F("version") + 1, "updated_at": NOW},
        )
        change, change_parameters = update_sql(
            Image.objects.filter(
                self.allowed(),
                pk=_ID,
                status=RawSQL("SELECT status FROM seen", ()),
                ticket_id=RawSQL("SELECT id FROM ticket", ()),
            ),
            self.values_written(),
        )
        insert_transition, transition_parameters = insert_sql(
            Transition,
            ticket_id="image.ticket_id",
            from_status="seen.status",
            request_id="coalesce(nullif(%s, ''), image.request_id)",
        )
        sql = STATEMENT.format(
            seen=seen,
            raise_version=raise_version,
            change=change,
            insert_transition=insert_transition,
            columns=", ".join(
                f"{name}.{column}"
                for name, of_model in (("image", columns_of(Image)), ("ticket", columns_of(Ticket, without=LONG)))
                for column in of_model
            ),
        )
        return sql, [*seen_parameters, *version_parameters, *change_parameters, *transition_parameters]


class TicketMove(Move):
    """A move of a ticket that the caller has locked."""

    def make_of(self, ticket: Ticket, **values) -> bool:
        """Make the move and update the instance. Returns whether the move was allowed."""
        if ticket.status not in self.from_statuses:
            return False
        values = {"id": ticket.pk, "now": timezone.now()} | values
        seen = self._seen.first(**values)
        if seen is None:
            return False
        self._change.run(**values)
        _copy(Ticket.objects.lock(ticket.pk), ticket)
        move = self.transition(values, ticket_id=ticket.pk, from_status=seen[0])
        write(move)
        return True

    @cached_property
    def _seen(self) -> CompiledQuery:
        return CompiledQuery(lambda: Ticket.objects.filter(self.allowed(), pk=_NUMBER).order_by().values_list("status"))

    @cached_property
    def _change(self) -> CompiledUpdate:
        return CompiledUpdate(
            lambda: (Ticket.objects.filter(pk=_NUMBER), self.values_written() | {"version": F("version") + 1})
        )


def _hold_ticket_of(image_id, ticket_id: int | None) -> bool:
    """Lock the ticket. Returns False if the image was deleted. Raises Ticket.DoesNotExist."""
    if ticket_id is None:
        image = Image.objects.find(image_id)
        ticket_id = image and image.ticket_id
    if ticket_id is not None:
        Ticket.objects.lock(ticket_id)
    return ticket_id is not None


def _told(move: Transition, image: Image, ticket: Ticket) -> tuple[Image, Ticket]:
    move.ticket_id, move.request_id = image.ticket_id, move.request_id or image.request_id
    transaction.on_commit(lambda: log_transition(move, image.told_of_a_move()), robust=True)
    return image, ticket


def _copy(kept: models.Model, instance: models.Model) -> None:
    for name in columns_of(type(kept)):
        setattr(instance, name, getattr(kept, name))
