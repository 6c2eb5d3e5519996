"""Giving a connection back in the middle of a request."""

from django.db import connection


def release_connection() -> None:
    """To be called before a wait for a client: slow ones would otherwise hold the whole pool."""
    if not connection.in_atomic_block:  # as it is inside a TestCase
        connection.close()
