"""Takes back what a test has committed.

Django truncates every table and makes all content types and permissions anew, which costs more than most tests do, and
the roles that a migration made are gone afterwards.

Private parts of Django 5.2.19: `django.test.TransactionTestCase._fixture_setup`, `._fixture_teardown`.
"""

from django.db import OperationalError, connection, transaction
from django.test import TransactionTestCase


class FlushedTestCase(TransactionTestCase):
    """Runs with real commits. Afterwards each table has the rows again that it had before the first of these tests in
    this process: those of the migrations."""

    _rows_before = {}  # {database: {table: rows}}, without the empty ones

    @classmethod
    def _fixture_setup(cls):
        super()._fixture_setup()
        if _database() not in cls._rows_before:
            cls._rows_before[_database()] = {table: _rows(table) for table in _tables_with_rows()}

    def _fixture_teardown(self):
        if _database() not in self._rows_before or not _may_go_without_triggers():
            super()._fixture_teardown()  # such as the first test on a database that its class has started
        else:
            _flush_in_spite_of_others(self._rows_before[_database()])


def _flush_in_spite_of_others(rows_before: dict[str, set[tuple]]) -> None:
    """A process that the test has killed may have left a statement that PostgreSQL still runs: of a deadlock with it,
    that one is gone the next time.
    """
    for more_tries in (True, True, False):
        try:
            _flush(rows_before)
        except OperationalError:
            if not more_tries:
                raise
        else:
            return


def _flush(rows_before: dict[str, set[tuple]]) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET LOCAL session_replication_role = replica")  # no trigger refuses, no key is looked up
        for table in {*_tables_with_rows(), *rows_before}:
            before = rows_before.get(table, set())
            if before and _rows(table) == before:
                continue
            cursor.execute(f"DELETE FROM {_quoted(table)}")
            for row in before:
                cursor.execute(f"INSERT INTO {_quoted(table)} VALUES ({', '.join(['%s'] * len(row))})", row)


def _tables_with_rows() -> list[str]:
    tables = connection.introspection.django_table_names(include_views=False)
    asked = (f"SELECT '{table}' WHERE EXISTS (SELECT 1 FROM {_quoted(table)})" for table in tables)
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(asked))
        return [table for (table,) in cursor.fetchall()]


def _rows(table: str) -> set[tuple]:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM {_quoted(table)}")
        return set(cursor.fetchall())


def _may_go_without_triggers() -> bool:
    if connection.vendor != "postgresql":
        return True
    with connection.cursor() as cursor:
        cursor.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
        return cursor.fetchone()[0]


def _database() -> tuple:
    """What tells it from others that this process is connected to at another time."""
    return tuple(str(connection.settings_dict[part]) for part in ("HOST", "PORT", "NAME"))


def _quoted(name: str) -> str:
    return connection.ops.quote_name(name)
