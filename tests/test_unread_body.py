"""A refusal that comes before the body was read still reaches the client, and its connection goes on."""

import http.client
import io
import json
import socket
from unittest import mock

from django.test import RequestFactory, SimpleTestCase

from hopla import unread_body
from hopla.unread_body import read_off
from tests.case import CommittingTestCase
from tests.makers import jpeg_bytes, make_image, make_ticket, make_user, token_for
from tests.web_server import running_web_server

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
        """The status and the code of the answer, after the whole body was sent."""
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
    """Zeros without end."""

    def __init__(self):
        super().__init__()
        self.taken = 0

    def read(self, size=-1):
        self.taken += size
        return bytes(size)


class BoundsTests(SimpleTestCase):
    def request(self, stream, *, length: int, **environ):
        environ |= {"wsgi.input": stream, "CONTENT_LENGTH": str(length)}
        return RequestFactory().generic("POST", "/", **environ)

    def test_body_is_read_to_its_end(self):
        stream = io.BytesIO(bytes(3 * MEGABYTE))
        read_off(self.request(stream, length=3 * MEGABYTE))

        self.assertEqual(stream.tell(), 3 * MEGABYTE)

    def test_endless_body_is_not(self):
        stream = Stream()
        read_off(self.request(stream, length=10**12))

        self.assertLess(stream.taken, unread_body.MAX_BYTES + unread_body.READ_BYTES)

    def test_client_that_stalls_is_left(self):
        ours, theirs = socket.socketpair()
        self.addCleanup(ours.close)
        self.addCleanup(theirs.close)
        theirs.sendall(b"x" * 10)  # and then nothing more
        request = self.request(ours.makefile("rb"), length=1000, **{"gunicorn.socket": ours})

        with mock.patch.object(unread_body, "STALL_SECONDS", 0.1):
            read_off(request)

        self.assertIsNone(ours.gettimeout())
