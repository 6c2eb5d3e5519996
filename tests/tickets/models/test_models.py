from datetime import timedelta

from django.db import IntegrityError, transaction
from django.utils import timezone

from apps.tickets.models import Image
from tests.case import ApiTestCase
from tests.makers import make_image, make_ticket

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
    """Each move is made once, whoever else holds the same row in hand."""

    def setUp(self):
        super().setUp()
        self.image = make_image(make_ticket())

    def again(self) -> Image:
        return Image.objects.get(pk=self.image.pk)

    def test_two_workers_start_one_attempt(self):
        other = self.again()

        self.assertEqual(
            (self.image.start_upload(lease_seconds=30), other.start_upload(lease_seconds=30)), (True, False)
        )
        self.assertEqual(self.again().attempts, 1)

    def test_attempt_starts_only_when_its_retry_is_due(self):
        self.image.next_retry_at = timezone.now() + timedelta(minutes=1)
        self.image.save()

        self.assertFalse(self.image.start_upload(lease_seconds=30))

    def test_two_workers_store_once(self):
        self.image.start_upload(lease_seconds=30)
        other = self.again()

        self.assertEqual((self.image.store(**ASSET), other.store(**ASSET)), (True, False))

    def test_overtaken_attempt_changes_nothing(self):
        self.image.start_upload(lease_seconds=30)
        late = self.again()
        self.image.retry_at(timezone.now(), code="worker_lost", detail="-")
        next_attempt = self.again()
        next_attempt.start_upload(lease_seconds=30)

        moves = (
            late.store(**ASSET),
            late.fail(code="x", detail="-"),
            late.retry_at(timezone.now(), code="x", detail="-"),
        )

        self.assertEqual(moves, (False, False, False))
        self.assertEqual((self.again().status, self.again().attempts), ("uploading", 2))
        self.assertTrue(next_attempt.store(**ASSET))

    def test_stored_image_does_not_fail_and_failed_one_is_not_stored(self):
        self.image.start_upload(lease_seconds=30)
        failed = self.again()
        self.image.store(**ASSET)
        self.assertFalse(failed.fail(code="x", detail="-"))

        other = make_image(self.image.ticket, position=2)
        other.start_upload(lease_seconds=30)
        other.fail(code="x", detail="-")
        self.assertFalse(other.store(**ASSET))

    def test_text_of_an_error_is_cut_to_what_the_column_holds(self):
        self.image.start_upload(lease_seconds=30)

        self.image.fail(code="cloudinary_refused", detail="x" * 2000)

        self.assertEqual(len(self.again().error_detail), 500)
