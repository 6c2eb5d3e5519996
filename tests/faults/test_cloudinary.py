from datetime import timedelta

import urllib3
from django.utils import timezone

from apps.sandbox.faults import KINDS
from apps.tickets.lifecycle.endings import cancel_ticket
from apps.tickets.models import AssetRemoval, Image, Ticket
from apps.tickets.models.transition import Transition
from tests.faults.case import FaultsTestCase, needs_postgres
from tests.faults.clients import photo
from tests.faults.world import ONE_WEB_PROCESS

PASSING_STATUSES = (423, 429, 500, 502, 503, 504)
NO_TROUBLE = ("latency", "admin_lag", "wrong_credentials", "refuse")
TROUBLE = [kind for kind in KINDS if kind not in NO_TROUBLE and not kind.startswith("notification_")]


class CloudinaryTests(FaultsTestCase):
    # Long enough for an upload on a busy machine, and for two more of the troubles in each other's place.
    world_options = {"environment": ONE_WEB_PROCESS | {"UPLOAD_MAX_ATTEMPTS": "4", "UPLOAD_TIMEOUT_SECONDS": "6"}}

    def test_each_kind_of_trouble_ends_in_one_asset_with_the_bytes_that_were_sent(self):
        faults = [self.sandbox.misbehave(kind, times=1) for kind in TROUBLE]
        faults += [self.sandbox.misbehave("refuse", status=status, times=1) for status in PASSING_STATUSES]

        with self.worker_frozen():  # so that each photo meets one of them, all at once
            self.post(len(faults))

        self.wait_until_settled()
        self.assertEqual({image.status for image in self.images()}, {"stored"})
        self.assertEqual([fault.kind for fault in faults if not fault.fired], [])
        self.assert_books_balance()

    @needs_postgres
    def test_refused_photo_is_failed_with_its_reason_and_its_place_is_taken_by_another(self):
        self.sandbox.misbehave("refuse", status=400, times=1)
        ticket = self.post(1)
        self.wait_until(lambda: self.images("failed"))
        [image] = self.images()
        self.assertEqual((image.error_code, image.error_detail), ("cloudinary_refused", "Invalid image file"))
        self.assertEqual(image.attempts, 1)

        self.client.fill_ticket(ticket, [photo(5)])

        self.assert_books_balance()

    @needs_postgres
    def test_photo_stored_whenever_its_response_is_lost_fails_in_the_end_and_leaves_no_asset(self):
        with self.misbehaving("store_then_drop"):
            ticket = self.post(1)
            self.wait_until(lambda: self.images("failed"))
        self.meant[ticket] = 0
        [image] = self.images()
        self.assertEqual((image.error_code, image.attempts), ("cloudinary_unavailable", 4))
        self.assert_books_balance()
        self.assertEqual(len(self.sandbox.assets), 0)

    @needs_postgres
    def test_limit_of_the_account_holds_everything_back_without_spending_attempts(self):
        with self.worker_frozen():
            self.post(6)
            self.sandbox.misbehave("refuse", status=420, reset_in_seconds=3, times=1)

        self.wait_until_settled()

        self.assertEqual({(image.status, image.attempts_counted) for image in self.images()}, {("stored", 1)})
        self.assert_books_balance()

    @needs_postgres
    def test_wrong_credentials_spend_no_attempt_and_uploads_go_on_once_they_work(self):
        with self.misbehaving("wrong_credentials") as fault:
            ticket = self.post(3)
            self.wait_until(lambda: fault.fired and not self.images("uploading"))
            self.assertEqual(self.client.read_ticket(ticket)["progress"]["received"], 3)
            self.wait_until(lambda: "CLOUDINARY_URL" in self.world.workers[0].output)
            self.assertIn("CLOUDINARY_URL", self.wait_until(self.what_cloudinary_lacks))

        self.wait_until_settled()

        self.assertEqual({(image.status, image.attempts_counted) for image in self.images()}, {("stored", 1)})
        self.assert_books_balance()

    def what_cloudinary_lacks(self) -> str:
        """By the word of /readyz; "" when it lacks nothing."""
        said = urllib3.request("GET", f"{self.world.url}/readyz", retries=False).json()["checks"]["cloudinary"]
        return "" if said == "ok" else said

    @needs_postgres
    def test_photo_that_is_to_wait_is_sent_again_when_it_may(self):
        with self.worker_frozen():
            self.post(2)
            self.sandbox.misbehave("refuse", status=429, retry_after=3, times=1)

        self.wait_until_settled()

        self.assertCountEqual(
            [(image.status, image.attempts) for image in self.images()], [("stored", 1), ("stored", 2)]
        )
        waited = Image.objects.get(attempts=2)
        first, second = Transition.objects.filter(image_id=waited.pk, to_status="uploading").order_by("at")
        self.assertGreater(second.at - first.at, timedelta(seconds=3))
        self.assert_books_balance()

    @needs_postgres
    def test_lost_bytes_of_a_photo_that_the_admin_api_does_not_show_yet_leave_no_asset(self):
        with self.misbehaving("store_then_drop"), self.misbehaving("admin_lag", seconds=3600):
            ticket = self.post(1)
            self.wait_until(lambda: self.images()[0].attempts and len(self.sandbox.assets))
            self.world.flush_redis()
            self.wait_until(lambda: self.images("failed"))
        self.meant[ticket] = 0
        self.assertEqual(self.images()[0].error_code, "bytes_lost")
        self.assert_books_balance()

    @needs_postgres
    def test_lost_bytes_of_a_photo_that_cloudinary_holds_make_it_stored(self):
        with self.misbehaving("store_then_drop"):
            self.post(1)
            self.wait_until(lambda: self.images()[0].attempts and len(self.sandbox.assets))
            self.world.flush_redis()
            self.wait_until_settled()
        self.assertEqual(self.images()[0].status, "stored")
        self.assert_books_balance()

    @needs_postgres
    def test_photos_in_flight_of_a_cancelled_ticket_leave_no_asset(self):
        with self.misbehaving("latency", seconds=4):
            ticket = self.post(2)
            self.wait_until(lambda: len(self.images("uploading")) == 2)

            cancel_ticket(ticket)

            self.wait_until(lambda: len(self.sandbox.assets) == 2)
        self.meant[ticket] = 0
        self.assertEqual({image.error_code for image in self.images("failed")}, {"ticket_cancelled"})
        self.assertEqual(AssetRemoval.objects.count(), 2)
        self.assert_books_balance()

    @needs_postgres
    def test_ticket_expires_with_its_photos_in_flight_and_takes_no_more(self):
        with self.misbehaving("hang"):
            ticket = self.open_ticket(2)
            self.client.post_photo(ticket, photo(1))
            self.wait_until(lambda: self.images("uploading"))
            Ticket.objects.update(expires_at=timezone.now())
            self.wait_until(lambda: Ticket.objects.get(pk=ticket).status == "expired")
        self.meant[ticket] = 0
        self.assertEqual([image.error_code for image in self.images()], ["ticket_expired"])
        late = self.client.post_photo(ticket, photo(2))
        self.assertEqual((late.status, late.code), (410, "ticket_expired"))
        self.assert_books_balance()
