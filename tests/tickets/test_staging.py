import uuid
from concurrent.futures import ThreadPoolExecutor
from unittest import mock

from django.conf import settings
from django.test import SimpleTestCase, override_settings

from apps.tickets import staging
from apps.tickets.errors import StagingFullError
from tests.case import HoplaAssertions, staged_photos


class StagingTestCase(HoplaAssertions, SimpleTestCase):
    def setUp(self):
        super().setUp()
        self.id = uuid.uuid4()

    def stage(self, size: int, *, image_id=None):
        image_id = image_id or uuid.uuid4()
        staging.reserve(image_id, size)
        staging.write_last(image_id, b"x" * size, offset=0)
        return image_id

    def seconds_to_live(self, image_id) -> int:
        return staging.connection().ttl(staging.key_of(image_id))


class BytesTests(StagingTestCase):
    def test_pieces_become_the_photo(self):
        staging.reserve(self.id, 100)

        self.assertTrue(staging.write(self.id, b"front, ", offset=0, size=10))
        self.assertTrue(staging.write(self.id, b"back, ", offset=7, size=13))
        self.assertTrue(staging.write_last(self.id, b"and ", b"end", offset=13))
        self.assertEqual(staging.read(self.id, 20), b"front, back, and end")

    def test_room_is_made_once(self):
        staging.reserve(self.id, 400_000)
        staging.write(self.id, b"x" * 200_000, offset=0, size=400_000)
        staging.write_last(self.id, b"y" * 200_000, offset=200_000)

        taken = staging.connection().memory_usage(staging.key_of(self.id))
        self.assertLess(taken, 400_000 * 1.25)  # written one after another they take twice their size

    def test_what_a_form_had_beside_the_photo_is_not_the_photos(self):
        for beside in (100, 100_000):
            with self.subTest(beside=beside):
                image_id = uuid.uuid4()
                staging.reserve(image_id, 500 + beside)
                staging.write(image_id, b"x" * 300, offset=0, size=500 + beside)
                staging.write_last(image_id, b"y" * 200, offset=300)

                self.assertEqual(staging.read(image_id, 500), b"x" * 300 + b"y" * 200)
                taken = staging.connection().strlen(staging.key_of(image_id))
                self.assertLessEqual(taken, 500 + staging.WASTE_BYTES)
                self.assertIn(self.seconds_to_live(image_id), range(61, settings.STAGING_TTL_SECONDS + 1))

    def test_part_of_a_photo(self):
        staging.write_last(self.id, b"0123456789", offset=0)

        self.assertEqual(staging.read_range(self.id, 2, 3), b"234")
        self.assertEqual(staging.read_range(self.id, 8, 100), b"89")
        self.assertEqual(staging.read_range(self.id, 10, 5), b"")
        self.assertEqual(staging.read_range(uuid.uuid4(), 0, 5), b"")

    def test_photo_that_is_not_whole_is_not_read(self):
        staging.write_last(self.id, b"half", offset=0)

        with self.assertRaises(staging.StagedBytesGoneError):
            staging.read(self.id, 5)

    def test_photo_that_is_gone_is_not_read(self):
        with self.assertRaises(staging.StagedBytesGoneError):
            staging.read(self.id, 5)

    def test_piece_tells_that_those_before_it_are_gone(self):
        for write_on in (
            lambda: staging.write(self.id, b"back", offset=7, size=20),
            lambda: staging.write_last(self.id, b"back", offset=7),
            lambda: staging.write_last(self.id, offset=7),
        ):
            with self.subTest():
                staging.write(self.id, b"front, ", offset=0, size=20)
                staging.discard(self.id)

                self.assertFalse(write_on())

    def test_piece_that_is_sent_twice_is_there_once(self):
        staging.write(self.id, b"front, ", offset=0, size=20)
        for _ in range(2):
            staging.write(self.id, b"back, ", offset=7, size=20)
            staging.write_last(self.id, b"end", offset=13)

        self.assertEqual(staging.read(self.id, 16), b"front, back, end")

    def test_discard_leaves_nothing(self):
        self.stage(10, image_id=self.id)

        staging.discard(self.id)

        self.assertEqual((staged_photos(), staging.bytes_in_use()), ([], 0))

    def test_discard_twice_or_of_nothing_is_no_harm(self):
        self.stage(10)
        other = self.stage(5)

        for image_id in (other, other, uuid.uuid4()):
            staging.discard(image_id)

        self.assertEqual(staging.bytes_in_use(), 10)

    def test_which_are_gone(self):
        here, gone = self.stage(1), uuid.uuid4()

        self.assertEqual(staging.which_are_gone([here, gone]), {gone})
        self.assertEqual(staging.which_are_gone([]), set())


