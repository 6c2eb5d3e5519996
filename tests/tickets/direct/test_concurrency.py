"""Several at once, with real threads: one photo, one place, whoever comes first."""

from unittest import skipUnless

from django.db import connection
from django.utils import timezone

from apps.tickets.direct import looking
from apps.tickets.lifecycle import outcomes
from apps.tickets.lifecycle.endings import cancel_ticket
from apps.tickets.models import Image, Ticket
from apps.tickets.models.transition import Transition
from tests.case import at_once
from tests.makers import client_for
from tests.tickets.direct.case import CommittingDirectTestCase


@skipUnless(connection.vendor == "postgresql", "needs PostgreSQL's locks of rows")
class ConcurrencyTests(CommittingDirectTestCase):
    def setUp(self):
        super().setUp()
        Ticket.objects.update(num_images=1)

    def outcomes_of(self, *functions) -> list:
        return at_once(lambda function: function(), functions)

    def told(self, image: Image):
        """Returns a function that notifies hopla, with a client of its own, and returns the outcome."""
        client = client_for()
        return lambda: self.notify(self.facts(image), client=client).json()["outcome"]

    def look(self, image: Image):
        return lambda: looking.look_for([image])

    def assert_stored_once(self, image: Image) -> None:
        ticket = Ticket.objects.get()
        self.assertEqual((ticket.status, ticket.progress().stored), ("completed", 1))
        moves = Transition.objects.filter(image_id=image.pk, to_status="stored")
        completed = Transition.objects.filter(image_id=None, to_status="completed")
        self.assertEqual((moves.count(), completed.count()), (1, 1))

    def test_two_notifications_at_once(self):
        image, _ = self.begun()

        told = self.outcomes_of(*[self.told(image) for _ in range(4)])

        self.assertCountEqual(told, ["stored", "unchanged", "unchanged", "unchanged"])
        self.assert_stored_once(image)

    def test_notification_beside_the_reconcilers_look(self):
        image, form = self.begun()
        self.posted(form)

        self.outcomes_of(self.told(image), self.look(image), self.told(image), self.look(image))

        self.assert_stored_once(image)

    def test_last_place_goes_to_a_direct_upload_or_to_a_photo(self):
        clients = [client_for(self.owner) for _ in range(4)]

        def photo(client):
            return lambda: client.generic("POST", self.path(of="images"), self.photo, content_type="image/jpeg")

        responses = self.outcomes_of(
            *[lambda client=client: self.begin(client) for client in clients[:2]],
            *[photo(each) for each in clients[2:]],
        )

        statuses = sorted(response.status_code for response in responses)
        self.assertIn(statuses, ([201, 409, 409, 409], [202, 409, 409, 409]))
        self.assertEqual(Image.objects.count(), 1)

    def test_notification_that_waits_while_the_upload_expires_counts_late(self):
        image, form = self.begun()
        self.posted(form)
        self.run_out(image)

        def expire():
            outcomes.record_not_received(
                Image.objects.get(), code="direct_upload_expired", detail="", look_again_at=timezone.now()
            )

        self.assertEqual(self.after_waiting(self.told(image), ticket=self.ticket, change=expire), "stored")

        self.assert_stored_once(image)
        self.assertEqual(self.status_of(image), ("stored", ""))

    def test_expiry_that_waits_while_the_photo_is_stored_changes_nothing(self):
        image, _ = self.begun()
        self.run_out(image)
        image.refresh_from_db()

        def expire():
            return outcomes.record_not_received(image, code="direct_upload_expired", detail="")

        self.assertFalse(self.after_waiting(expire, ticket=self.ticket, change=self.told(image)))

        self.assert_stored_once(image)

    def test_expiry_beside_a_notification(self):
        image, _ = self.begun()
        self.run_out(image)
        image.refresh_from_db()

        self.outcomes_of(self.told(image), self.look(image))  # Cloudinary lags: it shows nothing yet

        self.assert_stored_once(image)

    def test_cancelling_beside_a_notification(self):
        image, _ = self.begun()

        told, cancelled = self.outcomes_of(self.told(image), lambda: cancel_ticket(self.ticket.pk))

        expected = {"stored": ("stored", "completed"), "removed": ("failed", "cancelled")}
        self.assertEqual((self.status_of(image)[0], Ticket.objects.get().status), expected[told])
        self.assertEqual(cancelled, told == "removed")

    def test_same_key_at_once_is_one_upload(self):
        clients = [client_for(self.owner) for _ in range(4)]

        responses = self.outcomes_of(*[lambda c=c: self.begin(c, IDEMPOTENCY_KEY="one") for c in clients])

        self.assertEqual(Image.objects.count(), 1)
        self.assertLessEqual({response.status_code for response in responses}, {201, 409})
