"""Uploads that break off, stall or are overtaken, on real connections to the real web server."""

import json
import socket
import struct
from contextlib import suppress

from django.test import tag

from apps.tickets.models import Image
from apps.tickets.resumable import state
from apps.tickets.staging import store
from tests.case import CommittingTestCase, staging_redis
from tests.makers import jpeg_bytes, token_for
from tests.tickets.resumable.case import OFFSET_STREAM, TusMixin
from tests.web_server import RawClient, running_web_process, running_web_server

PHOTO = jpeg_bytes(1, size=900_000)
SIZE = len(PHOTO)


def bytes_come(upload_id: str) -> int:
    return int(staging_redis().hget(state.key_of(upload_id), "offset"))


class WireTestCase(TusMixin, CommittingTestCase):
    application = "hopla.wsgi"
    environment: dict[str, str] = {}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.address = cls.enterClassContext(running_web_server(cls.application, **cls.environment))

    def setUp(self):
        super().setUp()
        self.token = token_for(self.owner)
        self.path = self.begun(length=SIZE)
        self.upload_id = self.path.split("/")[-2]

    def open(self, method: str, path: str, **headers) -> RawClient:
        """A client that has sent the head of its request."""
        client = RawClient(self.address)
        self.addCleanup(client.close)
        headers = {"Authorization": f"Token {self.token}", "Tus_Resumable": "1.0.0"} | headers
        client.send_head(method, path, **headers)
        return client

    def sending(self, offset: int, **headers) -> RawClient:
        headers = {"Content_Type": OFFSET_STREAM, "Upload_Offset": offset} | headers
        return self.open("PATCH", self.path, **{"Content_Length": SIZE - offset} | headers)

    def asked(self) -> int:
        response = self.open("HEAD", self.path).answer()
        self.assertEqual(response.status, 200)
        return int(response.headers["Upload-Offset"])

    def assert_finished_from(self, offset: int) -> None:
        client = self.sending(offset)
        client.send(PHOTO[offset:])
        answer = client.answer()
        self.assertEqual((answer.status, answer.headers["Upload-Offset"]), (204, str(SIZE)), answer.headers.items())
        self.assertEqual(Image.objects.get().pk.hex, self.upload_id.replace("-", ""))
        self.assertEqual(bytes(store.read(self.upload_id, SIZE)), PHOTO)
        self.assertEqual(store.bytes_in_use(), SIZE)


class WrongOffsetTests(WireTestCase):
    def test_bytes_that_would_come_in_vain_are_not_waited_for(self):
        client = self.sending(5)
        answer = client.answer()
        self.assertEqual((answer.status, json.loads(answer.read())["code"]), (409, "upload_offset_mismatch"))
        with suppress(OSError):
            client.send(PHOTO[5:])
            client.send_head("HEAD", self.path, Authorization=f"Token {self.token}", Tus_Resumable="1.0.0")
        self.wait_until(lambda: client.is_ended_after(b""))
        self.assertEqual(client.seen, b"")  # no answer to a second request on this connection
        self.assert_finished_from(0)


