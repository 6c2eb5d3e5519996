"""A refusal before the body was read still reaches the client, and its connection stays usable."""

import http.client
import io
import json
import socket
import threading
from unittest import mock

from django.test import SimpleTestCase
from gunicorn.config import Config
from gunicorn.http.parser import RequestParser

from apps.common.http import unread_body
from apps.common.http.request_body import RequestBody
from apps.common.http.unread_body import read_off
from tests.case import CommittingTestCase
from tests.makers import jpeg_bytes, make_image, make_ticket, make_user, token_for
from tests.web_server import RawClient, running_web_server

MEGABYTE = 1024 * 1024
PHOTO = jpeg_bytes(1, size=5 * MEGABYTE)


class RefusalTests(CommittingTestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.address = cls.enterClassContext(running_web_server())

    def setUp(self):
        super().setUp()
        self.owner = make_user()
        self.ticket = make_ticket(self.owner, num_images=1)
        self.url = f"/api/v1/tickets/{self.ticket.pk}/images/"
        self.token = {"Authorization": f"Token {token_for(self.owner)}"}
        self.connection = http.client.HTTPConnection(*self.address, timeout=60)
        self.addCleanup(self.connection.close)

    def post(self, body=PHOTO, *, url=None, token=True, **headers) -> tuple[int, str]:
        """Returns the status and code of the response, after the whole body was sent."""
        headers = {"Host": "localhost", "Content-Type": "image/jpeg"} | (self.token if token else {}) | headers
        self.connection.request("POST", url or self.url, body, headers)
        response = self.connection.getresponse()
        return response.status, json.loads(response.read()).get("code")

    def test_connection_is_as_good_as_new_after_a_refusal(self):
        full = make_ticket(self.owner, num_images=1)
        make_image(full)
        for expected, options in (
            ((409, "ticket_full"), {"url": f"/api/v1/tickets/{full.pk}/images/"}),
            ((401, "not_authenticated"), {"token": False}),
            ((404, "not_found"), {"url": "/api/v1/tickets/987654321/images/"}),
            ((404, "not_found"), {"url": "/api/v1/nothing/"}),
            ((405, "method_not_allowed"), {"url": f"/api/v1/tickets/{self.ticket.pk}/"}),
            ((415, "unsupported_media_type"), {"Content-Type": "application/octet-stream"}),
            ((413, "image_too_large"), {"body": bytes(11 * MEGABYTE)}),
        ):
            with self.subTest(expected):
                self.assertEqual(self.post(**options), expected)
                before = self.connection.sock
                self.assertIsNotNone(before)

                self.connection.request("GET", "/healthz", headers={"Host": "localhost"})

                self.assertEqual(self.connection.getresponse().read(), b"ok\n")
                self.assertIs(self.connection.sock, before)

    def test_photo_posted_right_after_a_refusal_is_taken(self):
        self.assertEqual(self.post(b"This is no photo." * 200_000), (415, "unsupported_image"))

        self.assertEqual(self.post(), (202, None))


class Stream(io.RawIOBase):
    """An endless body of zeros."""

    def __init__(self):
        super().__init__()
        self.taken = 0

    def read(self, size=-1):
        self.taken += size
        return bytes(size)


class BoundsTests(SimpleTestCase):
    def read_off(self, stream, *, length: int, sock=None) -> bool:
        body = RequestBody(stream, length=length)
        return read_off(body, sock, most_bytes=unread_body.MAX_BYTES, seconds=unread_body.MAX_SECONDS)

    def connected(self) -> list[socket.socket]:
        pair = socket.socketpair()
        for end in pair:
            self.addCleanup(end.close)
        return pair

    def test_body_is_read_to_its_end(self):
        stream = io.BytesIO(bytes(3 * MEGABYTE))

        self.assertTrue(self.read_off(stream, length=3 * MEGABYTE))
        self.assertEqual(stream.tell(), 3 * MEGABYTE)

    def test_endless_body_is_not(self):
        stream = Stream()

        self.assertFalse(self.read_off(stream, length=10**12))
        self.assertLess(stream.taken, unread_body.MAX_BYTES + MEGABYTE)

    def test_client_that_stalls_is_left(self):
        ours, theirs = self.connected()
        theirs.sendall(b"x" * 10)  # and then nothing more
        with mock.patch.object(unread_body, "STALL_SECONDS", 0.1):
            self.assertFalse(self.read_off(ours.makefile("rb"), length=1000, sock=ours))

        self.assertIsNone(ours.gettimeout())

    def test_client_that_sends_byte_by_byte_is_cut_off(self):
        ours, theirs = self.connected()
        theirs.sendall(HEAD)
        request = next(RequestParser(Config(), ours, ("127.0.0.1", 1)))
        is_over = threading.Event()
        trickle = threading.Thread(target=send_until, args=[theirs, is_over])
        trickle.start()
        self.addCleanup(trickle.join)
        self.addCleanup(is_over.set)
        with mock.patch.object(unread_body, "MAX_SECONDS", 0.2):
            self.assertFalse(self.read_off(request.body, length=10**6, sock=ours))

        self.assertTrue(request.body.failed)  # so that gunicorn does not wait for the rest


HEAD = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n"


def send_until(sock: socket.socket, is_over: threading.Event) -> None:
    while not is_over.wait(0.01):
        sock.send(b"x")


class TricklingTests(CommittingTestCase):
    """On real connections to the real web server, with a limit of half a second instead of fifteen."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.address = cls.enterClassContext(running_web_server("tests.hasty_wsgi"))

    def client_that_trickles(self, first: bytes, trickle: bytes = b"x") -> RawClient:
        """Until the server has ended the connection."""
        client = RawClient(self.address)
        self.addCleanup(client.close)
        client.send(first)
        self.wait_until(lambda: client.is_ended_after(trickle))
        return client

    def test_refused_request_is_ended_whatever_the_client_sends(self):
        head = "POST /api/v1/tickets/1/images/ HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\n"
        for name, (framing, trickle) in {
            "by its length": ("Content-Length: 1000000", b"x"),
            "in small chunks": ("Transfer-Encoding: chunked", b"1\r\nx\r\n"),
            "in the size of a chunk": ("Transfer-Encoding: chunked", b"0"),
        }.items():
            with self.subTest(name):
                client = self.client_that_trickles(f"{head}{framing}\r\n\r\n".encode(), trickle)
                self.assertIn(b" 401 ", client.seen)

    def test_body_that_nobody_reads_is_ended(self):
        head = "POST /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n"
        self.assertIn(b" 405 ", self.client_that_trickles(head.encode()).seen)

    def test_head_that_does_not_end_is_ended(self):
        self.assertEqual(self.client_that_trickles(b"GET /healthz HTTP/1.1\r\nX-Filler: ").seen, b"")
