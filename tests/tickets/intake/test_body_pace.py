"""Bodies that come slowly or not at all, on real connections to the real web server."""

import http.client
import json
import time
from unittest import skipUnless

from django.db import connection
from django.test import tag

from apps.tickets.models import Image
from apps.tickets.staging import store
from tests.case import CommittingTestCase, staged_photos
from tests.makers import jpeg_bytes, make_ticket, make_user, token_for
from tests.web_server import RawClient, running_web_server

PHOTO = jpeg_bytes(1, size=60_000)
FORM = b'--b\r\nContent-Disposition: form-data; name="image"; filename="x.jpg"\r\n\r\n' + PHOTO + b"\r\n--b--\r\n"
MIN_BYTES_PER_SECOND = 20_000


class ServedTestCase(CommittingTestCase):
    def setUp(self):
        super().setUp()
        self.owner = make_user()
        self.ticket = make_ticket(self.owner)
        self.token = token_for(self.owner)

    def begin(self, *, body=PHOTO, sent: int = 0, content_type="image/jpeg", **headers) -> RawClient:
        """A client that has sent the head of its request, and with it so many bytes of the body."""
        client = RawClient(self.address)
        self.addCleanup(client.close)
        path = f"/api/v1/tickets/{self.ticket.pk}/images/"
        headers |= {"Authorization": f"Token {self.token}", "Content_Type": content_type, "Content_Length": len(body)}
        client.send_head("POST", path, body[:sent], **headers)
        return client


@tag("any_database")
class BodyPaceTests(ServedTestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.address = cls.enterClassContext(
            running_web_server(
                "tests.tickets.intake.impatient_wsgi", UPLOAD_MIN_BYTES_PER_SECOND=str(MIN_BYTES_PER_SECOND)
            )
        )

    def assert_too_slow(self, response: http.client.HTTPResponse) -> None:
        body = json.loads(response.read())
        self.assertEqual((response.status, body["code"]), (408, "body_too_slow"), body)
        self.assertEqual(response.headers["Content-Type"], "application/problem+json")

    def drip(self, client: RawClient, content: bytes, *, piece: int, seconds: float) -> None:
        for start in range(0, len(content), piece):
            if client.has_answer():
                return
            client.send(content[start : start + piece])
            time.sleep(seconds)

    def test_client_that_stalls_is_cut_off(self):
        silent, bare = self.begin(), self.begin(sent=1500)
        form = self.begin(body=FORM, content_type="multipart/form-data; boundary=b", sent=40_000)

        for name, client in {"silent": silent, "bare": bare, "form": form}.items():
            with self.subTest(name):
                self.assert_too_slow(client.answer())
        self.assert_nothing_kept()

    def test_client_that_drips_below_the_rate_is_cut_off(self):
        client = self.begin()
        self.drip(client, PHOTO, piece=20, seconds=0.02)

        self.assert_too_slow(client.answer())
        self.assert_nothing_kept()

    def test_client_whose_repeat_stalls_is_cut_off_too(self):
        first = self.begin(Idempotency_Key="a", sent=len(PHOTO))
        self.assertEqual(first.answer().status, 202)

        self.assert_too_slow(self.begin(Idempotency_Key="a").answer())
        self.assertEqual(Image.objects.count(), 1)

    def test_slow_and_steady_client_gets_its_photo_in(self):
        """It sends for a second, after what is enough for ten."""
        photo = jpeg_bytes(1, size=250_000)
        client = self.begin(body=photo, sent=200_000)
        self.wait_until(client.is_read)  # the first request to a server may be long in coming to its view
        self.drip(client, photo[200_000:], piece=1000, seconds=0.02)

        answer = client.answer()
        image = json.loads(answer.read())

        self.assertEqual(answer.status, 202, image)
        self.assertEqual(store.read(image["id"], len(photo)), photo)

    def test_client_that_hangs_up_leaves_nothing(self):
        photo = jpeg_bytes(1, size=600_000)
        client = self.begin(body=photo, sent=500_000)
        self.wait_until(staged_photos)

        client.close()

        self.wait_until(lambda: not staged_photos())
        self.assert_nothing_kept()

    def test_many_stalled_clients_do_not_keep_others_waiting(self):
        stalled = [self.begin() for _ in range(40)]
        quick = self.begin(sent=len(PHOTO))

        self.assertEqual(quick.answer().status, 202)

        for client in stalled:
            self.assertEqual(client.answer().status, 408)
        self.assertEqual(len(staged_photos()), 1)
        self.assertEqual(store.bytes_in_use(), len(PHOTO))


@skipUnless(connection.vendor == "postgresql", "needs PostgreSQL: SQLite has no pool")
class ConnectionTests(ServedTestCase):
    """Connections to the database, of which the web server here has one."""

    def test_clients_that_are_waited_for_hold_none(self):
        self.address = self.enterContext(running_web_server(DATABASE_POOL_SIZE="1"))
        photo = jpeg_bytes(1, size=600_000)
        for number in range(1, 4):
            client = self.begin(body=photo)
            client.send(photo[:500_000])
            self.wait_until(lambda expected=number: len(staged_photos()) == expected)

        quick = self.begin()
        quick.send(PHOTO)

        self.assertEqual(quick.answer().status, 202)
