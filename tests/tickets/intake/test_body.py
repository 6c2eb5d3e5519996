"""The body of an upload, taken from gunicorn's own connection objects."""

import socket
import threading
from types import SimpleNamespace
from unittest import mock

from django.test import SimpleTestCase, override_settings
from gunicorn.config import Config
from gunicorn.http.parser import RequestParser

from apps.common.api.errors import BodyIncompleteError
from apps.common.http.request_body import receive_from
from apps.tickets.intake.body import FIRST_WAIT_BYTES, LONGEST_WAIT_SECONDS, READ_BYTES, IncomingBody
from apps.tickets.intake.staged_upload import WRITE_EVERY_SECONDS
from apps.tickets.staging import store
from tests.case import one_turn

BODY = bytes(range(256)) * 2048


class IncomingBodyTests(SimpleTestCase):
    def setUp(self):
        self.client_socket, self.server_socket = socket.socketpair()
        self.addCleanup(self.client_socket.close)
        self.addCleanup(self.server_socket.close)
        self.parser = RequestParser(Config(), self.server_socket, ("127.0.0.1", 1))

    def head(self, path: str = "/") -> bytes:
        return f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(BODY)}\r\n\r\n".encode()

    def next_body(self) -> IncomingBody:
        """Of the next request that the parser finds on the connection."""
        request = next(self.parser)
        meta = {"wsgi.input": request.body, "CONTENT_LENGTH": str(len(BODY))}
        return IncomingBody(SimpleNamespace(META=meta, read=self.fail))

    def read_all(self, body: IncomingBody) -> bytes:
        return b"".join(iter(body.read, b""))

    def send_from_thread(self, content: bytes) -> None:
        thread = threading.Thread(target=self.client_socket.sendall, args=[content])
        thread.start()
        self.addCleanup(thread.join)

    def test_it_comes_whole_in_large_portions(self):
        self.send_from_thread(self.head() + BODY)

        portions = list(iter(self.next_body().read, b""))

        self.assertEqual(b"".join(portions), BODY)
        self.assertLessEqual(max(len(portion) for portion in portions), READ_BYTES)

    @override_settings(UPLOAD_MIN_BYTES_PER_SECOND=4096)
    def test_what_is_waited_for_grows_with_what_has_come(self):
        self.client_socket.sendall(self.head())
        body, awaited = self.next_body(), []

        def recv(size: int, flags: int) -> bytes:  # of a client that never has anything ready
            if flags == socket.MSG_DONTWAIT:
                raise BlockingIOError
            awaited.append(size)
            return bytes(size)

        with mock.patch(
            "apps.common.http.request_body.receive_from",
            lambda _, *rest: receive_from(SimpleNamespace(recv=recv), *rest),
        ):
            self.read_all(body)

        self.assertEqual(awaited[:4], [FIRST_WAIT_BYTES, FIRST_WAIT_BYTES, 2 * FIRST_WAIT_BYTES, 4 * FIRST_WAIT_BYTES])
        self.assertEqual((max(awaited), sum(awaited)), (30 * 4096, len(BODY)))

    def test_longest_wait_is_short_enough_for_what_is_staged(self):
        """At the slowest pace that is not cut off the next portion comes before the last piece has expired."""
        self.assertLess(LONGEST_WAIT_SECONDS + WRITE_EVERY_SECONDS, store.INCOMING_TTL_SECONDS)

    def test_next_request_on_the_connection_is_left_alone(self):
        self.send_from_thread(self.head("/first") + BODY + self.head("/second") + BODY)

        self.assertEqual(self.read_all(self.next_body()), BODY)

        self.assertEqual(self.read_all(self.next_body()), BODY)
        self.assertEqual(self.parser.mesg.path, "/second")

    def test_another_upload_has_its_turn_while_one_waits_for_its_client(self):
        self.client_socket.sendall(self.head())
        body, received, begun = self.next_body(), [], threading.Event()
        turns = self.enterContext(one_turn("apps.tickets.intake.body.uploads"))

        def read_in_turn():
            with turns.turn():
                begun.set()
                received.append(self.read_all(body))

        reader = threading.Thread(target=read_in_turn)
        reader.start()
        begun.wait()
        with turns.turn() as has_turn:
            self.assertTrue(has_turn)
            self.assertEqual(received, [])
            self.send_from_thread(BODY)
        reader.join()

        self.assertEqual(received, [BODY])

    def test_body_cut_short_is_refused(self):
        self.client_socket.sendall(self.head() + BODY[:5000])
        self.client_socket.shutdown(socket.SHUT_WR)
        body = self.next_body()

        self.assertEqual(body.read(), BODY[:5000])
        with self.assertRaises(BodyIncompleteError):
            body.read()
