"""Give a connection back to the pool in the middle of a request, or of an attempt to deliver a webhook."""

from django.db import DEFAULT_DB_ALIAS, connections


def release_connection() -> None:
    """Call it before waiting for a client or a receiver: slow ones would otherwise hold the whole pool."""
    connection = connections[DEFAULT_DB_ALIAS]  # looked up once: it takes eight calls
    if not connection.in_atomic_block:  # as it is inside a TestCase
        connection.close()
