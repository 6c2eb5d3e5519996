import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from unittest import mock

from django.conf import settings
from django.test import SimpleTestCase, override_settings

from apps.tickets.errors import StagingFullError
from apps.tickets.staging import servers, store
from apps.tickets.staging.servers import all_servers
from tests.case import HoplaAssertions, staged_photos, staging_redis


class StagingTestCase(HoplaAssertions, SimpleTestCase):
    def setUp(self):
        super().setUp()
        self.upload_id = uuid.uuid4()

    def stage(self, size: int, *, image_id=None):
        image_id = image_id or uuid.uuid4()
        store.reserve(image_id, size)
        store.write_last(image_id, b"x" * size, offset=0)
        return image_id

    def seconds_to_live(self, image_id) -> int:
        return staging_redis().ttl(store.key_of(image_id))


class BytesTests(StagingTestCase):
    def test_pieces_become_the_photo(self):
        store.reserve(self.upload_id, 100)

        self.assertTrue(store.write(self.upload_id, b"front, ", offset=0, size=10))
        self.assertTrue(store.write(self.upload_id, b"back, ", offset=7, size=13))
        self.assertTrue(store.write_last(self.upload_id, b"and ", b"end", offset=13))
        self.assertEqual(store.read(self.upload_id, 20), b"front, back, and end")

    def test_room_is_made_once(self):
        store.reserve(self.upload_id, 400_000)
        store.write(self.upload_id, b"x" * 200_000, offset=0, size=400_000)
        store.write_last(self.upload_id, b"y" * 200_000, offset=200_000)

        taken = staging_redis().memory_usage(store.key_of(self.upload_id))
        self.assertLess(taken, 400_000 * 1.25)  # written one after another they take twice their size

    def test_what_a_form_had_beside_the_photo_is_not_the_photos(self):
        for beside in (100, 100_000):
            with self.subTest(beside=beside):
                image_id = uuid.uuid4()
                store.reserve(image_id, 500 + beside)
                store.write(image_id, b"x" * 300, offset=0, size=500 + beside)
                store.write_last(image_id, b"y" * 200, offset=300)

                self.assertEqual(store.read(image_id, 500), b"x" * 300 + b"y" * 200)
                taken = staging_redis().strlen(store.key_of(image_id))
                self.assertLessEqual(taken, 500 + store.WASTE_BYTES)
                self.assertIn(self.seconds_to_live(image_id), range(61, settings.STAGING_TTL_SECONDS + 1))

    def test_part_of_a_photo(self):
        store.write_last(self.upload_id, b"0123456789", offset=0)

        self.assertEqual(store.read_range(self.upload_id, 2, 3), b"234")
        self.assertEqual(store.read_range(self.upload_id, 8, 100), b"89")
        self.assertEqual(store.read_range(self.upload_id, 10, 5), b"")
        self.assertEqual(store.read_range(uuid.uuid4(), 0, 5), b"")

    def test_photo_that_is_not_whole_is_not_read(self):
        store.write_last(self.upload_id, b"half", offset=0)

        with self.assertRaises(store.StagedBytesGoneError):
            store.read(self.upload_id, 5)

    def test_photo_that_is_gone_is_not_read(self):
        with self.assertRaises(store.StagedBytesGoneError):
            store.read(self.upload_id, 5)

    def test_piece_tells_that_those_before_it_are_gone(self):
        for write_on in (
            lambda: store.write(self.upload_id, b"back", offset=7, size=20),
            lambda: store.write_last(self.upload_id, b"back", offset=7),
            lambda: store.write_last(self.upload_id, offset=7),
        ):
            with self.subTest():
                store.write(self.upload_id, b"front, ", offset=0, size=20)
                store.discard(self.upload_id)

                self.assertFalse(write_on())

    def test_piece_that_is_sent_twice_is_there_once(self):
        store.write(self.upload_id, b"front, ", offset=0, size=20)
        for _ in range(2):
            store.write(self.upload_id, b"back, ", offset=7, size=20)
            store.write_last(self.upload_id, b"end", offset=13)

        self.assertEqual(store.read(self.upload_id, 16), b"front, back, end")

    def test_discard_leaves_nothing(self):
        self.stage(10, image_id=self.upload_id)

        store.discard(self.upload_id)

        self.assertEqual((staged_photos(), store.bytes_in_use()), ([], 0))

    def test_discard_twice_or_of_nothing_is_no_harm(self):
        self.stage(10)
        other = self.stage(5)

        for image_id in (other, other, uuid.uuid4()):
            store.discard(image_id)

        self.assertEqual(store.bytes_in_use(), 10)

    def test_which_are_gone(self):
        here, gone = self.stage(1), uuid.uuid4()

        self.assertEqual(store.which_are_gone([here, gone]), {gone})
        self.assertEqual(store.which_are_gone([]), set())


