"""Archives under the real web server, with clients that leave, stop reading, or come all at once."""

import contextlib
import http.client
import io
import json
import os
import socket
import struct
import sys
import unittest
import zipfile
from concurrent.futures import ThreadPoolExecutor

from django.test import tag

from apps.tickets.models import Image
from tests.case import CommittingTestCase
from tests.makers import jpeg_bytes, make_user, token_for
from tests.tickets.handover.makers import make_stored_ticket, replace_photo, running_delivery
from tests.web_server import RawClient, running_web_server

MIB = 1024 * 1024
# More than what the buffers of two sockets hold: who stops reading makes the server wait.
PHOTOS, SIZE = 4, 8 * MIB


@tag("any_database")
class DownloadTests(CommittingTestCase):
    def setUp(self):
        super().setUp()
        self.sandbox = self.enterContext(running_delivery())
        self.user = make_user()
        self.ticket = make_stored_ticket(self.user, [jpeg_bytes(number, size=SIZE) for number in range(PHOTOS)])
        self.path = f"/api/v1/tickets/{self.ticket.pk}/archive/"
        self.headers = {"Authorization": f"Token {token_for(self.user)}"}

    def serve(self, application: str = "hopla.wsgi", **environment: str) -> None:
        cloudinary = {"CLOUDINARY_URL": self.sandbox.cloudinary_url, "CLOUDINARY_DELIVERY_URL": self.sandbox.url}
        self.address = self.enterContext(running_web_server(application, **cloudinary | environment))

    def request(self, path: str | None = None) -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection(*self.address, timeout=60)
        self.addCleanup(connection.close)
        connection.request("GET", path or self.path, headers=self.headers)
        return connection.getresponse()

    def begin(self) -> RawClient:
        """A client that has the head of its archive, and reads no further."""
        client = RawClient(self.address)
        self.addCleanup(client.close)
        client.send_head("GET", self.path, **self.headers)
        self.assertEqual(client.answer().status, 200)
        return client

    def has_room(self) -> bool:
        """Whether there is room for another archive now; it is left at once."""
        response = self.request()
        if response.status == 503:
            self.assertEqual(json.loads(response.read())["code"], "archive_busy")
            self.assertTrue(response.headers["Retry-After"])
            return False
        self.assertEqual(response.status, 200)
        response.close()
        return True

    def test_arrives_whole_and_the_connection_is_kept(self):
        self.serve()
        connection = http.client.HTTPConnection(*self.address, timeout=60)
        self.addCleanup(connection.close)
        for _ in range(2):
            connection.request("GET", self.path, headers=self.headers)
            body = connection.getresponse().read()
            self.assertIsNone(zipfile.ZipFile(io.BytesIO(body)).testzip())
        connection.request("HEAD", self.path, headers=self.headers)
        head = connection.getresponse()
        self.assertEqual((head.read(), int(head.headers["Content-Length"])), (b"", len(body)))
        connection.request("GET", "/healthz")
        self.assertEqual(connection.getresponse().status, 200)

    def test_a_wrong_photo_ends_the_connection_before_all_has_come(self):
        replace_photo(Image.objects.filter(ticket=self.ticket).latest("position"), jpeg_bytes(99, size=SIZE))
        self.serve()
        with self.assertRaises(http.client.IncompleteRead) as raised:
            self.request().read()
        whole = int(self.request().headers["Content-Length"])
        self.assertGreater(len(raised.exception.partial), (PHOTOS - 1) * SIZE)
        self.assertLess(len(raised.exception.partial), whole)
        self.assertFalse(zipfile.is_zipfile(io.BytesIO(raised.exception.partial)))

    def test_clients_that_leave_make_room_for_others(self):
        self.serve()
        for number in range(6):  # three times as many as there may be
            client = self.wait_until(self.begin_if_possible)
            if number % 2:  # as when a phone is switched off, or a process killed
                client._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()
        self.wait_until(self.has_room)

    def begin_if_possible(self) -> RawClient | None:
        with contextlib.suppress(AssertionError):
            return self.begin()

    def test_no_more_than_so_many_at_once(self):
        self.serve(ARCHIVE_CONCURRENCY="3")
        with ThreadPoolExecutor(8) as pool:
            responses = list(pool.map(lambda _: self.request(), range(8)))
        statuses = sorted(response.status for response in responses)
        self.assertEqual(statuses, [200] * 3 + [503] * 5)
        for response in responses:
            if response.status == 200:
                self.assertIsNone(zipfile.ZipFile(io.BytesIO(response.read())).testzip())
        self.wait_until(self.has_room)

    def test_a_client_that_stops_reading_is_cut_off(self):
        self.serve("tests.tickets.handover.hasty_wsgi", ARCHIVE_CONCURRENCY="1", PATIENCE_SECONDS="1")
        client = self.begin()
        self.wait_until(self.has_room)
        self.assertLess(len(received_by(client)), PHOTOS * SIZE)

    def test_no_database_connection_is_held_meanwhile(self):
        if not os.environ.get("DATABASE_URL", "").startswith("postgres"):
            self.skipTest("needs PostgreSQL: SQLite has no pool")
        self.serve(ARCHIVE_CONCURRENCY="4", DATABASE_POOL_SIZE="1")
        for _ in range(4):
            self.begin()
        self.assertEqual(self.request(f"/api/v1/tickets/{self.ticket.pk}/status/").status, 200)

    @unittest.skipUnless(sys.platform == "linux", "elsewhere it is counted in other units")
    def test_memory_does_not_grow_with_the_photos(self):
        self.serve("tests.tickets.handover.hasty_wsgi")
        self.request(self.path.replace("archive", "manifest")).read()
        before = int(self.request("/peak-memory").read())
        self.request().read()
        self.assertLess(int(self.request("/peak-memory").read()) - before, SIZE // 2)


def received_by(client: RawClient) -> bytes:
    received = io.BytesIO()
    with contextlib.suppress(OSError):
        while portion := client._socket.recv(MIB):
            received.write(portion)
    return received.getvalue()
