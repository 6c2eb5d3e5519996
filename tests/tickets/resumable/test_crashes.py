"""What a process that was killed left of an upload, or lost of it: another goes on by Redis and the database alone."""

import hashlib
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from unittest import mock

from django.db import OperationalError

from apps.common.api.errors import TemporarilyUnavailableError
from apps.common.redis.wire import exchange
from apps.tickets.errors import UploadOvertakenError
from apps.tickets.intake.photo_check import PhotoCheck
from apps.tickets.intake.stream import StagedPhoto
from apps.tickets.models import Image
from apps.tickets.resumable import finishing, holding, sending, state
from apps.tickets.staging import store
from apps.tickets.staging.servers import all_servers
from apps.tickets.upkeep import reconcile
from tests.case import staged_photos, staging_redis
from tests.makers import make_image
from tests.tickets.resumable.case import PHOTO, TusTestCase

SIZE = len(PHOTO)


class StateTestCase(TusTestCase):
    def upload_id(self, path: str) -> uuid.UUID:
        return uuid.UUID(path.split("/")[-2])

    def take(self, path: str, *, by_force: bool = False):
        """As a request that is killed before it lets go. Returns (number, Upload)."""
        word, number, upload = state.take(self.upload_id(path), ticket_id=self.ticket.pk, by_force=by_force)
        self.assertEqual(word, state.HELD)
        return number, upload

    def write(self, path: str, number: int, offset: int, piece: bytes) -> None:
        fence = state.fence(self.upload_id(path), number, announces=True)
        store.write(self.upload_id(path), piece, offset=offset, size=SIZE, user=self.owner.pk, ttl=60, fence=fence)


