"""The order of events: none gets a lower position than that of an event that could be read before it.

On PostgreSQL it is the number of the transaction. Of those below the oldest that is still open, none is to come: a
reader who is shown these alone, and goes on from the last, misses none. SQLite has one writer at a time, so that ids
alone are in the order of the commits.

A dump that is restored elsewhere meets transactions that are numbered anew. So that they still come after, a number is
added, which is part of the function and raised by `migrate`.
"""

from django.db import connections
from django.db.models import BigIntegerField, BooleanField, Func, Q
from django.db.models.expressions import RawSQL

FUNCTION = "integrations_event_position"
MAKE_FUNCTION = f"""
CREATE OR REPLACE FUNCTION {FUNCTION}(transaction xid8) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS 'SELECT $1::text::bigint + {{added}}'
"""
CURRENT = f"{FUNCTION}(pg_current_xact_id())"


class CurrentPosition(Func):
    """The position of events of the current transaction."""

    output_field = BigIntegerField()
    arity = 0

    def as_sql(self, compiler, connection, **context):
        return "0", []

    def as_postgresql(self, compiler, connection, **context):
        return CURRENT, []


def make_function(apps, schema_editor) -> None:
    """For the migration that makes the table."""
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(MAKE_FUNCTION.format(added=0))


def drop_function(apps, schema_editor) -> None:
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(f"DROP FUNCTION {FUNCTION}")


def is_settled(connection) -> Q | RawSQL:
    """Returns the condition that no event is to come before this one any more."""
    if connection.vendor != "postgresql":
        return Q()
    reached = f"integrations_event.position < {FUNCTION}(pg_snapshot_xmin(pg_current_snapshot()))"
    return RawSQL(reached, [], output_field=BooleanField())  # noqa: S611  no value is in it


def keep_growing(*, using: str, **kwargs) -> None:
    """Raise what is added where events are kept with positions that this cluster has not reached. After `migrate`."""
    connection = connections[using]
    if connection.vendor != "postgresql":
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('integrations_event'), to_regproc(%s)", [FUNCTION])
        if None in cursor.fetchone():
            return
        cursor.execute(f"SELECT max(position), {CURRENT}, {FUNCTION}('0') FROM integrations_event")
        highest, current, added = cursor.fetchone()
        if highest is not None and highest > current:
            cursor.execute(MAKE_FUNCTION.format(added=added + highest - current))
