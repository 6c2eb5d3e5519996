import contextlib
import re
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

from django.test import SimpleTestCase
from urllib3 import Timeout
from urllib3.exceptions import ConnectTimeoutError, HTTPError, ReadTimeoutError
from urllib3.filepost import encode_multipart_formdata

from apps.common.http import slow_clients
from apps.common.http.deadlines import Exchange, interrupt_all
from apps.tickets.storage.http_pool import DeadlinePoolManager
from tests.case import HoplaAssertions, one_turn

ANSWER = b"HTTP/1.1 200 OK\r\nX-Here: yes\r\nContent-Length: 2\r\n\r\nok"
SHORT_SECONDS = 0.3
LONG = Timeout(connect=20, read=20)


class Server:
    """A server that calls a function with each connection, in a thread. `connections` counts them."""

    def __init__(self, answer):
        self.answer, self.connections = answer, 0
        self.over = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):  # stopped
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with contextlib.suppress(OSError), connection:  # the client disconnected
            self.answer(self, connection)

    def drip(self, connection, head: bytes, drops: bytes, rest: bytes) -> None:
        """Send one byte at a time, each well within any read timeout; a valid response that takes ten seconds."""
        connection.recv(65536)
        connection.sendall(head)
        for drop in drops:
            if self.over.wait(10 / len(drops)):
                return
            connection.sendall(bytes([drop]))
        connection.sendall(rest)

    def stop(self):
        self.over.set()
        self._listener.close()


class DeadlineTestCase(HoplaAssertions, SimpleTestCase):
    def serve(self, answer) -> Server:
        server = Server(answer)
        self.addCleanup(server.stop)
        return server

    def setUp(self):
        super().setUp()
        self.pool = DeadlinePoolManager(maxsize=2, block=True)
        self.addCleanup(self.pool.clear)


