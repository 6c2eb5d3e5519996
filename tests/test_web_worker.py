import selectors
import socket
import time
from collections import defaultdict
from concurrent.futures import Future
from unittest import mock

from django.test import SimpleTestCase
from gunicorn.config import Config
from gunicorn.workers.gthread import TConn, ThreadWorker

from hopla import web_worker
from hopla.web_worker import WebWorker, forget
from tests.web_server import RawClient, running_web_server


class CourtesyTests(SimpleTestCase):
    """Which of two processes takes a new connection."""

    def setUp(self):
        self.enterContext(mock.patch.object(web_worker, "_connections", [web_worker._NO_PROCESS] * 4))
        self.ours, self.other = self.process(age=1, connections=5), self.process(age=2, connections=3)

    def process(self, *, age: int, connections: int) -> WebWorker:
        worker = WebWorker(age, 0, [], mock.Mock(), 30, Config(), mock.Mock())
        worker.nr_conns = connections
        worker.tmp = mock.Mock()
        worker.notify()
        return worker

    def naps(self) -> int:
        """How often ours waits a moment before it tries to take the connection."""
        self.ours.notify()
        with (
            mock.patch.object(web_worker.time, "sleep") as sleep,
            mock.patch.object(ThreadWorker, "accept") as accept,
        ):
            self.ours.accept("listener")
        accept.assert_called_once_with("listener")
        return sleep.mock_calls.count(mock.call(web_worker.COURTESY_SECONDS))  # threads of others sleep, too

    def test_process_with_the_fewest_takes_it_at_once(self):
        for connections in (0, 3):
            with self.subTest(connections):
                self.ours.nr_conns = connections
                self.assertEqual(self.naps(), 0)

    def test_process_with_more_waits_a_moment_and_takes_it_if_the_other_has_not(self):
        for connections in (4, 5):
            with self.subTest(connections):
                self.ours.nr_conns = connections
                self.assertEqual(self.naps(), 1)

    def test_no_process_waits_for_one_that_stops_or_has_ended(self):
        self.other.alive = False
        self.other.notify()
        self.assertEqual(self.naps(), 0)

        self.other.alive = True
        self.other.notify()
        self.assertGreater(self.naps(), 0)
        forget(self.other)
        self.assertEqual(self.naps(), 0)


class LingeringTests(SimpleTestCase):
    """What its threads do with a connection. `kept` is what gunicorn's own worker says of it each time."""

    def setUp(self):
        self.worker = WebWorker(0, 0, [], mock.Mock(), 30, Config(), mock.Mock())
        self.ours, self.theirs = socket.socketpair()
        self.addCleanup(self.ours.close)
        self.addCleanup(self.theirs.close)

    def handle(self, *, kept) -> tuple:
        """What becomes of the connection, and how many requests were answered on it."""
        with mock.patch.object(ThreadWorker, "handle", side_effect=kept) as handle:
            return self.worker.handle(mock.Mock(sock=self.ours)), handle.call_count

    def test_next_request_is_served_at_once(self):
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
    def ask(self, client: RawClient) -> str:
        client.send_head("GET", "/healthz")
        answer = client.answer()
        self.assertEqual(answer.status, 200)
        return answer.read().decode()

    def test_new_connections_go_to_the_process_with_fewer(self):
        with running_web_server("tests.web_server:tell_process", WEB_CONCURRENCY="2") as address:
            clients_of = defaultdict(list)

            def connect() -> str:
                client = RawClient(address)
                self.addCleanup(client.close)
                process = self.ask(client)
                clients_of[process].append(client)
                return process

            def give_both_some() -> None:
                while len(clients_of) < 2 or min(map(len, clients_of.values())) < 14:
                    connect()
                    time.sleep(0 if len(clients_of) == 2 else 0.2)  # the other has not started yet

            def takes_them_once_it_is_relieved(process: str) -> bool:
                give_both_some()
                while clients_of[process]:
                    clients_of[process].pop().close()
                time.sleep(0.5)
                return [connect() for _ in range(12)].count(process) >= 10

            give_both_some()
            for process in list(clients_of):
                # Each some time: the other one takes what is left for long, on a busy machine often.
                self.assertTrue(any(takes_them_once_it_is_relieved(process) for _ in range(10)))

    def test_many_requests_on_one_connection(self):
        with running_web_server() as address:
            client = RawClient(address)
            self.addCleanup(client.close)
            for _ in range(2 * web_worker.MOST_IN_A_ROW + 2):  # at once, and once by way of gunicorn's main thread
                self.ask(client)


