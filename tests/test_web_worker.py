import socket
from unittest import mock

from django.test import SimpleTestCase
from gunicorn.config import Config
from gunicorn.workers.gthread import ThreadWorker

from hopla import web_worker
from hopla.web_worker import LingeringWorker
from tests.web_server import RawClient, running_web_server


class LingeringTests(SimpleTestCase):
    """What its threads do with a connection. `kept` is what gunicorn's own worker says of it each time."""

    def setUp(self):
        self.worker = LingeringWorker(0, 0, [], mock.Mock(), 30, Config(), mock.Mock())
        self.ours, self.theirs = socket.socketpair()
        self.addCleanup(self.ours.close)
        self.addCleanup(self.theirs.close)

    def handle(self, *, kept) -> tuple:
        """What becomes of the connection, and how many requests were answered on it."""
        with mock.patch.object(ThreadWorker, "handle", side_effect=kept) as handle:
            return self.worker.handle(mock.Mock(sock=self.ours)), handle.call_count

    def test_next_request_is_answered_at_once(self):
        self.theirs.send(b"GET")

        self.assertEqual(self.handle(kept=[True, False]), (False, 2))

    def test_quiet_connection_is_given_back(self):
        self.assertEqual(self.handle(kept=[True]), (True, 1))

    def test_connection_that_ends_or_has_sent_nothing_yet_is_given_back(self):
        self.theirs.send(b"GET")
        for kept in (False, object()):  # the object stands for gunicorn's _DEFER
            with self.subTest(kept=kept):
                self.assertEqual(self.handle(kept=[kept]), (kept, 1))

    def test_busy_connection_makes_way_for_others(self):
        self.theirs.send(b"GET")

        self.assertEqual(self.handle(kept=[True] * 100), (True, web_worker.MOST_IN_A_ROW))

    def test_worker_that_stops_takes_no_more(self):
        self.theirs.send(b"GET")
        self.worker.alive = False

        self.assertEqual(self.handle(kept=[True] * 100), (True, 1))

    def test_gunicorn_calls_it_for_each_connection_that_has_something(self):
        connection = mock.Mock(sock=self.ours)
        self.worker.tpool = mock.Mock()
        self.worker.enqueue_req(connection)

        self.worker.tpool.submit.assert_called_once_with(self.worker.handle, connection)


class KeptConnectionTests(SimpleTestCase):
    def test_many_requests_on_one_connection(self):
        with running_web_server() as address:
            client = RawClient(address)
            self.addCleanup(client.close)
            for _ in range(2 * web_worker.MOST_IN_A_ROW + 2):  # at once, and once by way of gunicorn's main thread
                client.send_head("GET", "/healthz")
                answer = client.answer()
                answer.read()
                self.assertEqual(answer.status, 200)