class BudgetTests(StagingTestCase):
    def test_reservation_counts_from_the_first_byte_to_the_last(self):
        staging.reserve(self.id, 1000)
        self.assertEqual(staging.bytes_in_use(), 1000)
        staging.write(self.id, b"x" * 600, offset=0, size=1000)
        self.assertEqual(staging.bytes_in_use(), 1000)
        staging.write_last(self.id, offset=600)
        self.assertEqual(staging.bytes_in_use(), 600)
        staging.discard(self.id)
        self.assertEqual(staging.bytes_in_use(), 0)

    def test_reserving_or_keeping_twice_counts_once(self):
        staging.reserve(self.id, 1000)
        staging.reserve(self.id, 700)
        self.assertEqual(staging.bytes_in_use(), 700)
        staging.write(self.id, b"x" * 500, offset=0, size=700)
        staging.write_last(self.id, offset=500)
        staging.write_last(self.id, offset=500)
        self.assertEqual(staging.bytes_in_use(), 500)

    @override_settings(STAGING_MAX_BYTES=1000)
    def test_budget_fills_to_its_last_byte_and_no_further(self):
        self.stage(600)
        staging.reserve(uuid.uuid4(), 400)

        with self.assertRaises(StagingFullError):
            staging.reserve(self.id, 1)
        self.assertEqual(staging.bytes_in_use(), 1000)

    @override_settings(STAGING_MAX_BYTES=800)
    def test_many_at_once_never_overdraw(self):
        def reserve(_):
            try:
                staging.reserve(uuid.uuid4(), 100)
            except StagingFullError:
                return False
            return True

        with ThreadPoolExecutor(16) as pool:
            taken = list(pool.map(reserve, range(64)))
        self.assertEqual((sum(taken), staging.bytes_in_use()), (8, 800))


@override_settings(STAGING_MAX_BYTES=1000)
class FullTests(StagingTestCase):
    def wait_named(self, size: int) -> int:
        with self.assertRaises(StagingFullError) as caught:
            staging.reserve(uuid.uuid4(), size)
        return caught.exception.wait

    def test_wait_is_the_longest_when_nothing_drains(self):
        with override_settings(STAGING_TTL_SECONDS=3600):
            self.stage(1000)

        self.assertEqual(self.wait_named(1), staging.LONGEST_WAIT_SECONDS)

    def test_wait_ends_when_the_first_reservation_does(self):
        with override_settings(STAGING_TTL_SECONDS=20):
            self.stage(1000)

        self.assertIn(self.wait_named(1), range(1, 21))

    def test_wait_shrinks_with_what_has_drained_of_late(self):
        with override_settings(STAGING_TTL_SECONDS=3600):
            drained = self.stage(900)
            staging.discard(drained)
            self.stage(1000)

        self.assertIn(self.wait_named(30), range(1, staging.LONGEST_WAIT_SECONDS))
        self.assertLessEqual(self.wait_named(30), self.wait_named(300))


class ExpiryTests(StagingTestCase):
    def test_every_key_of_a_photo_has_an_end(self):
        staging.reserve(self.id, 10)
        staging.write(self.id, b"x" * 10, offset=0, size=10)
        self.assertIn(self.seconds_to_live(self.id), range(1, staging.INCOMING_TTL_SECONDS + 1))
        with override_settings(STAGING_TTL_SECONDS=3600):
            staging.write_last(self.id, offset=10)
        self.assertIn(self.seconds_to_live(self.id), range(staging.INCOMING_TTL_SECONDS + 1, 3601))

    def test_expired_photo_gives_its_budget_back(self):
        with override_settings(STAGING_TTL_SECONDS=1):
            expiring = self.stage(1000)

        self.wait_until(lambda: expiring in staging.which_are_gone([expiring]))
        staging.discard(self.id)  # any change forgets what has expired
        self.wait_until(lambda: staging.discard(self.id) or staging.bytes_in_use() == 0)

    def test_upload_that_stopped_coming_gives_its_budget_back_to_whoever_needs_it(self):
        with mock.patch.object(staging, "INCOMING_TTL_SECONDS", 1), override_settings(STAGING_MAX_BYTES=1000):
            staging.reserve(uuid.uuid4(), 1000)

            self.wait_until(self.there_is_room)
        self.assertEqual(staging.bytes_in_use(), 1000)

    def there_is_room(self) -> bool:
        try:
            staging.reserve(self.id, 1000)
        except StagingFullError:
            return False
        return True

    def test_each_piece_prolongs_the_reservation(self):
        with mock.patch.object(staging, "INCOMING_TTL_SECONDS", 2):
            staging.reserve(self.id, 1000)
        staging.write(self.id, b"x", offset=0, size=1000)

        other = uuid.uuid4()
        with mock.patch.object(staging, "INCOMING_TTL_SECONDS", 2):
            staging.reserve(other, 10)
        self.wait_until(lambda: staging.discard(uuid.uuid4()) or staging.bytes_in_use() == 1000)
        self.assertEqual(staging.sample(10), [str(self.id)])
