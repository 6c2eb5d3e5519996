import io
from datetime import timedelta

from django.core.management import call_command
from django.utils import timezone

from apps.guests.links import revoke
from apps.guests.models import GuestLink
from apps.tickets.models import Ticket, TicketKind
from apps.tickets.models.statuses import TicketStatus
from script.demo_ticket import open_demo_ticket, page_for_a_guest
from tests.case import ApiTestCase
from tests.makers import make_guest_link, make_ticket, running_sandbox


class DemoCase(ApiTestCase):
    def setUp(self):
        super().setUp()
        for command in ("make_demo_user", "make_demo_kinds"):
            with self.settings(DEBUG=True):
                call_command(command, stdout=io.StringIO())


class DemoTicketTests(DemoCase):
    def setUp(self):
        super().setUp()
        self.sandbox = self.enterContext(running_sandbox())

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


class DemoGuestTests(DemoCase):
    def setUp(self):
        super().setUp()
        self.path = page_for_a_guest()
        self.link = GuestLink.objects.get()

    def assert_next_start_makes_another(self):
        other = make_ticket(reference="DEMO-GUEST", owner=make_ticket().owner)
        path = page_for_a_guest()
        self.assertNotEqual(path, self.path)
        self.assertContains(self.client.get(path), "A blue car, for a guest")
        self.assertEqual(self.client.get(self.path).status_code, 404)
        self.assertTrue(Ticket.objects.filter(pk=other.pk).exists())

    def test_page_is_that_of_a_set_to_take_within_a_month(self):
        self.assertContains(self.client.get(self.path), "Odometer")
        self.assertEqual(self.link.ticket.reference, "DEMO-GUEST")
        self.assertGreater(self.link.expires_at, timezone.now() + timedelta(days=29))

    def test_next_start_leads_to_the_same_page(self):
        Ticket.objects.update(status=TicketStatus.IN_PROGRESS)
        make_guest_link(self.link.ticket)  # of staff, for somebody
        self.assertEqual(page_for_a_guest(), self.path)

    def test_next_start_makes_another_once_the_set_is_complete(self):
        Ticket.objects.update(status=TicketStatus.COMPLETED)
        self.assert_next_start_makes_another()

    def test_next_start_makes_another_once_the_link_is_revoked(self):
        revoke(self.link)
        self.assert_next_start_makes_another()

    def test_next_start_makes_another_once_the_link_has_expired(self):
        GuestLink.objects.update(expires_at=timezone.now())
        self.assert_next_start_makes_another()

    def test_next_start_makes_another_where_staff_have_ended_the_time_of_its_ticket(self):
        Ticket.objects.update(expires_at=timezone.now())
        self.assert_next_start_makes_another()

    def test_next_start_makes_another_where_the_token_cannot_be_read_any_more(self):
        with self.settings(ENCRYPTION_KEYS=[b"2" * 32]):
            self.assert_next_start_makes_another()

    def test_there_is_none_without_its_kind(self):
        Ticket.objects.all().delete()
        TicketKind.objects.all().delete()
        self.assertIsNone(page_for_a_guest())
        self.assertFalse(Ticket.objects.exists())
