"""Every move of the table, by one statement and in steps; none is made if another transaction changed the row."""

import re
from collections import defaultdict
from datetime import timedelta
from unittest import skipUnless
from uuid import uuid4

from django.conf import settings
from django.db import connection, transaction
from django.test import SimpleTestCase
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.common.observability.request_id import on_behalf_of
from apps.tickets.delivery import job
from apps.tickets.lifecycle import moves, outcomes
from apps.tickets.lifecycle.executor import Move
from apps.tickets.models import AssetRemoval, Image, Ticket
from apps.tickets.models.statuses import ImageStatus, TicketStatus
from apps.tickets.models.transition import Transition, acting_as
from tests.case import ApiTestCase, CommittingTestCase, at_once
from tests.makers import begin_attempt, make_image, make_ticket

ASSET = {"asset_id": "a" * 32, "asset_version": 1735689600, "asset_format": "jpg"}
TROUBLE = {"code": "cloudinary_unavailable", "detail": "It was away."}
A_MOMENT = timezone.now() + timedelta(minutes=5)
REJECTION = {"reason": "blurred", "note": "Hold it still."}
# Values for every Parameter of the table.
FACTS = {"size": 5, "width": 4, "height": 3, "md5": "5" * 32, "content_type": "image/png", "format": "png"}
FACTS |= {"duplicate_of": None}
VALUES = (
    ASSET | FACTS | TROUBLE | REJECTION | {"moment": A_MOMENT, "position": 3, "attempts": 2, "attempts_uncounted": 1}
)


class DocumentedMovesTests(SimpleTestCase):
    """docs/architecture.md says of each status where it leads, and the tables of moves say the same."""

    def documented(self, kind: str) -> dict[str, set[str]]:
        page = (settings.BASE_DIR / "docs" / "architecture.md").read_text()
        table = re.search(rf"\| {kind} \| goes to \| when \|\n(.*?)\n\n", page, re.DOTALL)[1]
        leads_to = defaultdict(set)
        for row in table.splitlines()[1:]:
            from_statuses, to_statuses = (re.findall(r"`(\w+)`", cell) for cell in row.split("|")[1:3])
            for status in from_statuses:
                leads_to[status] |= set(to_statuses)
        return dict(leads_to)

    def allowed(self, table: dict[str, Move]) -> dict[str, set[str]]:
        leads_to = defaultdict(set)
        for move in table.values():
            for status in move.from_statuses:
                leads_to[str(status)].add(str(move.to_status))
        return dict(leads_to)

    def test_images(self):
        self.assertEqual(self.documented("image"), self.allowed(moves.IMAGE_MOVES))

    def test_tickets(self):
        self.assertEqual(self.documented("ticket"), self.allowed(moves.TICKET_MOVES))


class AllowedMovesTests(ApiTestCase):
    """From a status that the table does not list, no move is made, and nothing is written."""

    def test_images(self):
        for name, move in moves.IMAGE_MOVES.items():
            for status in ImageStatus.values:
                with self.subTest(name, status=status):
                    ticket = make_ticket(num_images=9, status="in_progress")
                    image = make_image(ticket, status=status, attempts=2, attempts_uncounted=1)

                    made = move.make(image.pk, **VALUES)

                    self.assertEqual(made is not None, status in move.from_statuses)
                    kept = Image.objects.get(pk=image.pk)
                    self.assertEqual(kept.status, move.to_status if made else status)
                    written = Transition.objects.filter(image_id=image.pk).values_list("from_status", "to_status")
                    self.assertEqual(list(written), [(status, move.to_status)] if made else [])
                    self.assertEqual(Ticket.objects.get(pk=ticket.pk).version, ticket.version + bool(made))

    def test_tickets(self):
        past = timezone.now() - timedelta(minutes=1)
        for name, move in moves.TICKET_MOVES.items():
            for status in TicketStatus.values:
                with self.subTest(name, status=status):
                    ticket = make_ticket(num_images=1, status=status, expires_at=past)
                    make_image(ticket, status="stored")

                    made = move.make_of(Ticket.objects.lock(ticket.pk), moment=A_MOMENT)

                    self.assertEqual(made, status in move.from_statuses)
                    kept = Ticket.objects.get(pk=ticket.pk)
                    self.assertEqual(kept.status, move.to_status if made else status)
                    self.assertEqual(kept.version, ticket.version + made)
                    written = Transition.objects.filter(ticket_id=ticket.pk).values_list("from_status", "to_status")
                    self.assertEqual(list(written), [(status, move.to_status)] if made else [])

    def test_ticket_in_hand_is_as_the_database_has_it(self):
        ticket = Ticket.objects.lock(make_ticket().pk)

        moves.cancel(ticket)

        kept = Ticket.objects.get(pk=ticket.pk)
        for field in Ticket._meta.concrete_fields:
            self.assertEqual(getattr(kept, field.attname), getattr(ticket, field.attname), field.name)

    def test_ticket_expires_and_completes_only_when_it_is_time(self):
        in_an_hour = timezone.now() + timedelta(hours=1)
        ticket = Ticket.objects.lock(make_ticket(num_images=2, status="in_progress", expires_at=in_an_hour).pk)
        make_image(ticket, status="stored")

        self.assertFalse(moves.expire_if_overdue(ticket))
        self.assertFalse(moves.complete_if_all_images_are_stored(ticket))


