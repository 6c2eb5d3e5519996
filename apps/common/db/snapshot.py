"""Several reads from one snapshot of the database."""

from contextlib import contextmanager

from django.db import Error, connection

BEGIN = {"postgresql": "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", "sqlite": "BEGIN DEFERRED"}


@contextmanager
def one_snapshot():
    """All reads inside see the database as of the first one. The block must not write.

    Django's `atomic` would take the write lock on SQLite (see settings), and on PostgreSQL each statement would see
    what was committed before it. Inside an open transaction this does nothing.
    """
    if connection.in_atomic_block:
        yield
        return
    with connection.cursor() as cursor:
        cursor.execute(BEGIN[connection.vendor])
    try:
        yield
    finally:
        try:
            with connection.cursor() as cursor:
                cursor.execute("ROLLBACK")
        except Error:  # the error that broke the connection is already being raised, or the next query will raise it
            connection.close()
