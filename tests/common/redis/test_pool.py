import os
from contextlib import suppress

from django.conf import settings
from django.test import SimpleTestCase
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.retry import Retry

from apps.common.redis.client import new_client
from apps.common.redis.pool import Pool


class PoolTests(SimpleTestCase):
    def setUp(self):
        self.client = new_client(settings.REDIS_URL)
        self.pool = self.client.connection_pool
        self.addCleanup(self.pool.disconnect)

    def test_connection_is_used_again(self):
        first, second = self.client.client_id(), self.client.client_id()

        self.assertEqual(first, second)
        self.assertIsInstance(self.pool, Pool)

    def test_connection_that_the_server_has_closed_is_made_anew(self):
        closed = self.client.client_id()
        new_client(settings.REDIS_URL).client_kill_filter(_id=closed)

        connection = self.pool.get_connection()
        connection.send_command("CLIENT", "ID")
        self.assertNotEqual(connection.read_response(), closed)
        self.pool.release(connection)

    def test_answer_that_nobody_has_read_is_not_the_next_ones(self):
        connection = self.pool.get_connection()
        connection.send_command("ECHO", "of another")
        self.assertTrue(connection.can_read(timeout=10))
        self.pool.release(connection)

        self.assertEqual(self.client.echo("ours"), b"ours")

    def test_connection_that_cannot_be_made_leaves_its_place(self):
        client = new_client("redis://127.0.0.1:1", max_connections=1, retry=Retry(NoBackoff(), 0))
        for _ in range(2):
            with self.assertRaisesRegex(RedisConnectionError, "127.0.0.1:1"):
                client.ping()

    def test_process_that_was_forked_has_connections_of_its_own(self):
        taken = self.pool.get_connection()
        of_parent = self.client.client_id()
        reader, writer = os.pipe()
        if not (child := os.fork()):
            with suppress(BaseException):
                of_child = self.client.client_id()
                self.pool.release(taken)
                again = {self.client.client_id() for _ in range(3)}
                os.write(writer, b"%d %d" % (of_child, again == {of_child}))
            os._exit(0)
        os.waitpid(child, 0)
        os.close(writer)
        with open(reader, "rb") as answer:
            of_child, the_same = map(int, answer.read().split())

        self.assertNotEqual(of_child, of_parent)
        self.assertTrue(the_same)
        self.assertEqual(self.client.client_id(), of_parent)
        self.pool.release(taken)
        self.assertTrue(self.client.ping())  # by the one that the child has put away
