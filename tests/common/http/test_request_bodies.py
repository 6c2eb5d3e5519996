"""Bodies that are read into memory: in chunks or with a length, whole and in time, on the real web server."""

import http.client
import json

from apps.accounts.models import User
from apps.tickets.models import Image, Ticket
from apps.tickets.staging import store
from tests.case import CommittingTestCase
from tests.makers import jpeg_bytes, make_ticket, make_user, token_for
from tests.web_server import RawClient, running_web_server

ME, LOGIN, TICKETS = "/api/v1/auth/users/me/", "/api/v1/auth/login/", "/api/v1/tickets/"
PHOTO = jpeg_bytes(1, size=100_000)
FORM = b'--b\r\nContent-Disposition: form-data; name="image"; filename="x.jpg"\r\n\r\n' + PHOTO + b"\r\n--b--\r\n"
FORM_TYPE = "multipart/form-data; boundary=b"


def in_chunks(content: bytes, *, of: int = 30_000) -> bytes:
    pieces = [content[start : start + of] for start in range(0, len(content), of)]
    return b"".join(b"%x;note=x\r\n%b\r\n" % (len(piece), piece) for piece in [*pieces, b""])


class RequestBodyTestCase(CommittingTestCase):
    application = "hopla.wsgi"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.address = cls.enterClassContext(running_web_server(cls.application))

    def setUp(self):
        super().setUp()
        self.user = make_user()
        self.token = token_for(self.user)

    def begin(
        self, method: str, path: str, body=b"", *, content_type="application/json", anonymous=False, **headers
    ) -> RawClient:
        """A client that has sent the head of its request, and with it as much of the body."""
        client = RawClient(self.address)
        self.addCleanup(client.close)
        headers |= {"Content_Type": content_type}
        headers |= {} if anonymous else {"Authorization": f"Token {self.token}"}
        client.send_head(method, path, body, **headers)
        return client

    def send(self, method: str, path: str, raw: bytes, **options) -> RawClient:
        """A client that has sent its body, as it goes over the line, in chunks."""
        client = self.begin(method, path, Transfer_Encoding="chunked", **options)
        client.send(raw)
        return client

    def assert_answer(self, client: RawClient, status: int, code: str | None = None) -> dict:
        answer = client.answer()
        self.headers = answer.headers
        content = json.loads(answer.read() or "{}")
        self.assertEqual((answer.status, content.get("code")), (status, code), content)
        if code:
            self.assertEqual(answer.headers["Content-Type"], "application/problem+json")
            self.assertEqual(answer.headers["X-Request-ID"], content["request_id"])
        return content

    def assert_goes_on(self, client: RawClient) -> None:
        """The connection is good for another request."""
        client.send_head("GET", "/healthz")
        self.assertEqual(client.answer().read(), b"ok\n")


