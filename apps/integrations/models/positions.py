"""The order of events: none gets a lower position than that of an event that could be read before it.

On PostgreSQL it is the number of the transaction. Of those below the oldest that is still open, none is to come: a
reader who is shown these alone, and goes on from the last, misses none. A snapshot knows the oldest of all databases of
the server, and the work of others would hold back events for as long as it takes: so the sessions of this database are
asked for theirs. SQLite has one writer at a time, so that ids alone are in the order of the commits.

A dump that is restored elsewhere meets transactions that are numbered anew. So that they still come after, a number is
added, which is part of the function and raised by `migrate`.
"""

from django.db import connections
from django.db.models import BigIntegerField, Func

FUNCTION = "integrations_event_position"
MAKE_FUNCTION = f"""
CREATE OR REPLACE FUNCTION {FUNCTION}(transaction xid8) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS 'SELECT $1::text::bigint + {{added}}'
"""
CURRENT = f"{FUNCTION}(pg_current_xact_id())"
# Sessions know the last 32 bits of the number, and tell every role. One above the next is of a transaction that has
# begun since.
FIRST_UNSETTLED = f"""
WITH seen AS MATERIALIZED (
    SELECT greatest(
        pg_snapshot_xmax(pg_current_snapshot())::text::bigint,
        pg_current_xact_id_if_assigned()::text::bigint + 1  -- what this transaction has written, it sees
    ) AS next
), others AS (
    SELECT (next - backend_xid::text::bigint) & 4294967295 AS age
    FROM seen, pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
)
SELECT {FUNCTION}((next - coalesce(oldest, 0))::text::xid8)
FROM seen, (SELECT max(age) FILTER (WHERE age < 2147483648) AS oldest FROM others) AS found
"""  # noqa: S608 (our own name)


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


def first_unsettled(connection) -> int:
    """Returns a position before which no event is to come any more, for a statement that begins afterwards. Outside a
    transaction, in which PostgreSQL would answer with the sessions as they were when it was asked first.

    A transaction with a number below that of the snapshot's next has begun before it: if its session does not have it
    any more, it is over.
    """
    if connection.vendor != "postgresql":
        return 1
    with connection.cursor() as cursor:
        cursor.execute(FIRST_UNSETTLED)
        return cursor.fetchone()[0]


def keep_growing(*, using: str, **kwargs) -> None:
    """Raise what is added where events are kept with positions that this cluster has not reached. After `migrate`."""
    connection = connections[using]
    if connection.vendor != "postgresql":
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('integrations_event'), to_regproc(%s)", [FUNCTION])
        if None in cursor.fetchone():
            return
        cursor.execute(f"SELECT max(position), {CURRENT}, {FUNCTION}('0') FROM integrations_event")  # noqa: S608
        highest, current, added = cursor.fetchone()
        if highest is not None and highest > current:
            cursor.execute(MAKE_FUNCTION.format(added=added + highest - current))