class BudgetTests(StagingTestCase):
    def test_reservation_counts_from_the_first_byte_to_the_last(self):
        store.reserve(self.upload_id, 1000)
        self.assertEqual(store.bytes_in_use(), 1000)
        store.write(self.upload_id, b"x" * 600, offset=0, size=1000)
        self.assertEqual(store.bytes_in_use(), 1000)
        store.write_last(self.upload_id, offset=600)
        self.assertEqual(store.bytes_in_use(), 600)
        store.discard(self.upload_id)
        self.assertEqual(store.bytes_in_use(), 0)

    def test_reserving_or_keeping_twice_counts_once(self):
        for size in (1000, 1000, 700):
            store.reserve(self.upload_id, size)
        self.assertEqual(store.bytes_in_use(), 1000)
        store.write(self.upload_id, b"x" * 500, offset=0, size=700)
        store.write_last(self.upload_id, offset=500)
        store.write_last(self.upload_id, offset=500)
        self.assertEqual(store.bytes_in_use(), 500)

    @override_settings(STAGING_MAX_BYTES=1000)
    def test_budget_fills_to_its_last_byte_and_no_further(self):
        self.stage(600)
        store.reserve(uuid.uuid4(), 400)

        with self.assertRaises(StagingFullError):
            store.reserve(self.upload_id, 1)
        self.assertEqual(store.bytes_in_use(), 1000)

    @override_settings(STAGING_MAX_BYTES=800)
    def test_many_at_once_never_overdraw(self):
        def reserve(_):
            try:
                store.reserve(uuid.uuid4(), 100)
            except StagingFullError:
                return False
            return True

        with ThreadPoolExecutor(16) as pool:
            taken = list(pool.map(reserve, range(64)))
        self.assertEqual((sum(taken), store.bytes_in_use()), (8, 800))


@override_settings(STAGING_MAX_BYTES=1000)
class FullTests(StagingTestCase):
    def wait_named(self, size: int) -> int:
        with self.assertRaises(StagingFullError) as caught:
            store.reserve(uuid.uuid4(), size)
        return caught.exception.wait

    def test_wait_is_the_longest_when_nothing_drains(self):
        with override_settings(STAGING_TTL_SECONDS=3600):
            self.stage(1000)

        self.assertEqual(self.wait_named(1), store.LONGEST_WAIT_SECONDS)

    def test_wait_ends_when_the_first_reservation_does(self):
        with override_settings(STAGING_TTL_SECONDS=20):
            self.stage(1000)

        self.assertIn(self.wait_named(1), range(1, 21))

    def test_wait_shrinks_with_what_has_drained_of_late(self):
        with override_settings(STAGING_TTL_SECONDS=3600):
            drained = self.stage(900)
            store.discard(drained)
            self.stage(1000)

        self.assertIn(self.wait_named(30), range(1, store.LONGEST_WAIT_SECONDS))
        self.assertLessEqual(self.wait_named(30), self.wait_named(300))


PIECE = 384 * 1024
LONGEST = 10 * 1024 * 1024