@skipUnless(connection.vendor == "postgresql", "needs PostgreSQL's locks of rows")
class MovesTests(CommittingTestCase):
    def setUp(self):
        super().setUp()
        self.image = self.new_image()

    def new_image(self, *, position: int = 1, **fields) -> Image:
        ticket = make_ticket(num_images=9, status="in_progress")
        return make_image(ticket, position=position, request_id="the-post", **fields)

    def begin(self, image: Image) -> Image | None:
        return job._start_attempt(str(image.pk))

    def store(self, image: Image) -> bool:
        return outcomes.record_stored(image, **ASSET)

    def left_by(self, image: Image) -> list[dict]:
        """Returns the rows of the database, without the fields that differ between any two photos."""
        moments = {"created_at", "updated_at", "stored_at", "rejected_at", "at"}
        own = moments | {"id", "ticket", "image_id", "ticket_id", "owner"}
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

    def made(self, make, image: Image) -> tuple:
        values = {"id": image.pk, "now": timezone.now()} | VALUES
        told = self.assertLogs("apps.tickets.models.transition", "INFO")
        with told as logs, acting_as("job of the test"), transaction.atomic():
            moved, ticket = make(values)
        self.assertEqual((moved.pk, ticket.pk), (image.pk, image.ticket_id))
        self.assert_as_kept(moved)
        [line] = [record.getMessage().replace(str(image.pk), "image") for record in logs.records]
        return self.left_by(image), line.replace(f"ticket {image.ticket_id}", "ticket")

    def test_every_move_leaves_the_same_by_one_statement_and_in_steps(self):
        for name, move in moves.IMAGE_MOVES.items():
            for status in move.from_statuses:
                with self.subTest(name, status=status):
                    fields = {"status": status, "attempts": 2, "attempts_uncounted": 1, "error_code": "worker_lost"}
                    first, second = self.new_image(**fields), self.new_image(**fields)

                    at_once, in_steps = self.made(move._make_at_once, first), self.made(move._make_in_steps, second)

                    self.assertEqual(at_once, in_steps)

    def statements_of(self, function) -> list[str]:
        with CaptureQueriesContext(connection) as queries:
            function()
        return [query["sql"] for query in queries if query["sql"] not in ("BEGIN", "COMMIT")]

    def test_attempt_begins_by_one_statement_and_stored_photo_takes_one_more_to_count(self):
        for image in (self.image, self.new_image()):  # the first time also compiles
            self.assertEqual(len(self.statements_of(lambda image=image: self.begin(image))), 1)
            begun = Image.objects.get(pk=image.pk)
            self.assertEqual(len(self.statements_of(lambda begun=begun: self.store(begun))), 2)

    def test_photo_that_moved_before_the_statement_is_moved_from_where_it_is(self):
        begun = self.begin(self.image)

        def give_up_attempt():
            moves.retry_at(Image.objects.get(pk=begun.pk), timezone.now(), **TROUBLE)

        self.assertTrue(self.after_waiting(lambda: self.store(begun), ticket=begun.ticket, change=give_up_attempt))
        made = Transition.objects.filter(image_id=begun.pk).order_by("id")
        self.assertEqual([move.from_status for move in made], ["queued", "uploading", "queued"])

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

                self.assertIsNone(moves.start_upload(image.pk, lease_seconds=30))

                self.assertEqual(Ticket.objects.get(pk=image.ticket_id).version, version)
        self.assertFalse(Transition.objects.exists())

    def test_attempt_is_not_begun_of_a_photo_that_failed_while_it_waited_for_the_ticket(self):
        begun = self.after_waiting(
            lambda: self.begin(self.image), ticket=self.image.ticket, change=lambda: moves.fail(self.image, **TROUBLE)
        )

        self.assertIsNone(begun)
        self.assert_moves("failed")

    def test_photo_that_failed_while_its_outcome_waited_for_the_ticket_is_not_stored(self):
        begun = self.begin(self.image)

        stored = self.after_waiting(
            lambda: self.store(begun),
            ticket=self.image.ticket,
            change=lambda: moves.fail(Image.objects.get(pk=begun.pk), **TROUBLE),
        )

        self.assertFalse(stored)
        self.assert_moves("uploading", "failed")
        self.assertTrue(AssetRemoval.objects.filter(public_id=begun.public_id).exists())

    def test_attempt_that_was_overtaken_while_it_waited_for_the_ticket_stores_nothing(self):
        begun = self.begin(self.image)

        def overtake():
            other = Image.objects.get(pk=begun.pk)
            moves.retry_at(other, timezone.now(), **TROUBLE)
            begin_attempt(other)

        stored = self.after_waiting(lambda: self.store(begun), ticket=self.image.ticket, change=overtake)

        self.assertFalse(stored)
        self.assert_moves("uploading", "queued", "uploading")

    def assert_moves(self, *statuses: str) -> None:
        """Returns the image's outcome and its transitions."""
        kept = Image.objects.get(pk=self.image.pk)
        self.assertEqual((kept.status, kept.asset_id), (statuses[-1], ""))
        made = Transition.objects.filter(image_id=self.image.pk).order_by("id")
        self.assertEqual([move.to_status for move in made], list(statuses))
