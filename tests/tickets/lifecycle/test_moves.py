"""What the moves that every photo makes do by one statement: the same as the long way, and nothing if it had to wait
for its ticket and found another image then than it had looked at.
"""

from datetime import timedelta
from unittest import mock, skipUnless
from uuid import uuid4

from django.db import connection
from django.utils import timezone

from apps.common.observability.request_id import on_behalf_of
from apps.tickets.delivery import job
from apps.tickets.lifecycle import moves, outcomes
from apps.tickets.models import AssetRemoval, Image, Ticket
from apps.tickets.models.transition import Transition, acting_as
from tests.case import CommittingTestCase, at_once
from tests.makers import make_image, make_ticket

ASSET = {"asset_id": "a" * 32, "asset_version": 1735689600, "asset_format": "jpg"}
TROUBLE = {"code": "cloudinary_unavailable", "detail": "It was away."}


@skipUnless(connection.vendor == "postgresql", "needs PostgreSQL's locks of rows")
class MovesTests(CommittingTestCase):
    def setUp(self):
        super().setUp()
        self.image = self.new_image()
        self.long_ways = self.enterContext(mock.patch.object(Image, "_move", autospec=True, side_effect=Image._move))

    def new_image(self, *, position: int = 1, **fields) -> Image:
        ticket = make_ticket(num_images=9, status="in_progress")
        return make_image(ticket, position=position, request_id="the-post", **fields)

    def begin(self, image: Image) -> Image | None:
        return job._start_attempt(str(image.pk))

    def store(self, image: Image) -> bool:
        return outcomes.record_stored(image, **ASSET)

    def begin_and_store(self, image: Image) -> Image:
        with acting_as("job of the test"), self.assertLogs("apps.tickets.models.transition", "INFO") as logs:
            begun = self.begin(image)
            self.assertTrue(self.store(begun))
        self.log = [record.getMessage().replace(str(image.pk), "image") for record in logs.records]
        return begun

    def left_by(self, image: Image) -> list[dict]:
        """What the database has now, without what no two photos have in common."""
        own = {"id", "ticket", "created_at", "updated_at", "stored_at", "at", "image_id", "ticket_id", "owner"}
        rows = [Image.objects.get(pk=image.pk), Ticket.objects.get(pk=image.ticket_id)]
        rows += Transition.objects.filter(image_id=image.pk).order_by("id")
        return [
            {
                field.name: value
                for field in row._meta.fields
                if (value := getattr(row, field.name)) and field.name not in own
            }
            for row in rows
        ]

    def test_both_ways_leave_the_same(self):
        self.begin_and_store(self.image)
        log, ticket = self.log, f"ticket {self.image.ticket_id}"
        self.assertEqual(self.long_ways.call_count, 0)

        other = self.new_image()
        with mock.patch.multiple(moves, begin_attempt=mock.Mock(return_value=None), store=mock.Mock(return_value=None)):
            self.begin_and_store(other)
        self.assertEqual(self.long_ways.call_count, 2)

        self.assertEqual(self.left_by(self.image), self.left_by(other))
        self.assertEqual([line.replace(ticket, f"ticket {other.ticket_id}") for line in log], self.log)
        self.assertEqual(len(log), 2)

    def test_image_in_hand_is_as_the_database_has_it(self):
        begun = self.begin(self.image)
        self.assert_as_kept(begun)
        self.assertEqual((begun.status, begun.attempts), ("uploading", 1))

        self.store(begun)
        self.assert_as_kept(begun)
        self.assertEqual((begun.status, begun.asset_id), ("stored", ASSET["asset_id"]))

    def assert_as_kept(self, image: Image) -> None:
        kept = Image.objects.get(pk=image.pk)
        for field in Image._meta.concrete_fields:
            self.assertEqual(getattr(kept, field.attname), getattr(image, field.attname), field.name)

    def test_transition_is_of_the_request_that_is_answered_or_else_of_the_one_that_brought_the_photo(self):
        with on_behalf_of("another"):
            begun = self.begin(self.image)
        self.store(begun)

        moves_made = Transition.objects.filter(image_id=self.image.pk).order_by("id")
        self.assertEqual([move.request_id for move in moves_made], ["another", "the-post"])

    def test_trouble_of_the_attempts_before_is_forgotten_once_it_is_stored(self):
        image = self.new_image(attempts=2, error_code="worker_lost", error_detail="…", next_retry_at=timezone.now())

        begun = self.begin(image)
        self.assertEqual((begun.attempts, begun.error_code, begun.next_retry_at), (3, "worker_lost", None))
        self.store(begun)

        kept = Image.objects.get(pk=image.pk)
        self.assertEqual((kept.error_code, kept.error_detail, kept.next_check_at), ("", "", None))

    def test_attempt_is_begun_once(self):
        begun = at_once(self.begin, [self.image] * 4)

        self.assertEqual(len([image for image in begun if image]), 1)
        self.assertEqual(Image.objects.get(pk=self.image.pk).attempts, 1)

    def test_nothing_is_begun_of_an_image_that_is_not_due_settled_or_not_there(self):
        later = timezone.now() + timedelta(minutes=1)
        images = [self.new_image(next_retry_at=later)]
        images += [self.new_image(status=status) for status in ("uploading", "stored", "failed")]
        images.append(Image(pk=uuid4(), ticket=self.image.ticket))
        for image in images:
            with self.subTest(image.status):
                version = Ticket.objects.get(pk=image.ticket_id).version

                self.assertIsNone(moves.begin_attempt(image.pk, lease_seconds=30))

                self.assertEqual(Ticket.objects.get(pk=image.ticket_id).version, version)
        self.assertFalse(Transition.objects.exists())

    def test_attempt_is_not_begun_of_a_photo_that_failed_while_it_waited_for_the_ticket(self):
        begun = self.after_waiting(
            lambda: self.begin(self.image), ticket=self.image.ticket, change=lambda: self.image.fail(**TROUBLE)
        )

        self.assertIsNone(begun)
        self.assert_moves("failed")

    def test_photo_that_failed_while_its_outcome_waited_for_the_ticket_is_not_stored(self):
        begun = self.begin(self.image)

        stored = self.after_waiting(
            lambda: self.store(begun),
            ticket=self.image.ticket,
            change=lambda: Image.objects.get(pk=begun.pk).fail(**TROUBLE),
        )

        self.assertFalse(stored)
        self.assert_moves("uploading", "failed")
        self.assertTrue(AssetRemoval.objects.filter(public_id=begun.public_id).exists())

    def test_attempt_that_was_overtaken_while_it_waited_for_the_ticket_stores_nothing(self):
        begun = self.begin(self.image)

        def overtake():
            other = Image.objects.get(pk=begun.pk)
            other.retry_at(timezone.now(), **TROUBLE)
            other.start_upload(lease_seconds=30)

        stored = self.after_waiting(lambda: self.store(begun), ticket=self.image.ticket, change=overtake)

        self.assertFalse(stored)
        self.assert_moves("uploading", "queued", "uploading")

    def assert_moves(self, *statuses: str) -> None:
        """What became of the image, and what was written down of it."""
        kept = Image.objects.get(pk=self.image.pk)
        self.assertEqual((kept.status, kept.asset_id), (statuses[-1], ""))
        made = Transition.objects.filter(image_id=self.image.pk).order_by("id")
        self.assertEqual([move.to_status for move in made], list(statuses))
