"""Pooled connections, checked without a round trip to the server, which plan a prepared statement once.

Private parts of psycopg-pool 3.3.3: `psycopg_pool.ConnectionPool.check_connection`.
"""

import select

import psycopg


class PooledConnection(psycopg.Connection):
    """A connection that passes the pool's check as long as the server has sent nothing unasked.

    A server that ends a connection sends a message, or its operating system does. A query on every checkout costs a
    round trip, two for each photo, and finds no more: where a network drops connections silently, the query hangs too.

    Left to itself, PostgreSQL plans a prepared statement anew for its first five executions. That doubles what they
    cost it, and so what the first photos of each connection do. Only the compiled queries are prepared
    (compiled_queries.py), and each of them is planned the same for all values. It is set here, as a PgBouncer refuses
    connections that set it as they begin.
    """

    @classmethod
    def connect(cls, *args, **kwargs) -> "PooledConnection":
        connection = super().connect(*args, **kwargs)
        if connection.prepare_threshold is not None:
            connection.execute("SET plan_cache_mode = force_generic_plan")
        return connection

    def execute(self, query, *args, **kwargs):
        if query == "" and not self._has_something_to_read():  # see psycopg_pool.ConnectionPool.check_connection
            return None
        return super().execute(query, *args, **kwargs)

    def _has_something_to_read(self) -> bool:
        poll = select.poll()
        poll.register(self.fileno(), select.POLLIN)
        return bool(poll.poll(0))
