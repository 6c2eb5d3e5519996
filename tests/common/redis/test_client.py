import os
import re
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from django.conf import settings
from django.test import SimpleTestCase
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from apps.common.redis.client import (
    MAX_CONNECTIONS,
    MasterConnection,
    Pool,
    exchange,
    new_client,
    queue_options,
    receive,
    redis_at,
)

SENTINELS = "redis+sentinel://user:p%40ss@one.example:26380,two.example,[::1]:26381/mymaster/3?sentinel_password=other"


class QueueOptionsTests(SimpleTestCase):
    def test_url_of_one_server_is_passed_on(self):
        for url in ("redis://:secret@redis.example:6379/1", "rediss://redis.example", "unix:///run/redis.sock?db=2"):
            with self.subTest(url):
                self.assertEqual(queue_options(url), {"URL": url})

    def test_sentinels_and_what_they_look_after_are_read(self):
        options = queue_options(SENTINELS)
        self.assertEqual(options["SENTINELS"], [("one.example", 26380), ("two.example", 26379), ("::1", 26381)])
        self.assertEqual((options["MASTER_NAME"], options["DB"]), ("mymaster", 3))
        self.assertEqual((options["CONNECTION_KWARGS"]["username"], options["PASSWORD"]), ("user", "p@ss"))
        self.assertEqual(options["SENTINEL_KWARGS"]["password"], "other")

    def test_passwords_and_database_may_be_left_out(self):
        options = queue_options("redis+sentinel://one.example/mymaster")
        self.assertEqual((options["DB"], options["PASSWORD"], options["SENTINEL_KWARGS"]["password"]), (0, None, None))

    def test_url_that_makes_no_sense_is_refused(self):
        for url in (
            "redis+sentinel://one.example",
            "redis+sentinel:///mymaster",
            "redis+sentinel://one.example,/mymaster",
            "redis+sentinel://one.example:port/mymaster",
            "redis+sentinel://one.example/mymaster/first",
            "redis+sentinel://one.example/mymaster?master=1",
        ):
            with self.subTest(url), self.assertRaises(ValueError):
                queue_options(url)

    def test_settings_refuse_it_too_and_do_not_show_its_password(self):
        for name in ("REDIS_URL", "STAGING_REDIS_URL"):
            with self.subTest(name):
                run = subprocess.run(
                    [sys.executable, "manage.py", "check"],
                    env=os.environ | {name: "redis+sentinel://:a-secret@one.example"},
                    cwd=settings.BASE_DIR,
                    capture_output=True,
                    text=True,
                )
                self.assertIn(f"{name} cannot be used: it does not have the form", run.stderr)
                self.assertNotIn("a-secret", run.stderr)


class NewClientTests(SimpleTestCase):
    def test_it_takes_account_and_options_along(self):
        pool = new_client(SENTINELS, socket_timeout=1.5).connection_pool
        expected = {"username": "user", "password": "p@ss", "db": 3, "socket_timeout": 1.5}
        self.assertEqual({name: pool.connection_kwargs[name] for name in expected}, expected)
        self.assertIs(pool.connection_class, MasterConnection)

    def test_search_for_a_master_in_vain_leaves_no_connection_behind(self):
        client = new_client("redis+sentinel://127.0.0.1:1/mymaster")
        for _ in range(3):
            with self.assertRaises(RedisConnectionError):
                client.ping()
        self.assertEqual(len(client.connection_pool._connections), 1)


class AllConnectionsTakenTests(SimpleTestCase):
    def setUp(self):
        self.client = redis_at(settings.REDIS_URL)
        self.taken = [self.client.connection_pool.get_connection() for _ in range(MAX_CONNECTIONS)]
        self.addCleanup(self.give_back_all)

    def give_back_all(self):
        while self.taken:
            self.client.connection_pool.release(self.taken.pop())

    def test_threads_wait_for_one(self):
        with ThreadPoolExecutor() as threads:
            answers = [threads.submit(self.client.ping) for _ in range(3)]
            self.give_back_all()

            self.assertEqual([answer.result() for answer in answers], [True] * 3)

    def test_wait_comes_to_an_end(self):
        with self.assertRaises(RedisConnectionError):
            self.client.ping()


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


