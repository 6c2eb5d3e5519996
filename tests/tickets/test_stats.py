from datetime import timedelta
from itertools import pairwise

from django.utils import timezone

from apps.tickets import stats
from apps.tickets.models import Image
from tests.case import ApiTestCase
from tests.makers import make_awaited, make_image, make_ticket


class FiguresTests(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.ticket = make_ticket(num_images=20)
        self.now = timezone.now()
        self.positions = iter(range(1, 21))

    def make(self, status: str, **fields) -> Image:
        return make_image(self.ticket, position=next(self.positions), status=status, **fields)

    def test_what_is_in_flight_is_told_apart(self):
        self.make("queued")
        self.make("queued", next_retry_at=self.now - timedelta(seconds=1))
        self.make("queued", next_retry_at=self.now + timedelta(minutes=5), created_at=self.now - timedelta(hours=2))
        self.make("uploading")
        self.make("stored", stored_at=self.now, created_at=self.now - timedelta(days=2))
        self.make("failed", created_at=self.now - timedelta(days=2))

        self.assertEqual(
            stats.in_flight(),
            stats.InFlight(ready=2, waiting=1, uploading=1, oldest_accepted_at=self.now - timedelta(hours=2)),
        )

    def test_with_nothing_in_flight_nothing_is_the_oldest(self):
        self.make("stored", stored_at=self.now)

        self.assertEqual(stats.in_flight(), stats.InFlight(0, 0, 0, None))

    def test_awaited_photos_are_not_in_flight_and_make_nothing_old(self):
        for minutes in (5, -5):
            moment = self.now + timedelta(minutes=minutes)
            make_awaited(self.ticket, position=next(self.positions), upload_expires_at=moment)

        self.assertEqual(stats.in_flight(), stats.InFlight(0, 0, 0, None))
        self.assertEqual(stats.awaited(), stats.Awaited(number=2, overdue=1))

    def test_stored_photos_fall_into_their_minutes(self):
        moment = self.now - timedelta(minutes=30)
        for seconds in (0, 1, 120):
            self.make("stored", stored_at=moment.replace(second=0, microsecond=0) + timedelta(seconds=seconds))
        self.make("stored", stored_at=self.now - timedelta(minutes=61))

        by_minute = stats.stored_by_minute()

        self.assertEqual({later - earlier for (earlier, _), (later, _) in pairwise(by_minute)}, {timedelta(minutes=1)})
        self.assertEqual(len(by_minute), 60)
        self.assertEqual([photos for _, photos in by_minute if photos], [2, 1])
        self.assertEqual(dict(by_minute)[moment.replace(second=0, microsecond=0)], 2)

    def test_only_what_failed_since_then_counts(self):
        self.make("failed", updated_at=self.now - timedelta(hours=1))
        self.make("failed", updated_at=self.now - timedelta(hours=30))
        self.make("queued", updated_at=self.now)

        self.assertEqual(stats.failed_since(self.now - timedelta(days=1)), 1)

    def test_last_error_is_the_newest_of_those_tried_again_and_those_given_up(self):
        self.make("failed", error_code="given_up", updated_at=self.now - timedelta(minutes=9))
        retried = self.make("queued", error_code="cloudinary_503", updated_at=self.now - timedelta(minutes=3))
        self.make("queued", updated_at=self.now)

        error = stats.last_upload_error()

        self.assertEqual((error.image, error.code, error.at), (retried, "cloudinary_503", retried.updated_at))

    def test_photo_that_was_stored_after_all_is_no_error(self):
        self.make("stored", stored_at=self.now)

        self.assertIsNone(stats.last_upload_error())