class BrokenOffTests(WireTestCase):
    def test_every_byte_before_the_end_of_the_connection_is_kept(self):
        offset = 0
        for size in (100, 200_000, 450_000):
            client = self.sending(offset)
            client.send(PHOTO[offset : offset + size])
            client.end_sending()
            self.assertEqual(client.answer().status, 400)
            offset += size
            self.assertEqual(self.asked(), offset)
        self.assert_finished_from(offset)

    def test_bytes_before_a_reset_are_kept_as_they_arrived(self):
        client = self.sending(0)
        client.send(PHOTO[:500_000])
        self.wait_until(lambda: bytes_come(self.upload_id))
        client._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()

        offset = self.asked()

        self.assertGreater(offset, 0)
        self.assertEqual(store.read_range(self.upload_id, 0, offset), PHOTO[:offset])
        self.assert_finished_from(offset)

    def test_body_in_chunks_is_kept_as_far_as_it_came(self):
        client = self.sending(0, Content_Length=None, Transfer_Encoding="chunked")
        client.send(b"%x\r\n%b\r\n" % (300_000, PHOTO[:300_000]))
        client.end_sending()
        self.assertEqual(client.answer().status, 400)
        self.assertEqual(self.asked(), 300_000)

        client = self.sending(300_000, Content_Length=None, Transfer_Encoding="chunked")
        client.send(b"%x\r\n%b\r\n0\r\n\r\n" % (SIZE - 300_000, PHOTO[300_000:]))
        self.assertEqual(client.answer().status, 204)
        self.assertEqual(bytes(store.read(self.upload_id, SIZE)), PHOTO)

    def test_bytes_of_a_creation_that_broke_off_are_found_by_its_key(self):
        headers = {"Content_Type": OFFSET_STREAM, "Upload_Length": SIZE, "Content_Length": SIZE}
        client = self.open("POST", self.uploads_path, Idempotency_Key="a", **headers)
        client.send(PHOTO[:200_000])
        client.end_sending()
        self.assertEqual(client.answer().status, 400)

        again = self.open("POST", self.uploads_path, Idempotency_Key="a", Upload_Length=SIZE, Content_Length=0).answer()
        self.assertEqual((again.status, again.headers["Upload-Offset"]), (201, "200000"))

    def test_piece_with_a_checksum_that_breaks_off_is_forgotten(self):
        client = self.sending(0, Upload_Checksum="sha1 AAAAAAAAAAAAAAAAAAAAAAAAAAA=")
        client.send(PHOTO[:500_000])
        client.end_sending()
        self.assertEqual(client.answer().status, 400)
        self.assertEqual(self.asked(), 0)
        self.assert_finished_from(0)

    def test_length_that_goes_past_the_end_is_refused_before_the_body(self):
        client = self.sending(0, Content_Length=SIZE + 1)
        answer = client.answer()
        self.assertEqual((answer.status, json.loads(answer.read())["code"]), (413, "upload_too_long"))

    def test_refusal_at_the_first_bytes_does_not_wait_for_the_rest(self):
        client = self.sending(0)
        client.send(b"%PDF" * 8192)
        answer = client.answer()
        self.assertEqual((answer.status, json.loads(answer.read())["code"]), (415, "unsupported_image"))

    def test_client_that_expects_to_be_told_to_go_on_is(self):
        client = self.sending(0, Expect="100-continue")
        self.assertTrue(self.wait_until(client.has_answer))
        self.assertIn(b"100 Continue", client._socket.recv(25))


class OvertakenTests(WireTestCase):
    environment = {"WEB_CONCURRENCY": "2"}

    def hanging(self, size: int) -> RawClient:
        """A client of which so many bytes have come, and no more will, on a connection that stays."""
        client = self.sending(0)
        client.send(PHOTO[:size])
        self.wait_until(lambda: bytes_come(self.upload_id) and client.is_read())
        return client

    def test_newer_request_gets_all_that_the_older_one_brought(self):
        older = self.hanging(500_000)

        offset = self.asked()

        self.assertEqual(offset, 500_000)
        answer = older.answer()
        self.assertEqual((answer.status, json.loads(answer.read())["code"]), (423, "upload_overtaken"))
        self.assert_finished_from(offset)

    def test_newer_request_that_sends_wins_too(self):
        older = self.hanging(500_000)
        newer = self.sending(500_000)
        newer.send(PHOTO[500_000:])
        self.assertEqual(newer.answer().status, 204)
        self.assertEqual(older.answer().status, 423)
        self.assertEqual(bytes(store.read(self.upload_id, SIZE)), PHOTO)

    def test_upload_is_taken_back_under_a_request_that_hangs(self):
        older = self.hanging(500_000)
        self.assertEqual(self.open("DELETE", self.path).answer().status, 204)
        self.assertEqual(older.answer().status, 423)
        self.assert_nothing_kept()

    def test_redis_emptied_in_the_middle_is_told_honestly(self):
        older = self.hanging(500_000)
        staging_redis().flushdb()
        self.assertEqual(self.open("HEAD", self.path).answer().status, 404)
        with suppress(OSError):  # it may have been answered, and its connection closed
            older.send(PHOTO[500_000:])
        self.assertIn(older.answer().status, (423, 503))
        self.assertEqual(self.open("HEAD", self.path).answer().status, 404)
        self.assert_nothing_kept()


