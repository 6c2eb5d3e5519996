"""What a photo's one statement does when it had to wait for its ticket, and found another one than it had looked at."""

from itertools import product
from unittest import skipUnless

from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from rest_framework.exceptions import APIException

from apps.tickets.errors import TicketCancelledError, TicketFullError
from apps.tickets.intake import acceptance, places
from apps.tickets.lifecycle import moves
from apps.tickets.lifecycle.endings import cancel_ticket
from apps.tickets.models import Image, Ticket
from apps.tickets.models.transition import Transition
from tests.case import ApiTestCase, CommittingTestCase, at_once
from tests.makers import jpeg_bytes, make_accepted_image, make_image, make_ticket, stage_photo

DESCRIBED = {"size": 1, "sha256": "0" * 64, "format": "jpeg", "width": 1, "height": 1}


@skipUnless(connection.vendor == "postgresql", "needs PostgreSQL's locks of rows")
class PlacesTests(CommittingTestCase):
    def setUp(self):
        super().setUp()
        self.ticket = make_ticket(num_images=3)
        make_accepted_image(self.ticket, seed=1)

    def statements_of(self, function) -> int:
        with CaptureQueriesContext(connection) as queries:
            self.taken = function()
        return len([query for query in queries if query["sql"] not in ("BEGIN", "COMMIT")])

    def accept(self, seed: int = 2, *, ticket: Ticket | None = None) -> Image:
        return acceptance.accept_photo(ticket_id=(ticket or self.ticket).pk, photo=stage_photo(jpeg_bytes(seed)))

    def accept_while(self, change) -> Image:
        """What becomes of a photo whose statement waits for its ticket while `change` is made to it."""
        return self.after_waiting(self.accept, ticket=self.ticket, change=change)

    def test_ordinary_photo_takes_the_next_place_by_one_statement(self):
        version = Ticket.objects.get(pk=self.ticket.pk).version

        self.assertEqual(self.statements_of(self.accept), 1)

        image = self.taken
        self.assertEqual(image.position, 2)
        kept = Image.objects.get(pk=image.pk)
        for field in Image._meta.concrete_fields:
            self.assertEqual(getattr(kept, field.attname), getattr(image, field.attname), field.name)
        self.assertEqual(Ticket.objects.get(pk=self.ticket.pk).version, version + 1)

    def test_statement_has_no_more_parameters_than_psycopg_reads_once(self):
        _, parameters = places._compile_take()
        self.assertLessEqual(len(parameters), 50)

    def test_photo_with_the_same_bytes_is_named(self):
        first = self.ticket.images.get()

        self.assertEqual(self.statements_of(lambda: self.accept(seed=1)), 1)

        self.assertEqual(self.taken.duplicate_of_id, first.pk)

    def test_place_that_another_got_meanwhile_is_not_taken_again(self):
        image = self.accept_while(lambda: make_image(self.ticket, position=2))

        self.assertEqual(image.position, 3)

    def test_where_photos_come_side_by_side_the_next_one_locks_the_ticket_and_is_not_overtaken(self):
        self.ticket = make_ticket(num_images=9)
        self.accept_while(lambda: make_image(self.ticket, position=1))
        version = Ticket.objects.get(pk=self.ticket.pk).version

        image = self.accept_while(lambda: make_image(self.ticket, position=3))

        self.assertEqual(image.position, 4)
        self.assertEqual(Ticket.objects.get(pk=self.ticket.pk).version, version + 1)  # by one attempt
        self.assertEqual(self.statements_of(lambda: self.accept(seed=9)), 2)
        self.assertEqual(self.taken.position, 5)

    def test_last_place_that_another_got_meanwhile_is_refused(self):
        make_image(self.ticket, position=2)

        with self.assertRaises(TicketFullError):
            self.accept_while(lambda: make_image(self.ticket, position=3))
        self.assertEqual(self.ticket.images.count(), 3)

    def test_ticket_that_was_cancelled_meanwhile_takes_nothing(self):
        with self.assertRaises(TicketCancelledError):
            self.accept_while(lambda: cancel_ticket(self.ticket.pk))
        self.assertEqual(self.ticket.images.holding_a_place().count(), 0)

    def test_place_that_became_free_before_the_last_is_taken_first(self):
        make_image(self.ticket, position=2)
        self.ticket.images.filter(position=1).update(status="failed")

        self.assertEqual([self.accept(seed).position for seed in (5, 6)], [1, 3])

    def begin_a_ticket(self, take) -> tuple:
        """What the first photo of a ticket leaves there, and in the log."""
        ticket = make_ticket(num_images=3)

        with self.assertLogs("apps.tickets.models.transition", "INFO") as logs:
            take(ticket)

        [move] = Transition.objects.filter(ticket_id=ticket.pk)
        self.assertEqual(move.actor, f"user {ticket.owner_id}")
        kept = Ticket.objects.get(pk=ticket.pk)
        [line] = [record.getMessage().replace(f"ticket {ticket.pk}", "ticket") for record in logs.records]
        told = [record.by == move.actor for record in logs.records]
        return kept.status, kept.version, move.from_status, move.to_status, move.image_id, move.reason, line, told

    def test_first_photo_begins_the_ticket_the_same_by_one_statement_and_in_steps(self):
        by_one_statement = self.begin_a_ticket(lambda ticket: self.accept(ticket=ticket))
        self.assertEqual(by_one_statement[:4], ("in_progress", 2, "pending", "in_progress"))

        def take_in_steps(ticket):
            with transaction.atomic():
                locked = Ticket.objects.lock(ticket.pk)
                places._take_in_steps(Image(ticket=ticket, **DESCRIBED), locked, position=1)

        self.assertEqual(self.begin_a_ticket(take_in_steps), by_one_statement)

    def test_ticket_that_another_photo_has_begun_meanwhile_is_not_begun_again(self):
        self.ticket = make_ticket(num_images=3)

        def begin():
            make_image(self.ticket)
            moves.begin(Ticket.objects.lock(self.ticket.pk))

        image = self.accept_while(begin)

        self.assertEqual(image.position, 2)
        self.assertEqual(Transition.objects.filter(ticket_id=self.ticket.pk).count(), 1)

    def test_many_first_photos_at_once_begin_the_ticket_once(self):
        ticket = make_ticket(num_images=8)

        images = at_once(lambda seed: self.accept(seed, ticket=ticket), range(8))

        self.assertEqual(sorted(image.position for image in images), list(range(1, 9)))
        self.assertEqual(Transition.objects.filter(ticket_id=ticket.pk).count(), 1)

    def test_nothing_is_taken_of_a_ticket_that_is_full_overdue_or_over(self):
        overdue = make_ticket(num_images=3, status="in_progress", expires_at="2020-01-01T00:00Z")
        full = make_ticket(num_images=1, status="in_progress")
        make_image(full)
        over = [make_ticket(status=status) for status in ("completed", "cancelled", "expired")]
        for ticket in (overdue, full, *over):
            with self.subTest(ticket=ticket):
                version, images = ticket.version, ticket.images.count()

                for position, locks_first in product((None, 2), (False, True)):
                    image = Image(ticket=ticket, **DESCRIBED)
                    outcome = places._take_at_once(image, position=position, locks_first=locks_first)
                    self.assertIs(outcome, places.Outcome.NOT_THERE)
                with self.assertRaises(APIException), transaction.atomic():
                    places.free_position(Ticket.objects.lock(ticket.pk), wanted=2)

                self.assertEqual(ticket.images.count(), images)
                ticket.refresh_from_db()
                self.assertEqual(ticket.version, version)


class FreePositionTests(ApiTestCase):
    """Which position a photo gets of a ticket that is locked: the one that it wants, or the first that is free."""

    def setUp(self):
        super().setUp()
        self.ticket = make_ticket(num_images=4)
        for position in (1, 3):
            make_image(self.ticket, position=position)

    def test_wanted_position(self):
        self.assertEqual(places.free_position(self.ticket, wanted=4), 4)

    def test_first_that_is_free_instead_of_one_that_is_taken(self):
        self.assertEqual(places.free_position(self.ticket, wanted=3), 2)
        self.assertEqual(places.free_position(self.ticket), 2)

    def test_place_of_a_photo_that_failed_is_free(self):
        self.ticket.images.filter(position=1).update(status="failed")

        self.assertEqual(places.free_position(self.ticket), 1)

    def test_full_ticket_has_none(self):
        for position in (2, 4):
            make_image(self.ticket, position=position)

        with self.assertRaises(TicketFullError):
            places.free_position(self.ticket, wanted=1)
