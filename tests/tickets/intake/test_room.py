"""Photos that find the staging budget full wait a moment for room, and are refused with an honest Retry-After."""

import io
import json
import threading
import time
import uuid
from types import SimpleNamespace
from unittest import mock

from django.conf import settings
from django.test import override_settings

from apps.tickets.errors import ImageTooLargeError
from apps.tickets.intake import room
from apps.tickets.intake.stream import reserved_stream
from apps.tickets.models import Image
from apps.tickets.staging import store
from tests.case import ApiTestCase, CommittingTestCase, at_once, staged_photos, staging_redis
from tests.makers import client_for, jpeg_bytes, make_ticket, make_user, token_for
from tests.web_server import RawClient, running_web_server

PHOTO = jpeg_bytes(1, size=1000)


@override_settings(STAGING_MAX_BYTES=1000, STAGING_TTL_SECONDS=3600)
class RoomTests(CommittingTestCase):
    def setUp(self):
        super().setUp()
        self.owner = make_user()
        self.client = client_for(self.owner)
        self.url = f"/api/v1/tickets/{make_ticket(self.owner, num_images=50).pk}/images/"
        self.occupant = self.occupy()

    def occupy(self) -> uuid.UUID:
        """The whole budget, by another photo."""
        image_id = uuid.uuid4()
        store.reserve(image_id, 1000)
        store.write_last(image_id, bytes(1000), offset=0)
        return image_id

    def post(self, client=None):
        return (client or self.client).generic("POST", self.url, PHOTO, "image/jpeg")

    def be_impatient(self) -> None:
        self.enterContext(mock.patch.object(room, "WAIT_SECONDS", 0.2))

    def assert_full(self, response) -> int:
        """Answers the seconds that Retry-After names."""
        self.assert_problem(response, 503, "staging_full")
        self.assertEqual(Image.objects.count(), 0)
        self.assertEqual(store.bytes_in_use(), 1000)
        return int(response["Retry-After"])

    def test_photo_waits_for_room_that_comes_soon(self):
        self.enterContext(mock.patch.object(room, "WAIT_SECONDS", 30))
        delivered = threading.Timer(0.3, store.discard, [self.occupant])
        delivered.start()
        self.addCleanup(delivered.join)

        self.assertEqual(self.post().status_code, 202)
        self.assertEqual(store.bytes_in_use(), len(PHOTO))

    def test_refusal_names_the_wait(self):
        self.be_impatient()
        self.assertEqual(self.assert_full(self.post()), store.LONGEST_WAIT_SECONDS)

    def test_wait_is_short_where_photos_drain_quickly(self):
        self.be_impatient()
        store.discard(self.occupant)
        for _ in range(20):
            store.discard(self.occupy())
        self.occupy()

        wait = self.assert_full(self.post())

        self.assertLess(wait, 5)  # 21,000 bytes within the last seconds: 1,000 of them take about two

    def test_photo_is_taken_as_soon_as_there_is_room_again(self):
        self.be_impatient()
        self.assert_full(self.post())
        store.discard(self.occupant)

        self.assertEqual(self.post().status_code, 202)

    def test_photos_past_the_waiting_room_are_refused_at_once(self):
        waiting = [room._waiting_room.acquire(blocking=False) for _ in range(32)]
        self.addCleanup(lambda: [room._waiting_room.release() for taken in waiting if taken])
        self.assertTrue(all(waiting))
        # A photo that waited would find room.
        clock = SimpleNamespace(monotonic=time.monotonic, sleep=lambda seconds: store.discard(self.occupant))
        with mock.patch.object(room, "time", clock):
            self.assert_problem(self.post(), 503, "staging_full")

    def test_many_wait_side_by_side_and_leave_nothing(self):
        self.be_impatient()
        answers = at_once(self.post, [client_for(self.owner) for _ in range(8)])

        for response in answers:
            self.assert_full(response)
        taken = [room._waiting_room.acquire(blocking=False) for _ in range(32)]
        for _ in taken:
            room._waiting_room.release()
        self.assertTrue(all(taken))  # each has left the waiting room


class BodyThatIsOvertaken(io.BytesIO):
    """A body of which a part has come when another photo takes the rest of the budget, and `then` is called with it."""

    def __init__(self, content: bytes, *, overtaken_at: int, then=lambda occupant: None):
        super().__init__(content)
        self.overtaken_at = overtaken_at
        self.occupant = None
        self.then = then

    def read(self, size=-1):
        if self.occupant is None and self.tell() >= self.overtaken_at:
            self.occupant = uuid.uuid4()
            store.reserve(self.occupant, settings.STAGING_MAX_BYTES - store.bytes_in_use())
            self.then(self.occupant)
        return super().read(size)


