import uuid
from unittest import skipUnless

from django.db import DatabaseError, connection

from apps.common.db.pool import PooledConnection
from apps.tickets.models import Image
from tests.flush import FlushedTestCase


@skipUnless(connection.vendor == "postgresql", "needs PostgreSQL's pool of connections")
class PooledConnectionTests(FlushedTestCase):
    def setUp(self):
        connection.close()
        connection.close_pool()  # so that the pool has one connection, which each test knows

    def backend(self) -> int:
        """Returns the pid of the server process behind a pooled connection, which goes back to the pool."""
        with connection.cursor() as cursor:
            self.assertIsInstance(cursor.connection, PooledConnection)
            cursor.execute("SELECT pg_backend_pid()")
            (number,) = cursor.fetchone()
        connection.close()
        return number

    def ask_another(self, query: str, *params):
        """Run a query over a connection outside the pool, and return its value."""
        other = connection.copy()
        other.settings_dict["OPTIONS"] = {}
        try:
            with other.cursor() as cursor:
                cursor.execute(query, params)
                return cursor.fetchone()[0]
        finally:
            other.close()

    def test_checkout_asks_the_server_nothing(self):
        backend = self.backend()
        last_query = "SELECT query FROM pg_stat_activity WHERE pid = %s"

        connection.ensure_connection()

        self.assertEqual(connection.connection.info.backend_pid, backend)
        self.assertEqual(self.ask_another(last_query, backend), "SELECT pg_backend_pid()")
        connection.close()

    def test_prepared_statement_is_planned_once(self):
        for _ in range(3):
            Image.objects.find(uuid.uuid4())

        with connection.cursor() as cursor:
            cursor.execute("SELECT sum(generic_plans), sum(custom_plans) FROM pg_prepared_statements")
            self.assertEqual(cursor.fetchone(), (3, 0))
        connection.close()

    def test_connection_that_the_server_has_ended_is_replaced(self):
        ended = self.backend()
        self.assertTrue(self.ask_another("SELECT pg_terminate_backend(%s, 60000)", ended))

        self.assertNotEqual(self.backend(), ended)

    def test_connection_that_ends_in_use_is_not_used_again(self):
        with self.assertRaises(DatabaseError), connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        connection.close()

        self.assertTrue(self.backend())
