from datetime import timedelta

from django.db import IntegrityError, transaction
from django.utils import timezone

from apps.tickets.lifecycle import moves
from apps.tickets.models import Image
from tests.case import ApiTestCase
from tests.makers import begin_attempt, make_image, make_ticket

ASSET = {"asset_id": "a1", "asset_version": 1, "asset_format": "jpg"}


class PlaceTests(ApiTestCase):
    def test_database_gives_no_place_twice(self):
        ticket = make_ticket()
        make_image(ticket, position=1, status="failed")
        make_image(ticket, position=1)

        for status in ("queued", "uploading", "stored"):
            with self.subTest(status), self.assertRaises(IntegrityError), transaction.atomic():
                make_image(ticket, position=1, status=status)

    def test_places_are_counted_from_one(self):
        with self.assertRaises(IntegrityError), transaction.atomic():
            make_image(make_ticket(), position=0)


class MoveTests(ApiTestCase):
    """Each move is made once, even if other code has an instance of the same row."""

    def setUp(self):
        super().setUp()
        self.image = make_image(make_ticket())

    def again(self) -> Image:
        return Image.objects.get(pk=self.image.pk)

    def test_two_workers_start_one_attempt(self):
        other = self.again()

        self.assertEqual((begin_attempt(self.image), begin_attempt(other)), (True, False))
        self.assertEqual(self.again().attempts, 1)

    def test_attempt_starts_only_when_its_retry_is_due(self):
        self.image.next_retry_at = timezone.now() + timedelta(minutes=1)
        self.image.save()

        self.assertFalse(begin_attempt(self.image))

    def test_two_workers_store_once(self):
        begin_attempt(self.image)
        other = self.again()

        self.assertEqual(moves.store(self.image, **ASSET), self.image.ticket)
        self.assertIsNone(moves.store(other, **ASSET))

    def test_overtaken_attempt_changes_nothing(self):
        begin_attempt(self.image)
        late = self.again()
        moves.retry_at(self.image, timezone.now(), code="worker_lost", detail="-")
        next_attempt = self.again()
        begin_attempt(next_attempt)

        made = (
            moves.store(late, **ASSET),
            moves.fail(late, code="x", detail="-"),
            moves.retry_at(late, timezone.now(), code="x", detail="-"),
            moves.give_back(late, timezone.now()),
        )

        self.assertEqual(made, (None, None, None, None))
        self.assertEqual((self.again().status, self.again().attempts), ("uploading", 2))
        self.assertTrue(moves.store(next_attempt, **ASSET))

    def test_stored_image_does_not_fail_and_failed_one_is_not_stored(self):
        begin_attempt(self.image)
        failed = self.again()
        moves.store(self.image, **ASSET)
        self.assertIsNone(moves.fail(failed, code="x", detail="-"))

        other = make_image(self.image.ticket, position=2)
        begin_attempt(other)
        moves.fail(other, code="x", detail="-")
        self.assertIsNone(moves.store(other, **ASSET))

    def test_text_of_an_error_is_cut_to_what_the_column_holds(self):
        begin_attempt(self.image)

        moves.fail(self.image, code="cloudinary_refused", detail="x" * 2000)

        self.assertEqual(len(self.again().error_detail), 500)
