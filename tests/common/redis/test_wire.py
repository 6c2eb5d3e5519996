import os
import re
import socket
import threading

from django.conf import settings
from django.test import SimpleTestCase
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from apps.common.redis.client import new_client, redis_at
from apps.common.redis.wire import exchange, receive


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

    def client_of_one_that_answers(self, answer: bytes, *, and_closes: bool, seconds: float):
        """A Redis that sends this reply to GET and then is silent, or disconnects. `seconds`: that it is waited for."""
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
        client = new_client(url, socket_timeout=seconds, retry=Retry(NoBackoff(), 0))
        self.addCleanup(client.connection_pool.disconnect)
        return client

    def test_answer_that_breaks_off_is_an_error(self):
        client = self.client_of_one_that_answers(b"$10\r\nhalf", and_closes=True, seconds=60)

        with self.assertRaises(RedisConnectionError):
            receive(client, ("GET", self.KEY), 10)

    def test_answer_that_stalls_is_an_error(self):
        client = self.client_of_one_that_answers(b"$10\r\nhalf", and_closes=False, seconds=0.2)

        with self.assertRaises(RedisTimeoutError):
            receive(client, ("GET", self.KEY), 10)
