"""Give a connection back to the pool in the middle of a request."""

from django.db import connection


def release_connection() -> None:
    """Call it before waiting for a client: slow ones would otherwise hold the whole pool."""
    if not connection.in_atomic_block:  # as it is inside a TestCase
        connection.close()