@override_settings(STAGING_MAX_BYTES=8_000_000, IMAGE_MAX_BYTES=6_000_000, STAGING_TTL_SECONDS=3600)
class RoomThatRunsOutTests(ApiTestCase):
    """In the middle of an upload there is no room for what comes next."""

    PHOTO = jpeg_bytes(1, size=5_000_000)

    def setUp(self):
        super().setUp()
        self.owner = make_user()
        self.client = client_for(self.owner)
        self.url = f"/api/v1/tickets/{make_ticket(self.owner, num_images=50).pk}/images/"

    def post(self, body):
        return self.client.request(
            PATH_INFO=self.url,
            REQUEST_METHOD="POST",
            CONTENT_TYPE="image/jpeg",
            CONTENT_LENGTH=str(len(self.PHOTO)),
            **{"wsgi.input": body},
        )

    def test_photo_is_refused_and_leaves_nothing(self):
        self.enterContext(mock.patch.object(room, "WAIT_SECONDS", 0.2))
        for overtaken_at in (400_000, 2_000_000):
            with self.subTest(overtaken_at):
                body = BodyThatIsOvertaken(self.PHOTO, overtaken_at=overtaken_at)
                response = self.post(body)

                self.assert_problem(response, 503, "staging_full")
                self.assertIn(int(response["Retry-After"]), range(1, 61))
                self.assertEqual(staged_photos(), [str(body.occupant)])
                self.assertLess(store.bytes_in_use(), 8_000_000)
                store.discard(body.occupant)
                self.assert_nothing_kept()

    def test_photo_waits_for_room_that_comes_soon(self):
        self.enterContext(mock.patch.object(room, "WAIT_SECONDS", 30))

        def free_soon(occupant):
            freed = threading.Timer(0.3, store.discard, [occupant])
            freed.start()
            self.addCleanup(freed.join)

        body = BodyThatIsOvertaken(self.PHOTO, overtaken_at=2_000_000, then=free_soon)
        response = self.post(body)

        self.assertEqual(response.status_code, 202, response.content)
        self.assertEqual(store.read(response.json()["id"], 5_000_000), self.PHOTO)
        self.assertEqual(store.bytes_in_use(), 5_000_000)

    def test_photo_of_unknown_length_holds_what_has_come(self):
        with reserved_stream(None, user=self.owner.pk) as stream:
            stream.open("photo.jpg")
            for start in range(0, 5_000_000, 100_000):
                stream.write(self.PHOTO[start : start + 100_000])
                self.assertLessEqual(store.bytes_in_use(), max(store.AT_ONCE_BYTES, 2 * (start + 100_000)))
            photo = stream.close()

        self.assertEqual(store.read(photo.image_id, photo.size), self.PHOTO)
        self.assertEqual(store.bytes_in_use(), 5_000_000)

    def test_photo_of_unknown_length_is_bounded(self):
        with self.assertRaises(ImageTooLargeError), reserved_stream(None) as stream:
            stream.open("photo.jpg")
            stream.write(self.PHOTO)
            stream.write(bytes(1_000_001))
        self.assert_nothing_kept()


class ManySlowUploadsTests(CommittingTestCase):
    """On real connections to the real web server."""

    PHOTO = jpeg_bytes(1, size=1_000_000)

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.address = cls.enterClassContext(
            running_web_server(STAGING_MAX_BYTES="4000000", IMAGE_MAX_BYTES="1000000", WEB_CONCURRENCY="1")
        )

    def begin(self, user, ticket) -> RawClient:
        client = RawClient(self.address)
        self.addCleanup(client.close)
        client.send_head(
            "POST",
            f"/api/v1/tickets/{ticket.pk}/images/",
            Authorization=f"Token {token_for(user)}",
            Content_Type="image/jpeg",
            Content_Length=len(self.PHOTO),
        )
        client.send(self.PHOTO[:20_000])
        return client

    def test_photos_that_one_user_announced_keep_nobody_out(self):
        slow, quick = make_user(), make_user()
        announced = make_ticket(slow, num_images=20)
        uploads = [self.begin(slow, announced) for _ in range(12)]
        self.wait_until(lambda: staging_redis().exists(store.BUDGET_KEYS[6]))

        client = self.begin(quick, make_ticket(quick))
        client.send(self.PHOTO[20_000:])
        answer = client.answer()

        self.assertEqual((answer.status, json.loads(answer.read())["size"]), (202, 1_000_000))
        for upload in uploads:  # nor each other
            upload.send(self.PHOTO[20_000:])
        self.assertIn(202, [upload.answer().status for upload in uploads])