class GrowthTests(StagingTestCase):
    """What an upload holds of the budget, piece by piece."""

    def steps(self, *, announced: int, pieces, at_pace: bool):
        """The bytes that have come, those held of the budget and those of memory, after each piece."""
        image_id, offset = uuid.uuid4(), 0
        for piece in pieces:
            written = store.write(image_id, b"x" * piece, offset=offset, size=announced, at_pace=at_pace)
            self.assertTrue(written)
            offset += piece
            yield offset, store.bytes_in_use(), staging_redis().memory_usage(store.key_of(image_id))
        self.assertTrue(store.write_last(image_id, offset=offset))
        self.assertEqual(store.read(image_id, offset), b"x" * offset)
        self.assertEqual(store.bytes_in_use(), offset)
        taken = staging_redis().memory_usage(store.key_of(image_id))
        self.assertLessEqual(taken, offset * 1.25 + 2 * store.WASTE_BYTES)
        store.discard(image_id)

    def test_slow_client_holds_at_most_twice_what_has_come(self):
        for announced in (1_000_000, LONGEST):
            for piece in (1, 700, 75_000):
                pieces = [piece] * min(announced // piece, 130)
                for come, held, _ in self.steps(announced=announced, pieces=pieces, at_pace=False):
                    self.assertLessEqual(held, 2 * come)
                    self.assertLessEqual(held, come + store.GROWTH_BYTES)

    def test_client_that_keeps_pace_is_given_room_ahead_within_bounds(self):
        for announced in (500_000, 1_000_000, 2_000_000, 2_200_000, 5_000_000, LONGEST):
            pieces = [PIECE] * (announced // PIECE)
            for come, held, _ in self.steps(announced=announced, pieces=pieces, at_pace=True):
                self.assertLessEqual(held, max(store.AT_ONCE_BYTES, 2 * come))

    def test_common_photo_takes_its_room_at_once_and_no_more(self):
        held = [held for _, held, _ in self.steps(announced=1_000_000, pieces=[PIECE] * 2, at_pace=True)]

        self.assertEqual(held, [1_000_000] * 2)

    def test_memory_is_what_the_budget_says(self):
        for at_pace in (True, False):
            for announced in (700_000, 1_500_000, 2_100_000, LONGEST):
                pieces = [PIECE if at_pace else 90_000] * (announced // PIECE)
                for come, held, memory in self.steps(announced=announced, pieces=pieces, at_pace=at_pace):
                    with self.subTest(announced=announced, come=come, at_pace=at_pace):
                        self.assertLessEqual(memory, held * 1.25 + store.WASTE_BYTES)  # an allocator's classes
                        self.assertLessEqual(held, memory)

    def fill(self, size: int):
        other = uuid.uuid4()
        store.reserve(other, size)
        return other

    def test_piece_that_finds_no_room_changes_nothing_and_may_come_again(self):
        for last in (False, True):
            with self.subTest(last=last), override_settings(STAGING_MAX_BYTES=1000):
                image_id = uuid.uuid4()
                store.write(image_id, b"x" * 100, offset=0, size=500)
                other = self.fill(900)

                with self.assertRaises(StagingFullError):
                    if last:
                        store.write_last(image_id, b"y" * 300, offset=100)
                    else:
                        store.write(image_id, b"y" * 300, offset=100, size=500)
                self.assertEqual(store.bytes_in_use(), 1000)
                self.assertEqual(store.read(image_id, 100), b"x" * 100)
                self.assertEqual(staging_redis().strlen(store.key_of(image_id)), 100)
                self.assertLessEqual(self.seconds_to_live(image_id), store.INCOMING_TTL_SECONDS)

                store.discard(other)
                self.assertTrue(store.write(image_id, b"y" * 300, offset=100, size=500))
                self.assertTrue(store.write_last(image_id, b"z" * 100, offset=400))
                self.assertEqual(store.read(image_id, 500), b"x" * 100 + b"y" * 300 + b"z" * 100)
                store.discard(image_id)

    @override_settings(STAGING_MAX_BYTES=1000)
    def test_first_piece_that_finds_no_room_leaves_nothing(self):
        other = self.fill(950)

        for write in (partial(store.write, size=100), store.write_last):
            with self.assertRaises(StagingFullError):
                write(self.upload_id, b"x" * 100, offset=0)
        self.assertEqual((staged_photos(), store.bytes_in_use()), ([str(other)], 950))

    @override_settings(STAGING_MAX_BYTES=100_000)
    def test_many_that_grow_at_once_never_overdraw(self):
        overdrawn = []

        def upload(_):
            image_id = uuid.uuid4()
            try:
                for number in range(20):
                    store.write(image_id, b"x" * 1000, offset=number * 1000, size=20_000, user="ann")
                    overdrawn.append(store.bytes_in_use() > 100_000)
                return store.write_last(image_id, offset=20_000, user="ann")
            except StagingFullError:
                store.discard(image_id)
                return False

        with ThreadPoolExecutor(16) as pool:
            whole = sum(pool.map(upload, range(48)))
        self.assertFalse(any(overdrawn))
        self.assertEqual(store.bytes_in_use(), whole * 20_000)
        self.assertEqual(staging_redis().hgetall(UNFINISHED), {})

    def test_asking_for_room_holds_none(self):
        store.require_room(LONGEST, user="ann")

        self.assertEqual(store.bytes_in_use(), 0)

    @override_settings(STAGING_MAX_BYTES=1000)
    def test_photo_for_which_there_is_no_room_now_is_refused_before_it_comes(self):
        self.fill(900)

        store.require_room(100)
        with self.assertRaises(StagingFullError):
            store.require_room(101)

    @override_settings(STAGING_MAX_BYTES=1000)
    def test_server_that_has_just_said_that_it_has_plenty_is_not_asked_again(self):
        self.fill(300)

        store.require_room(100, user="ann")
        self.assertFalse(self.has_asked("ann"))
        store.require_room(201, user="ann")  # with which more than half would be taken
        self.assertTrue(self.has_asked("ann"))

    @override_settings(STAGING_MAX_BYTES=1000)
    def test_what_it_said_is_not_believed_for_long(self):
        self.fill(300)
        staging_redis().incrby(store.BUDGET_KEYS[2], 700)  # by another process
        store.require_room(100)

        with self.clock_moved_by(servers.BELIEVED_SECONDS), self.assertRaises(StagingFullError):
            store.require_room(100)

    @override_settings(STAGING_MAX_BYTES=1000)
    def test_piece_for_which_there_is_none_after_all_is_refused(self):
        self.fill(300)
        staging_redis().incrby(store.BUDGET_KEYS[2], 700)
        store.require_room(100)

        with self.assertRaises(StagingFullError):
            store.write(self.upload_id, b"x" * 100, offset=0, size=100)
        with self.assertRaises(StagingFullError):  # and everyone else is asked from now on
            store.require_room(100)
        self.assertEqual(staging_redis().exists(store.key_of(self.upload_id)), 0)

    def test_whoever_writes_has_asked(self):
        store.reserve(self.upload_id, 100, user="ann")

        self.assertTrue(self.has_asked("ann"))

    def has_asked(self, user: str) -> bool:
        return staging_redis().zscore(store.BUDGET_KEYS[6], user) is not None

    def clock_moved_by(self, seconds: float):
        moved = time.monotonic() + seconds
        return mock.patch.object(servers.time, "monotonic", lambda: moved)


MIB = 1024 * 1024
USERS, UNFINISHED = store.BUDGET_KEYS[4], store.BUDGET_KEYS[5]


@override_settings(STAGING_MAX_BYTES=8 * MIB, STAGING_USER_SHARE=0.25, IMAGE_MAX_BYTES=MIB)
class ShareTests(StagingTestCase):
    """What one user's unfinished uploads may hold. Here the share is 2 MiB."""

    def hold(self, *sizes: int, user="ann") -> list:
        held = []
        for size in sizes:
            held.append(uuid.uuid4())
            store.reserve(held[-1], size, user=user)
        return held

    def assert_refused(self, size: int, *, user="ann", image_id=None) -> None:
        with self.assertRaises(StagingFullError):
            store.reserve(image_id or uuid.uuid4(), size, user=user)

    def test_user_who_is_alone_may_hold_everything(self):
        store.require_room(MIB, user="ann")
        self.hold(*[MIB] * 8)

        self.assertEqual(store.bytes_in_use(), 8 * MIB)

    def test_user_may_hold_half_of_it_whoever_else_comes(self):
        store.require_room(MIB, user="bob")
        self.hold(*[MIB] * 4)

        self.assert_refused(1)

    def test_share_is_kept_from_when_another_asks_for_room(self):
        held = self.hold(*[MIB] * 6)
        store.require_room(MIB, user="bob")

        self.assert_refused(1)
        self.assert_refused(MIB + 1, image_id=held[0])
        self.hold(MIB, MIB, user="bob")

    def test_it_is_kept_even_where_the_other_was_refused(self):
        held = self.hold(*[MIB] * 8)
        with self.assertRaises(StagingFullError):
            store.require_room(MIB, user="bob")

        for image_id in held[:3]:
            store.discard(image_id)
        self.assert_refused(1)

    def test_whole_photos_are_no_part_of_it(self):
        for _ in range(5):
            store.write_last(uuid.uuid4(), b"x" * MIB, offset=0, user="ann")
        store.require_room(MIB, user="bob")

        self.hold(MIB, MIB)
        self.assert_refused(1)

    def test_uploads_that_end_give_their_part_back(self):
        whole, dropped, expiring = uuid.uuid4(), uuid.uuid4(), uuid.uuid4()
        store.write(whole, b"x" * 500, offset=0, size=500, user="ann")
        store.write(dropped, b"x" * 500, offset=0, size=500, user="ann")
        with mock.patch.object(store, "INCOMING_TTL_SECONDS", 1):
            store.write(expiring, b"x" * 500, offset=0, size=500, user="ann")
        self.assertEqual(staging_redis().hgetall(UNFINISHED), {b"ann": b"1500"})

        store.write_last(whole, offset=500, user="ann")
        store.discard(dropped)

        self.wait_until(lambda: store.bytes_in_use() == 500)
        self.assertEqual(staging_redis().exists(USERS, UNFINISHED), 0)

    @override_settings(STAGING_USER_SHARE=0.01)
    def test_one_photo_of_any_size_fits_into_it(self):
        self.hold(*[MIB] * 5, user="bob")
        store.require_room(MIB, user="cid")

        self.hold(MIB)

    def test_who_has_not_asked_for_a_while_needs_no_room(self):
        store.require_room(MIB, user="bob")
        staging_redis().zincrby(store.BUDGET_KEYS[6], -store.ASKED_OF_LATE_SECONDS, "bob")

        self.hold(*[MIB] * 8)


class ExpiryTests(StagingTestCase):
    def test_every_key_of_a_photo_has_an_end(self):
        store.reserve(self.upload_id, 10)
        store.write(self.upload_id, b"x" * 10, offset=0, size=10)
        self.assertIn(self.seconds_to_live(self.upload_id), range(1, store.INCOMING_TTL_SECONDS + 1))
        with override_settings(STAGING_TTL_SECONDS=3600):
            store.write_last(self.upload_id, offset=10)
        self.assertIn(self.seconds_to_live(self.upload_id), range(store.INCOMING_TTL_SECONDS + 1, 3601))

    def test_expired_photo_gives_its_budget_back(self):
        with override_settings(STAGING_TTL_SECONDS=1):
            expiring = self.stage(1000)

        self.wait_until(lambda: expiring in store.which_are_gone([expiring]))
        store.discard(self.upload_id)  # any change forgets what has expired
        self.wait_until(lambda: store.discard(self.upload_id) or store.bytes_in_use() == 0)

    def test_upload_that_stopped_coming_gives_its_budget_back_to_whoever_needs_it(self):
        with mock.patch.object(store, "INCOMING_TTL_SECONDS", 1), override_settings(STAGING_MAX_BYTES=1000):
            store.reserve(uuid.uuid4(), 1000)

            self.wait_until(self.there_is_room)
        self.assertEqual(store.bytes_in_use(), 1000)

    def there_is_room(self) -> bool:
        try:
            store.reserve(self.upload_id, 1000)
        except StagingFullError:
            return False
        return True

    def test_each_piece_prolongs_the_reservation(self):
        with mock.patch.object(store, "INCOMING_TTL_SECONDS", 2):
            store.reserve(self.upload_id, 1000)
        store.write(self.upload_id, b"x", offset=0, size=1000)

        other = uuid.uuid4()
        with mock.patch.object(store, "INCOMING_TTL_SECONDS", 2):
            store.reserve(other, 10)
        self.wait_until(lambda: store.discard(uuid.uuid4()) or store.bytes_in_use() == 1000)
        self.assertEqual(store.sample(10, server=all_servers()[0]), [str(self.upload_id)])