class CrashTests(StateTestCase):
    def test_upload_that_redis_loses_as_it_is_begun_does_not_mean_that_the_ticket_is_gone(self):
        upload_id = self.upload_id(self.begun())
        staging_redis().flushdb()
        with self.assertRaises(TemporarilyUnavailableError), sending.begun(upload_id, ticket_id=self.ticket.pk):
            self.fail("there is nothing to send to")

    def test_hold_of_a_killed_process_is_taken_by_force(self):
        path = self.begun(PHOTO[:1000])
        number, _ = self.take(path)

        with mock.patch.object(holding, "LET_GO_WITHIN_SECONDS", 0):
            self.assertEqual(self.offset_of(path), 1000)

        with self.assertRaises(store.NotTheHolderError):
            self.write(path, number, 1000, b"x" * 1000)
        self.assertEqual(self.send(path, 1000, PHOTO[1000:]).status_code, 204)
        self.assertEqual(bytes(store.read(self.upload_id(path), SIZE)), PHOTO)

    def test_photo_of_a_process_killed_after_the_last_byte_is_accepted_by_whoever_asks_next(self):
        for ask in (self.ask, lambda path: self.send(path, SIZE, b"")):
            with self.subTest(ask):
                path = self.begun(PHOTO[:1000])
                number, _ = self.take(path)
                self.write(path, number, 1000, PHOTO[1000:])
                state.let_go(self.upload_id(path), number)
                self.assertFalse(Image.objects.filter(pk=self.upload_id(path)).exists())

                answer = ask(path)

                self.assertEqual(answer["Upload-Offset"], str(SIZE))
                self.assertEqual(self.client.get(answer["Content-Location"]).json()["status"], "queued")

    def test_photo_of_a_process_killed_after_the_place_was_taken_is_one_image(self):
        for ask in (self.ask, lambda path: self.send(path, SIZE, b"")):
            with self.subTest(ask):
                Image.objects.all().delete()
                path = self.begun(PHOTO[:1000])
                before = self.state_of(path)
                self.send(path, 1000, PHOTO[1000:])
                state.begin(replace(before, offset=SIZE))

                self.assertEqual(ask(path)["Upload-Offset"], str(SIZE))

                self.assertEqual(Image.objects.count(), 1)
                self.assertFalse(state.is_unfinished(self.upload_id(path)))
                self.assertEqual(bytes(store.read(self.upload_id(path), SIZE)), PHOTO)

    def state_of(self, path: str) -> state.Upload:
        number, upload = self.take(path)
        state.let_go(self.upload_id(path), number)
        return upload

    def test_place_that_went_to_others_meanwhile_ends_the_upload_that_nobody_accepted(self):
        path = self.begun(PHOTO[:1000])
        number, _ = self.take(path)
        self.write(path, number, 1000, PHOTO[1000:])
        state.let_go(self.upload_id(path), number)
        for position in (1, 2):
            make_image(self.ticket, position=position)

        self.assertEqual(self.ask(path).status_code, 409)
        self.assertEqual(self.ask(path).status_code, 404)
        self.assertEqual(staged_photos(), [])

    def test_upload_stays_while_the_database_is_away_at_its_end(self):
        path = self.begun(PHOTO[:1000])
        with mock.patch.object(finishing, "_accept_once", side_effect=OperationalError):
            self.assert_problem(self.send(path, 1000, PHOTO[1000:]), 503, "temporarily_unavailable")
        with mock.patch.object(reconcile, "CLAIMED_WITHIN_SECONDS", -1):
            reconcile._discard_unclaimed_bytes()

        answer = self.send(path, SIZE, b"")

        self.assertEqual(self.client.get(answer["Content-Location"]).json()["status"], "queued")

    def test_sweeper_leaves_unfinished_uploads_alone(self):
        [server] = all_servers()
        path = self.begun(PHOTO[:1000])
        seconds_whole = store.seconds_whole(store.sample(10, server=server), server=server)
        self.assertEqual(list(seconds_whole), [str(self.upload_id(path))])

        reconcile._discard_unclaimed_bytes()
        self.assertEqual(self.send(path, 1000, PHOTO[1000:]).status_code, 204)

    def test_sweeper_discards_what_is_whole_once_its_upload_has_expired(self):
        path = self.begun(PHOTO[:1000])
        with mock.patch.object(finishing, "_accept_once", side_effect=OperationalError):
            self.send(path, 1000, PHOTO[1000:])
        staging_redis().hset(state.key_of(self.upload_id(path)), "expires_at", 0)
        with mock.patch.object(reconcile, "CLAIMED_WITHIN_SECONDS", -1):
            reconcile._discard_unclaimed_bytes()
        self.assert_nothing_kept()

    def test_offset_is_that_of_the_bytes_whatever_is_held_ahead(self):
        path = self.begun(PHOTO[:1000])
        key = store.key_of(self.upload_id(path))
        store.reserve(self.upload_id(path), 50_000, offset=1000, user=self.owner.pk, ttl=60)
        self.assertGreater(staging_redis().strlen(key), 1000)

        self.assertEqual(self.offset_of(path), 1000)
        self.send(path, 1000, PHOTO[1000:])
        self.assertEqual(bytes(store.read(self.upload_id(path), SIZE)), PHOTO)


class LastStepTests(StateTestCase):
    """Under the ticket's lock, whatever happened since the request was found to have the upload."""

    def setUp(self):
        super().setUp()
        self.path = self.begun(PHOTO[:1000])
        number, upload = self.take(self.path)
        self.write(self.path, number, 1000, PHOTO[1000:])
        self.hold = holding.Hold(replace(upload, offset=SIZE), number)
        check = PhotoCheck()
        check.feed(PHOTO)
        self.photo = StagedPhoto(upload.id, "x.jpg", SIZE, check.sha256, check.read_header(None))

    def test_photo_that_another_request_has_had_accepted_is_found(self):
        with mock.patch.object(holding, "LET_GO_WITHIN_SECONDS", 0):
            self.assertEqual(self.offset_of(self.path), SIZE)
        self.assertEqual(finishing._accept_once(self.hold, self.photo, None), Image.objects.get())

    def test_upload_that_was_taken_back_becomes_no_image(self):
        with mock.patch.object(holding, "LET_GO_WITHIN_SECONDS", 0):
            self.assertEqual(self.tus("DELETE", self.path).status_code, 204)
        with self.assertRaises(UploadOvertakenError):
            finishing._accept_once(self.hold, self.photo, None)
        self.assert_nothing_kept()