class ExchangeTests(SimpleTestCase):
    def test_equal_numbers_are_sent_as_they_are(self):
        client = redis_at(settings.REDIS_URL)

        answers = exchange(client, *(("ECHO", number) for number in (60.0, 60, True, 1)))
        self.assertEqual(answers, [b"60.0", b"60", b"True", b"1"])

    def test_command_that_fails_within_a_transaction_is_an_error(self):
        client, key = redis_at(settings.REDIS_URL), "hopla:tests:exchange"
        self.addCleanup(client.delete, key)
        client.rpush(key, "no string")

        for transaction in (
            [("SETRANGE", key, 0, b"x")],
            [("PING",), ("SETRANGE", key, 0, b"x"), ("PING",)],
            [("EVAL", "return redis.call('GET', KEYS[1])", 1, key)],
        ):
            with self.subTest(transaction), self.assertRaisesRegex(ResponseError, "WRONGTYPE"):
                exchange(client, ("MULTI",), *transaction, ("EXEC",))
        self.assertEqual(exchange(client, ("MULTI",), ("LLEN", key), ("EXEC",))[-1], [1])


class ReceiveTests(SimpleTestCase):
    KEY = "hopla:tests:receive"

    def setUp(self):
        self.client = redis_at(settings.REDIS_URL)
        self.addCleanup(self.client.delete, self.KEY)

    def test_string_is_received_whole(self):
        for size in (0, 1, 3_000_000):
            with self.subTest(size):
                value = os.urandom(size)
                self.client.set(self.KEY, value)
                self.assertEqual(receive(self.client, ("GET", self.KEY), size), value)

    def test_anything_else_is_none_and_not_taken_for_the_next_answer(self):
        self.assertIsNone(receive(self.client, ("GET", self.KEY), 5))
        for value, size in (("x" * 1000, 10), ("x" * 10, 1000), ("", 5), ("x" * 5, 0)):
            with self.subTest(value=value, size=size):
                self.client.set(self.KEY, value)
                self.assertIsNone(receive(self.client, ("GET", self.KEY), size))
                self.assertTrue(self.client.ping())
        self.client.delete(self.KEY)
        self.client.rpush(self.KEY, "no string")
        self.assertIsNone(receive(self.client, ("GET", self.KEY), 5))

    def client_of_one_that_answers(self, answer: bytes, *, and_closes: bool):
        """Redis that answers GET so and then is silent, or gone."""
        listener = self.enterContext(socket.create_server(("127.0.0.1", 0)))

        def serve():
            with listener.accept()[0] as connection:
                while asked := connection.recv(65536):
                    if b"GET\r\n" not in asked:
                        connection.sendall(b"+OK\r\n" * len(re.findall(rb"^\*\d+\r$", asked, re.MULTILINE)))
                        continue
                    connection.sendall(answer)
                    if and_closes:
                        return

        threading.Thread(target=serve, daemon=True).start()
        url = f"redis://127.0.0.1:{listener.getsockname()[1]}?protocol=2"
        client = new_client(url, socket_timeout=0.2, retry=Retry(NoBackoff(), 0))
        self.addCleanup(client.connection_pool.disconnect)
        return client

    def test_answer_that_breaks_off_is_an_error(self):
        client = self.client_of_one_that_answers(b"$10\r\nhalf", and_closes=True)

        with self.assertRaises(RedisConnectionError):
            receive(client, ("GET", self.KEY), 10)

    def test_answer_that_stalls_is_an_error(self):
        client = self.client_of_one_that_answers(b"$10\r\nhalf", and_closes=False)

        with self.assertRaises(RedisTimeoutError):
            receive(client, ("GET", self.KEY), 10)
