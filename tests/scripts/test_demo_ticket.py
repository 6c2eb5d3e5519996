import io

from django.core.management import call_command

from apps.tickets.models import Ticket, TicketKind
from script.demo_ticket import open_demo_ticket
from tests.case import ApiTestCase
from tests.makers import make_ticket, running_sandbox


class DemoTicketTests(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.sandbox = self.enterContext(running_sandbox())
        for command in ("make_demo_user", "make_demo_kinds"):
            with self.settings(DEBUG=True):
                call_command(command, stdout=io.StringIO())

    def open(self) -> Ticket:
        with self.captureOnCommitCallbacks(execute=True):
            open_demo_ticket()
        return Ticket.objects.get(reference="DEMO-REVIEW")

    def test_ticket_waits_for_review_once_its_photos_are_at_the_sandbox(self):
        ticket = self.open()
        for image in ticket.images.all():
            self.deliver(image)

        ticket.refresh_from_db()
        self.assertTrue(ticket.waits_for_review)
        self.assertEqual((len(self.sandbox.assets), ticket.images.exclude(captured_at=None).count()), (6, 6))

    def test_next_start_brings_another_in_its_place_and_touches_no_other(self):
        other = make_ticket(reference="DEMO-REVIEW-2")
        first = self.open()

        second = self.open()

        self.assertEqual(set(Ticket.objects.values_list("pk", flat=True)), {other.pk, second.pk})
        self.assertNotEqual(first.pk, second.pk)

    def test_there_is_none_without_its_kind(self):
        TicketKind.objects.all().delete()
        open_demo_ticket()
        self.assertFalse(Ticket.objects.exists())