class ChunkedTests(RequestBodyTestCase):
    def test_json_is_read_like_any_other(self):
        client = self.send("PATCH", ME, in_chunks(b'{"name": "Zo\xc3\xab"}', of=3))
        self.assertEqual(self.assert_answer(client, 200)["name"], "Zoë")
        self.assertEqual(User.objects.get().name, "Zoë")
        self.assert_goes_on(client)

        login = self.send("POST", LOGIN, in_chunks(b'{"username": "x", "password": "x"}'), anonymous=True)
        self.assert_answer(login, 401, "invalid_credentials")  # not 400: both fields have arrived

        self.assert_answer(self.send("POST", TICKETS, in_chunks(b'{"num_images": 7}')), 201)
        self.assertEqual(Ticket.objects.get().num_images, 7)

    def test_no_chunk_at_all_is_no_body(self):
        client = self.send("PATCH", ME, b"0\r\n\r\n")
        self.assert_answer(client, 200)
        self.assert_goes_on(client)

    def test_photo_is_read_like_any_other(self):
        images_url = f"{TICKETS}{make_ticket(self.user).pk}/images/"
        for content_type, content in (("image/jpeg", PHOTO), (FORM_TYPE, FORM)):
            with self.subTest(content_type):
                client = self.send("POST", images_url, in_chunks(content), content_type=content_type)
                image = self.assert_answer(client, 202)
                self.assertEqual(store.read(image["id"], len(PHOTO)), PHOTO)
                self.assert_goes_on(client)

    def test_limits_hold(self):
        client = self.send("POST", TICKETS, in_chunks(b'{"title": "' + b"x" * 1_100_000 + b'"}'))
        self.assert_answer(client, 413, "request_too_large")

        images_url = f"{TICKETS}{make_ticket(self.user).pk}/images/"
        photo = in_chunks(jpeg_bytes(2, size=11_000_000), of=1_000_000)
        self.assert_answer(self.send("POST", images_url, photo, content_type="image/jpeg"), 413, "image_too_large")
        self.assert_nothing_kept()

    def test_refusal_that_needs_no_body_leaves_a_good_connection(self):
        client = self.send("POST", TICKETS, in_chunks(b'{"num_images": 1}' * 1000), anonymous=True)
        self.assert_answer(client, 401, "not_authenticated")
        self.assert_goes_on(client)

    def test_chunks_that_make_no_sense(self):
        images_url = f"{TICKETS}{make_ticket(self.user).pk}/images/"
        for broken in (b"zz\r\n{}\r\n0\r\n\r\n", b"2\r\n{}xx0\r\n\r\n", b"2\r\n{}\r\n0\r\nno trailer\r\n\r\n"):
            for method, path, content_type in (
                ("PATCH", ME, "application/json"),
                ("POST", images_url, "image/jpeg"),
                ("POST", images_url, FORM_TYPE),
            ):
                with self.subTest(broken=broken, path=path, content_type=content_type):
                    client = self.send(method, path, broken, content_type=content_type)
                    self.assert_answer(client, 400, "body_malformed")
                    self.wait_until(lambda client=client: client.is_ended_after(b""))
        self.assert_nothing_kept()

    def test_many_tiny_chunks(self):
        client = self.send("POST", TICKETS, in_chunks(b'{"num_images": 1}' + b" " * 30_000, of=1))
        self.assert_answer(client, 400, "body_malformed")

    def test_body_that_breaks_off(self):
        images_url = f"{TICKETS}{make_ticket(self.user).pk}/images/"
        whole = in_chunks(PHOTO)
        for cut in (whole[:-2], whole[:-9], whole[:40_000], whole[:3], b""):
            for content_type in ("image/jpeg", "application/json"):
                with self.subTest(bytes=len(cut), content_type=content_type):
                    path = images_url if content_type == "image/jpeg" else TICKETS
                    client = self.send("POST", path, cut, content_type=content_type)
                    client.end_sending()
                    self.assert_answer(client, 400, "body_incomplete")
        self.assertEqual(Image.objects.count(), 0)


class SlowTests(RequestBodyTestCase):
    application = "tests.hasty_wsgi"

    def test_json_that_trickles_is_cut_off(self):
        for name, framing, trickle in (
            ("by its length", {"Content_Length": 60_000}, b"x"),
            ("in chunks", {"Transfer_Encoding": "chunked"}, b"1\r\nx\r\n"),
            ("silent", {"Content_Length": 60_000}, b""),
        ):
            with self.subTest(name):
                client = self.begin("POST", LOGIN, anonymous=True, **framing)
                self.wait_until(lambda client=client, trickle=trickle: client.is_ended_after(trickle))
                self.assertIn(b" 408 ", client.seen)
                self.assertIn(b'"body_too_slow"', client.seen)

    def test_form_outside_the_api_is_cut_off(self):
        form = "application/x-www-form-urlencoded"
        head = {"Content_Length": 60_000, "Cookie": "csrftoken=" + "x" * 32}  # without one the body is not read at all
        client = self.begin("POST", "/admin/login/", content_type=form, anonymous=True, **head)
        self.wait_until(lambda: client.is_ended_after(b"x"))
        self.assertIn(b" 408 ", client.seen)

    def test_body_that_ends_early(self):
        client = self.begin("PATCH", ME, b'{"name": "Zo"}', Content_Length=100)
        client.end_sending()
        self.assert_answer(client, 400, "body_incomplete")


class EncodedTests(RequestBodyTestCase):
    def test_encoded_body_is_refused_before_it_is_read(self):
        for path in (LOGIN, TICKETS, f"{TICKETS}1/images/", "/api/v1/nothing/"):
            for framing in ({"Content_Length": 500}, {"Transfer_Encoding": "chunked"}):
                with self.subTest(path=path, framing=framing):
                    client = self.begin("POST", path, Content_Encoding="GZip, <b>", **framing)
                    problem = self.assert_answer(client, 415, "unsupported_encoding")
                    self.assertIn("gzip, ?b?", problem["detail"])
                    self.assertEqual(self.headers["Accept-Encoding"], "identity")

    def test_body_as_it_is_may_say_so(self):
        client = self.begin("PATCH", ME, Content_Encoding="identity", Content_Length=2)
        client.send(b"{}")
        self.assert_answer(client, 200)

    def test_request_without_a_body_is_none_of_it(self):
        connection = http.client.HTTPConnection(*self.address, timeout=60)
        self.addCleanup(connection.close)
        headers = {"Host": "localhost", "Content-Encoding": "gzip", "Authorization": f"Token {self.token}"}
        connection.request("GET", TICKETS, headers=headers)
        self.assertEqual(connection.getresponse().status, 200)