class DeadlineTests(DeadlineTestCase):
    def assert_cut(self, url: str, *, method="GET", **options) -> Exchange:
        """The deadline ended it: there was no complete response, and urllib3's own timeout did not end it."""
        with Exchange(SHORT_SECONDS) as exchange:
            try:
                response = self.pool.request(method, url, timeout=LONG, **options)
            except (ReadTimeoutError, ConnectTimeoutError):
                raise
            except HTTPError:
                response = None
        self.assertTrue(exchange.timed_out)
        self.assertFalse(response and response.data)
        return exchange

    def test_dripping_header(self):
        server = self.serve(lambda it, to: it.drip(to, b"HTTP/1.1 200 OK\r\nX-Slow: ", b"x" * 100, b"\r\n\r\nwhole"))

        self.assert_cut(f"http://{server.address}")

    def test_dripping_body(self):
        head = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"
        server = self.serve(lambda it, to: it.drip(to, head, b"x" * 100, b""))

        self.assert_cut(f"http://{server.address}")

    def test_server_that_never_answers(self):
        server = self.serve(lambda it, to: it.over.wait())

        self.assert_cut(f"http://{server.address}")

    def test_server_that_never_reads_the_body(self):
        server = self.serve(lambda it, to: it.over.wait())

        self.assert_cut(f"http://{server.address}", method="POST", body=b"x" * 50_000_000)

    def test_server_that_never_shakes_hands_for_tls(self):
        server = self.serve(lambda it, to: it.over.wait())

        self.assert_cut(f"https://{server.address}")

    def test_connection_kept_from_an_earlier_exchange(self):
        def answer_once(it, connection):
            connection.recv(65536)
            connection.sendall(ANSWER)
            it.over.wait()

        server = self.serve(answer_once)
        with Exchange(20) as first:
            self.pool.request("GET", f"http://{server.address}", timeout=LONG)
        self.assertEqual((first.status, first.headers["X-Here"], first.timed_out), (200, "yes", False))

        exchange = self.assert_cut(f"http://{server.address}")
        self.assertEqual((exchange.status, server.connections), (None, 1))

    def test_another_job_has_its_turn_during_an_exchange(self):
        turns = self.enterContext(one_turn("apps.tickets.storage.http_pool.jobs"))
        turns_of_others = []

        def answer_in_turn(it, connection):
            connection.recv(65536)
            with turns.turn() as has_turn:
                turns_of_others.append(has_turn)
            connection.sendall(ANSWER)

        server = self.serve(answer_in_turn)
        with turns.turn():
            self.pool.request("GET", f"http://{server.address}", timeout=LONG)

        self.assertEqual(turns_of_others, [True])

    def test_form_with_a_file_is_the_one_that_urllib3_makes(self):
        asked = b""

        def answer_what_was_asked(it, connection):
            nonlocal asked
            while not asked.endswith(b"--\r\n"):
                asked += connection.recv(65536)
            connection.sendall(ANSWER)

        server = self.serve(answer_what_was_asked)
        fields = [
            ("name", "value"),
            ("more[]", "a"),
            ("more[]", "b"),
            ("file", ("photo", memoryview(b"\r\n--\xff" * 9))),
        ]

        self.pool.request("POST", f"http://{server.address}", fields=fields, headers={"X-Other": "kept"}, timeout=LONG)

        head, _, body = asked.partition(b"\r\n\r\n")
        boundary = re.search(rb"boundary=(\w+)", head)[1].decode()
        self.assertEqual(body, encode_multipart_formdata(fields, boundary=boundary)[0])
        self.assertIn(b"Content-Length: %d\r\n" % len(body), head + b"\r\n")
        self.assertIn(b"X-Other: kept", head)
        self.assertNotIn(b"Transfer-Encoding", head)

    def test_exchange_that_ended_in_time_leaves_its_connection_behind_and_no_thread(self):
        def answer_always(it, connection):
            while connection.recv(65536):
                connection.sendall(ANSWER)

        server = self.serve(answer_always)
        slow_clients.watcher.ensure_started()  # one thread for all
        for _ in range(3):
            before = threading.active_count()
            with Exchange(20) as exchange:
                self.assertLessEqual(threading.active_count(), before)
                response = self.pool.request("GET", f"http://{server.address}", timeout=LONG)
            self.assertEqual((response.data, exchange.timed_out), (b"ok", False))
        self.assertEqual(server.connections, 1)
        self.assertNotIn(exchange, slow_clients._watched)

    def test_exchanges_of_other_threads_go_on(self):
        slow = self.serve(lambda it, to: it.over.wait())
        release = threading.Event()

        def answer_late(it, connection):
            connection.recv(65536)
            release.wait(20)
            connection.sendall(ANSWER)

        other = self.serve(answer_late)
        answers = []

        def ask_the_other():
            with Exchange(20):
                answers.append(self.pool.request("GET", f"http://{other.address}", timeout=LONG).status)

        thread = threading.Thread(target=ask_the_other)
        thread.start()
        self.assert_cut(f"http://{slow.address}")
        release.set()
        thread.join()
        self.assertEqual(answers, [200])

    def test_nothing_is_repeated_or_redirected(self):
        def redirect(it, connection):
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n")

        server = self.serve(redirect)
        with Exchange(20):
            response = self.pool.request("POST", f"http://{server.address}", body=b"x", timeout=LONG)
        self.assertEqual((response.status, server.connections), (302, 1))


class InterruptionTests(DeadlineTestCase):
    def test_exchange_under_way_ends_and_says_so(self):
        server = self.serve(lambda it, to: it.over.wait(60))
        with Exchange(60) as exchange, ThreadPoolExecutor(1) as pool:
            interrupting = pool.submit(lambda: self.wait_until(lambda: server.connections) and interrupt_all())
            with self.assertRaises(HTTPError):
                self.pool.request("GET", f"http://{server.address}", timeout=LONG)
            interrupting.result()
        self.assertEqual((exchange.interrupted, exchange.timed_out), (True, False))

    def test_later_exchange_is_not_kept_from_anything(self):
        server = self.serve(lambda it, to: (to.recv(65536), to.sendall(ANSWER)))
        interrupt_all()
        with Exchange(60):
            self.assertEqual(self.pool.request("GET", f"http://{server.address}", timeout=LONG).data, b"ok")
