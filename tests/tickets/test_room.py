"""Photos that find the staging budget full wait a moment for room, and are refused with an honest Retry-After."""

import threading
import uuid
from unittest import mock

from django.test import override_settings

from apps.tickets import intake, staging
from apps.tickets.models import Image
from tests.case import CommittingTestCase, at_once
from tests.makers import client_for, jpeg_bytes, make_ticket, make_user

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
        staging.reserve(image_id, 1000)
        staging.write_last(image_id, bytes(1000), offset=0)
        return image_id

    def post(self, client=None):
        return (client or self.client).generic("POST", self.url, PHOTO, "image/jpeg")

    def be_impatient(self) -> None:
        self.enterContext(mock.patch.object(intake, "WAIT_FOR_ROOM_SECONDS", 0.2))

    def assert_full(self, response) -> int:
        """Answers the seconds that Retry-After names."""
        self.assert_problem(response, 503, "staging_full")
        self.assertEqual(Image.objects.count(), 0)
        self.assertEqual(staging.bytes_in_use(), 1000)
        return int(response["Retry-After"])

    def test_photo_waits_for_room_that_comes_soon(self):
        delivered = threading.Timer(0.3, staging.discard, [self.occupant])
        delivered.start()
        self.addCleanup(delivered.join)

        self.assertEqual(self.post().status_code, 202)
        self.assertEqual(staging.bytes_in_use(), len(PHOTO))

    def test_refusal_names_the_wait(self):
        self.be_impatient()
        self.assertEqual(self.assert_full(self.post()), staging.LONGEST_WAIT_SECONDS)

    def test_wait_is_short_where_photos_drain_quickly(self):
        self.be_impatient()
        staging.discard(self.occupant)
        for _ in range(20):
            staging.discard(self.occupy())
        self.occupy()

        wait = self.assert_full(self.post())

        self.assertLess(wait, 5)  # 21,000 bytes within the last seconds: 1,000 of them take about two

    def test_photo_is_taken_as_soon_as_there_is_room_again(self):
        self.be_impatient()
        self.assert_full(self.post())
        staging.discard(self.occupant)

        self.assertEqual(self.post().status_code, 202)

    def test_photos_past_the_waiting_room_are_refused_at_once(self):
        waiting = [intake._waiting_room.acquire(blocking=False) for _ in range(32)]
        self.addCleanup(lambda: [intake._waiting_room.release() for taken in waiting if taken])
        self.assertTrue(all(waiting))
        freed = threading.Timer(0.3, staging.discard, [self.occupant])
        freed.start()
        self.addCleanup(freed.join)

        self.assert_problem(self.post(), 503, "staging_full")

    def test_many_wait_side_by_side_and_leave_nothing(self):
        self.be_impatient()
        answers = at_once(self.post, [client_for(self.owner) for _ in range(8)])

        for response in answers:
            self.assert_full(response)
        taken = [intake._waiting_room.acquire(blocking=False) for _ in range(32)]
        for _ in taken:
            intake._waiting_room.release()
        self.assertTrue(all(taken))  # each has left the waiting room
