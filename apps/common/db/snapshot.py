"""Several reads as of one moment."""

from contextlib import contextmanager

from django.db import Error, connection

BEGIN = {"postgresql": "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", "sqlite": "BEGIN DEFERRED"}


@contextmanager
def one_snapshot():
    """Whatever is read inside is of the moment of the first read. Nothing may be written there.

    Not Django's `atomic`, which on SQLite takes the lock to write (see settings) and on PostgreSQL sees with each
    statement what was committed before it. Inside a transaction that is open already nothing is done.
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
        except Error:  # what broke the connection is being raised, or the next query will
            connection.close()
