"""Tickets that end without completing, and what happens to their photos in flight."""

import threading
from datetime import timedelta

from django.utils import timezone

from apps.tickets.delivery.job import deliver_photo
from apps.tickets.lifecycle.endings import EXPIRE_BATCH, cancel_ticket, expire_due_tickets, expire_ticket
from apps.tickets.models import AssetRemoval, Image, Ticket
from apps.tickets.staging import store
from apps.tickets.upkeep.reconcile import reconcile
from tests.case import ApiTestCase, CommittingTestCase, at_once, staged_photos
from tests.makers import (
    begin_attempt,
    client_for,
    jpeg_bytes,
    make_accepted_image,
    make_image,
    make_ticket,
    make_user,
    running_sandbox,
)

SECOND = timedelta(seconds=1)


class EndingTestCase(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.sandbox = self.enterContext(running_sandbox())
        self.ticket = make_ticket(num_images=3)

    def end(self, how=cancel_ticket) -> bool:
        with self.captureOnCommitCallbacks(execute=True):
            return how(self.ticket.pk)

    def read(self) -> dict:
        return client_for(self.ticket.owner).get(f"/api/v1/tickets/{self.ticket.pk}/").json()

    def post_photo(self):
        url = f"/api/v1/tickets/{self.ticket.pk}/images/"
        return client_for(self.ticket.owner).generic("POST", url, jpeg_bytes(9), "image/jpeg")

    def run_out(self) -> None:
        self.set(expires_at=timezone.now() - SECOND)

    def set(self, **fields) -> None:
        Ticket.objects.filter(pk=self.ticket.pk).update(**fields)


class CancelTests(EndingTestCase):
    def test_photos_in_flight_fail_and_what_is_stored_stays(self):
        stored = self.deliver(make_accepted_image(self.ticket, seed=1))
        queued, uploading = (make_accepted_image(self.ticket, seed=seed) for seed in (2, 3))
        begin_attempt(uploading)

        self.assertTrue(self.end())

        shown = self.read()
        self.assertEqual(shown["status"], "cancelled")
        self.assertEqual([image["status"] for image in shown["images"]], ["stored", "failed", "failed"])
        for image in shown["images"][1:]:
            self.assertEqual(image["error"]["code"], "ticket_cancelled")
            self.assertIsNone(image["next_retry_at"])
        self.assertEqual((shown["progress"]["stored"], shown["progress"]["failed"]), (1, 2))
        self.assertEqual((staged_photos(), store.bytes_in_use()), ([], 0))
        self.assertEqual([removal.public_id for removal in AssetRemoval.objects.all()], [uploading.public_id])
        self.assertIsNotNone(self.sandbox.assets.find(public_id=stored.public_id))
        self.assertFalse(Image.objects.get(pk=queued.pk).attempts)

    def test_it_takes_no_more_photos(self):
        self.end()

        self.assert_problem(self.post_photo(), 409, "ticket_cancelled")

    def test_it_is_cancelled_once(self):
        self.end()
        before = self.read()

        self.assertFalse(self.end())
        self.assertEqual(self.read(), before)

    def test_ticket_that_has_ended_stays_as_it_is(self):
        for status in ("completed", "expired"):
            with self.subTest(status):
                self.set(status=status)

                self.assertFalse(self.end())
                self.assertEqual(self.read()["status"], status)

    def test_job_that_comes_late_sends_nothing(self):
        image = make_accepted_image(self.ticket)
        self.end()

        self.assertEqual(self.deliver(image).status, "failed")
        self.assertEqual(self.sandbox.requests["upload"], 0)


class ExpireTests(EndingTestCase):
    def test_photos_in_flight_fail_with_their_reason(self):
        image = make_accepted_image(self.ticket)
        self.run_out()

        self.assertTrue(self.end(expire_ticket))

        shown = self.read()
        self.assertEqual((shown["status"], shown["images"][0]["error"]["code"]), ("expired", "ticket_expired"))
        self.assertEqual(staged_photos(), [])
        self.assertEqual(shown["images"][0]["id"], str(image.pk))

    def test_reconciler_expires_what_is_due(self):
        self.run_out()
        later, never = make_ticket(expires_at=timezone.now() + timedelta(hours=1)), make_ticket()
        completed = make_ticket(status="completed", expires_at=timezone.now() - SECOND)

        reconcile()

        statuses = dict(Ticket.objects.values_list("pk", "status"))
        self.assertEqual(
            statuses,
            {self.ticket.pk: "expired", later.pk: "pending", never.pk: "pending", completed.pk: "completed"},
        )

    def test_it_takes_no_more_photos_before_and_after_the_reconciler_has_come(self):
        self.run_out()
        self.assert_problem(self.post_photo(), 410, "ticket_expired")

        reconcile()
        self.assert_problem(self.post_photo(), 410, "ticket_expired")

    def test_it_takes_photos_until_then(self):
        self.set(expires_at=timezone.now() + timedelta(minutes=1))

        self.assertEqual(self.post_photo().status_code, 202)
        self.assertFalse(self.end(expire_ticket))

    def test_stored_photos_of_an_expired_ticket_stay(self):
        self.deliver(make_accepted_image(self.ticket))
        self.run_out()
        self.end(expire_ticket)

        reconcile()
        self.assertEqual((self.read()["progress"]["stored"], len(self.sandbox.assets)), (1, 1))

    def test_many_are_expired_a_batch_at_a_time(self):
        owner, past = make_user(), timezone.now() - SECOND
        tickets = [Ticket(owner=owner, num_images=1, expires_at=past) for _ in range(EXPIRE_BATCH + 3)]
        Ticket.objects.bulk_create(tickets)

        self.assertEqual([expire_due_tickets() for _ in range(3)], [EXPIRE_BATCH, 3, 0])


class LateDeliveryTests(CommittingTestCase):
    """An upload that is in progress when its ticket ends."""

    def setUp(self):
        super().setUp()
        self.sandbox = self.enterContext(running_sandbox())
        self.ticket = make_ticket(num_images=1)
        self.image = make_accepted_image(self.ticket)

    def deliver_while(self, action) -> None:
        self.sandbox.misbehave("latency", seconds=0.5, times=1)
        delivery = threading.Thread(target=at_once, args=(deliver_photo, [str(self.image.pk)]))
        delivery.start()
        self.wait_until(lambda: Image.objects.filter(status="uploading").exists())
        action()
        delivery.join()

    def assert_settled_without_an_asset(self, code: str) -> None:
        self.image.refresh_from_db()
        self.assertEqual((self.image.status, self.image.error_code), ("failed", code))
        self.assertEqual(len(self.sandbox.assets), 1)  # the upload succeeded anyway
        AssetRemoval.objects.update(due_at=timezone.now() - SECOND)
        reconcile()
        self.assertEqual((list(self.sandbox.assets), list(AssetRemoval.objects.all())), ([], []))
        self.assertEqual((staged_photos(), store.bytes_in_use()), ([], 0))

    def test_photo_that_lands_after_its_ticket_was_cancelled_leaves_no_asset(self):
        self.deliver_while(lambda: cancel_ticket(self.ticket.pk))

        self.assert_settled_without_an_asset("ticket_cancelled")
        self.ticket.refresh_from_db()
        self.assertEqual(self.ticket.status, "cancelled")

    def test_photo_that_lands_after_its_ticket_expired_leaves_no_asset(self):
        def expire():
            Ticket.objects.update(expires_at=timezone.now() - SECOND)
            reconcile()

        self.deliver_while(expire)

        self.assert_settled_without_an_asset("ticket_expired")

    def test_trouble_of_a_late_attempt_does_not_revive_the_photo(self):
        self.sandbox.misbehave("refuse", status=503)
        self.deliver_while(lambda: cancel_ticket(self.ticket.pk))

        self.image.refresh_from_db()
        self.assertEqual((self.image.status, self.image.error_code), ("failed", "ticket_cancelled"))
        self.assertIsNone(self.image.next_retry_at)

    def test_ticket_cancelled_by_many_at_once_is_cancelled_once(self):
        make_image(make_ticket())

        self.assertEqual(sorted(at_once(cancel_ticket, [self.ticket.pk] * 6)), [False] * 5 + [True])
        self.image.refresh_from_db()
        self.assertEqual(self.image.status, "failed")