@tag("slow")
class KilledWebTests(TusMixin, CommittingTestCase):
    def test_upload_goes_on_in_another_process_after_the_first_was_killed(self):
        path, token = self.begun(length=SIZE), token_for(self.owner)
        head = {"Authorization": f"Token {token}", "Tus_Resumable": "1.0.0", "Content_Type": OFFSET_STREAM}
        with running_web_process() as (web, address):
            client = RawClient(address)
            self.addCleanup(client.close)
            client.send_head("PATCH", path, Upload_Offset=0, Content_Length=SIZE, **head)
            client.send(PHOTO[:800_000])
            self.wait_until(lambda: bytes_come(path.split("/")[-2]))
            web.kill()

        with running_web_server() as address:
            asked = RawClient(address)
            asked.send_head("HEAD", path, **head)
            offset = int(asked.answer().headers["Upload-Offset"])
            self.assertGreater(offset, 0)
            client = RawClient(address)
            client.send_head("PATCH", path, Upload_Offset=offset, Content_Length=SIZE - offset, **head)
            client.send(PHOTO[offset:])
            self.assertEqual(client.answer().status, 204)

        self.assertEqual(bytes(store.read(Image.objects.get().pk, SIZE)), PHOTO)
        self.assertEqual(store.bytes_in_use(), SIZE)


class SlowClientTests(WireTestCase):
    application = "tests.tickets.intake.impatient_wsgi"
    environment = {"UPLOAD_MIN_BYTES_PER_SECOND": "20000"}

    def test_client_that_stalls_is_cut_off_and_its_bytes_are_kept(self):
        for sent in (1500, 30_000):
            with self.subTest(sent):
                offset = self.asked()
                client = self.sending(offset)
                client.send(PHOTO[offset : offset + sent])
                answer = client.answer()
                self.assertEqual((answer.status, json.loads(answer.read())["code"]), (503, "body_too_slow"))
                self.assertEqual(self.asked(), offset + sent)


class InterimAnswerTests(WireTestCase):
    def post(self, *, version: str | None = "8", **headers) -> RawClient:
        """A client that has sent the head of a photo that is posted at once."""
        headers = {"Content_Type": "image/jpeg", "Content_Length": SIZE, "Upload_Complete": "?1"} | headers
        headers |= {"Tus_Resumable": None, "Upload_Draft_Interop_Version": version}
        return self.open("POST", f"/api/v1/tickets/{self.ticket.pk}/images/", **headers)

    def interim(self, client: RawClient) -> tuple[str, dict]:
        """The status line and the headers of the next answer, as far as its first empty line."""
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += client._socket.recv(1)
        line, *fields = head.decode().strip().split("\r\n")
        return line, dict(field.split(": ", 1) for field in fields)

    def test_photo_that_breaks_off_goes_on_at_the_place_that_the_interim_answer_names(self):
        client = self.post()
        line, told = self.interim(client)
        self.assertEqual(line, "HTTP/1.1 104 Upload Resumption Supported")
        self.assertEqual(told["Upload-Draft-Interop-Version"], "8")
        self.assertIn("max-size=", told["Upload-Limit"])
        client.send(PHOTO[:500_000])
        client.close()

        self.path = "/" + told["Location"].split("/", 3)[3]
        spoken = {"Tus_Resumable": None, "Upload_Draft_Interop_Version": "8"}
        head = self.open("HEAD", self.path, **spoken).answer()
        self.assertEqual((head.status, head.headers["Upload-Complete"]), (204, "?0"))
        offset = int(head.headers["Upload-Offset"])
        self.assertEqual(offset, 500_000)
        client = self.sending(offset, Content_Type="application/partial-upload", Upload_Complete="?1", **spoken)
        client.send(PHOTO[offset:])
        answer = client.answer()

        self.assertEqual((answer.status, answer.headers["Upload-Complete"]), (202, "?1"))
        image = json.loads(answer.read())
        self.assertEqual(image["id"], self.path.split("/")[-2])
        self.assertEqual(bytes(store.read(image["id"], SIZE)), PHOTO)

    def test_photo_that_does_not_break_off_gets_the_plain_answer_after_it(self):
        client = self.post(Expect="100-continue")
        lines = {self.interim(client)[0], self.interim(client)[0]}
        self.assertEqual({line.split()[1] for line in lines}, {"100", "104"})
        client.send(PHOTO)
        self.assertEqual(client.answer().status, 202)

    def test_clients_that_did_not_ask_never_see_it(self):
        for headers in (
            {"version": "3"},
            {"version": None},
            {"Upload_Complete": None},
            {"Upload_Complete": "?0", "Content_Length": 0},
        ):
            with self.subTest(headers):
                client = self.post(**headers)
                client.send(PHOTO if "Content_Length" not in headers else b"")
                self.assertIn(client.answer().status, (201, 202))
                Image.objects.all().delete()