class ClosingTests(SimpleTestCase):
    """The main thread ends connections, and must not wait for their clients meanwhile."""

    def setUp(self):
        self.worker = WebWorker(0, 0, [], mock.Mock(), 30, Config(), mock.Mock())
        self.worker.poller = selectors.DefaultSelector()
        self.addCleanup(self.worker.poller.close)
        self.worker.tmp = mock.Mock()

    def connection(self) -> tuple[TConn, socket.socket]:
        ours, theirs = socket.socketpair()
        self.addCleanup(ours.close)
        self.addCleanup(theirs.close)
        self.worker.nr_conns += 1
        return TConn(Config(), ours, ("127.0.0.1", 1), ("127.0.0.1", 2)), theirs

    def finish(self, conn: TConn) -> None:
        answered = Future()
        answered.set_result(False)
        self.worker.finish_request(conn, answered)

    def is_open(self, conn: TConn) -> bool:
        return conn.sock.fileno() >= 0

    def test_connection_ends_when_the_client_has_read_its_response(self):
        conn, client = self.connection()
        conn.sock.send(b"answer")
        self.finish(conn)
        self.assertTrue(self.is_open(conn))

        client.send(b"still sending")
        self.worker.wait_for_and_dispatch_events(0)
        self.assertTrue(self.is_open(conn))
        self.assertEqual((client.recv(100), client.recv(100)), (b"answer", b""))

        client.close()
        self.worker.wait_for_and_dispatch_events(0)
        self.assertFalse(self.is_open(conn))
        self.assertEqual(self.worker.nr_conns, 0)

    def test_connection_that_the_client_has_ended_is_closed_at_once(self):
        conn, client = self.connection()
        client.close()
        self.finish(conn)

        self.assertFalse(self.is_open(conn))
        self.assertEqual(self.worker.nr_conns, 0)

    def test_client_has_its_time_and_no_more(self):
        conn, _client = self.connection()
        self.finish(conn)
        self.worker.notify()
        self.assertTrue(self.is_open(conn))

        with mock.patch.object(web_worker.time, "monotonic", return_value=time.monotonic() + 60):
            self.worker.notify()
        self.assertFalse(self.is_open(conn))
        self.assertEqual((self.worker.nr_conns, len(self.worker.poller.get_map())), (0, 0))

    def test_client_that_sends_without_end_is_left(self):
        conn, client = self.connection()
        self.finish(conn)
        while self.is_open(conn):
            client.send(bytes(16 * 1024), socket.MSG_DONTWAIT)
            self.worker.wait_for_and_dispatch_events(0)

    def test_new_connection_gets_a_thread_once_something_has_come(self):
        self.worker.tpool = mock.Mock()
        conn, client = self.connection()
        self.worker.enqueue_req(conn)
        self.worker.wait_for_and_dispatch_events(0)
        self.worker.tpool.submit.assert_not_called()

        client.send(b"G")
        self.worker.wait_for_and_dispatch_events(0)
        self.worker.tpool.submit.assert_called_once_with(self.worker.handle, conn)

    def test_silent_connections_have_less_time_when_they_are_many(self):
        conns = [self.connection()[0] for _ in range(10)]
        for conn in conns:
            self.worker.enqueue_req(conn)
        later = time.monotonic() + 2 * web_worker.CROWD_SECONDS
        with mock.patch.object(web_worker.time, "monotonic", return_value=later):
            self.worker.notify()
            self.assertEqual(self.worker.nr_conns, 10)
            with mock.patch.object(web_worker, "CROWD", 6):
                self.worker.notify()
        self.assertEqual([self.is_open(conn) for conn in conns], [False] * 4 + [True] * 6)