class FenceTests(StateTestCase):
    def test_bytes_of_a_request_that_lost_its_hold_never_land(self):
        path = self.begun(PHOTO[:1000])
        older, _ = self.take(path)
        self.take(path, by_force=True)
        before = (self.offset_in_hash(path), store.read_range(self.upload_id(path), 0, 3000), store.bytes_in_use())

        for size in (10, 50_000):
            with self.assertRaises(store.NotTheHolderError):
                self.write(path, older, 1000, b"x" * size)

        after = (self.offset_in_hash(path), store.read_range(self.upload_id(path), 0, 3000), store.bytes_in_use())
        self.assertEqual(after, before)

    def test_nothing_lands_after_the_hold_was_taken_whatever_was_under_way(self):
        """The pieces are large, so that Redis serves others between the question and the transaction."""
        for _ in range(30):
            path = self.begun(length=8_000_000)
            older, _ = self.take(path)
            with ThreadPoolExecutor(1) as pool:
                writer = pool.submit(self.write_on, path, older)
                self.wait_until(lambda path=path: self.offset_in_hash(path) > 0)
                newer, _ = self.take(path, by_force=True)
                before = self.offset_in_hash(path), self.digest_of(path)
                writer.result()
            self.assertEqual((self.offset_in_hash(path), self.digest_of(path)), before)
            state.let_go(self.upload_id(path), newer)
            self.tus("DELETE", path)

    def write_on(self, path: str, number: int) -> None:
        """One piece after the other, until another request has the upload."""
        with suppress(store.NotTheHolderError):
            for offset in range(0, 8_000_000, 400_000):
                self.write(path, number, offset, b"x" * 400_000)

    def test_nothing_is_written_to_a_redis_that_was_emptied_under_way(self):
        for _ in range(30):
            path = self.begun(length=8_000_000)
            number, _ = self.take(path)
            with ThreadPoolExecutor(1) as pool:
                writer = pool.submit(self.write_on, path, number)
                self.wait_until(lambda path=path: self.offset_in_hash(path) > 0)
                staging_redis().flushdb()
                writer.result()
            self.assert_nothing_kept()

    def digest_of(self, path: str) -> str:
        return hashlib.sha1(store.read_range(self.upload_id(path), 0, self.offset_in_hash(path))).hexdigest()

    def test_bytes_after_the_upload_was_taken_back_make_no_key(self):
        for offset in (0, 1000):
            with self.subTest(offset):
                path = self.begun(PHOTO[:offset])
                older, _ = self.take(path)
                with mock.patch.object(holding, "LET_GO_WITHIN_SECONDS", 0):
                    self.tus("DELETE", path)
                with self.assertRaises(store.NotTheHolderError):
                    self.write(path, older, offset, b"x" * 10)
                self.assert_nothing_kept()

    def test_newer_request_gets_it_before_an_older_one_that_waits(self):
        path = self.begun()
        upload_id, ticket_id = self.upload_id(path), self.ticket.pk
        holder, _ = self.take(path)
        _, second, _ = state.take(upload_id, ticket_id=ticket_id)
        _, third, _ = state.take(upload_id, ticket_id=ticket_id)
        state.let_go(upload_id, holder)

        self.assertEqual(state.take(upload_id, ticket_id=ticket_id, number=second)[0], state.OVERTAKEN)
        self.assertEqual(state.take(upload_id, ticket_id=ticket_id, number=third)[0], state.HELD)

    def offset_in_hash(self, path: str) -> int:
        return int(exchange(staging_redis(), ("HGET", state.key_of(self.upload_id(path)), "offset"))[0])

    def test_holders_are_told_which_of_their_uploads_others_want(self):
        held = []
        for _ in range(4):
            path = self.begun()
            held.append((self.upload_id(path), self.take(path)[0]))
        kept, waited_for, taken, gone = held
        state.take(waited_for[0], ticket_id=self.ticket.pk)
        state.take(taken[0], ticket_id=self.ticket.pk, by_force=True)
        state.end(*gone)

        self.assertEqual(state.which_are_wanted(held), [waited_for, taken, gone])
        self.assertEqual(state.which_are_wanted([kept]), [])
