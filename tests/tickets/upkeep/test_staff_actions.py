"""Staff actions on tickets and photos, as the admin calls them."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from unittest import skipUnless

from django.conf import settings
from django.db import connection, transaction
from django.test import override_settings
from django.utils import timezone

from apps.tickets.delivery.job import deliver_photo
from apps.tickets.intake import acceptance
from apps.tickets.lifecycle import outcomes
from apps.tickets.lifecycle.endings import cancel_ticket, expire_due_tickets
from apps.tickets.models import AssetRemoval, Image, Ticket
from apps.tickets.staging import quarantine, store
from apps.tickets.upkeep import staff_actions
from apps.tickets.upkeep.reconcile import CLAIMED_WITHIN_SECONDS, reconcile
from apps.tickets.upkeep.staff_actions import ActionNotAllowed, extend_expiry, try_again, try_failed_again
from tests.case import ApiTestCase, CommittingTestCase, at_once, default_queue, staged_photos, staging_redis
from tests.makers import (
    begin_attempt,
    client_for,
    jpeg_bytes,
    make_accepted_image,
    make_image,
    make_ticket,
    running_sandbox,
    stage_photo,
)
from tests.tickets.api.test_sets import slots
from tests.tickets.upkeep.test_reconcile import age_staged_bytes, make_due


class InterventionTestCase(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.sandbox = self.enterContext(running_sandbox())
        self.ticket = make_ticket(num_images=2)

    def fail(self, image: Image) -> Image:
        with self.captureOnCommitCallbacks(execute=True):
            outcomes.record_failed(image, code="cloudinary_refused", detail="no")
        return image

    def failed_photo(self, seed: int = 0, ticket: Ticket | None = None) -> Image:
        return self.fail(make_accepted_image(ticket or self.ticket, seed=seed))

    def try_again(self, image: Image) -> Image:
        with self.captureOnCommitCallbacks(execute=True):
            try_again(image.pk)
        image.refresh_from_db()
        return image

    def assert_refused(self, image: Image, words: str) -> None:
        before = Image.objects.values().get(pk=image.pk)
        with self.assertRaisesMessage(ActionNotAllowed, words):
            try_again(image.pk)
        self.assertEqual(Image.objects.values().get(pk=image.pk), before)


class TryAgainTests(InterventionTestCase):
    def test_failed_photo_is_delivered_after_all(self):
        image = self.failed_photo()

        self.try_again(image)
        self.assertEqual((image.status, image.attempts_counted, image.error_code), ("queued", 0, ""))
        self.assertEqual(len(default_queue().job_ids), 1)
        image = self.deliver(image)

        self.assertEqual(image.status, "stored")
        self.assertEqual((staged_photos(), store.bytes_in_use()), ([], 0))

    def test_it_completes_its_ticket(self):
        ticket = make_ticket(num_images=1)
        self.deliver(self.try_again(self.failed_photo(ticket=ticket)))
        ticket.refresh_from_db()
        self.assertEqual(ticket.status, "completed")

    def test_its_asset_is_no_longer_to_be_removed(self):
        image = make_accepted_image(self.ticket)
        Image.objects.update(status="uploading", attempts=1)
        image.refresh_from_db()
        self.fail(image)
        self.assertTrue(AssetRemoval.objects.exists())

        self.deliver(self.try_again(image))
        AssetRemoval.objects.update(due_at=timezone.now() - timedelta(seconds=1))
        reconcile()

        self.assertEqual(len(self.sandbox.assets), 1)

    def test_photo_whose_place_was_taken_takes_another(self):
        image = self.failed_photo()
        make_accepted_image(self.ticket, seed=1)

        self.assertEqual(self.try_again(image).position, 2)

    def test_full_ticket_takes_none_back(self):
        image = self.failed_photo()
        for seed in (1, 2):
            make_accepted_image(self.ticket, seed=seed)
        self.assert_refused(image, "none is free")

    def test_photo_whose_bytes_are_gone_cannot_be(self):
        image = self.failed_photo()
        quarantine.drop(image.pk)
        self.assert_refused(image, "Its bytes are gone")
        self.assertEqual(store.bytes_in_use(), 0)

    def test_ticket_that_has_ended_takes_none_back(self):
        image = self.failed_photo()
        for fields in (
            {"status": "cancelled"},
            {"status": "completed"},
            {"status": "in_progress", "expires_at": timezone.now() - timedelta(seconds=1)},
        ):
            with self.subTest(fields):
                Ticket.objects.update(**fields)
                self.assert_refused(image, "Its ticket has ended")

    def test_photo_that_waits_for_its_time_waits_no_longer(self):
        image = make_accepted_image(self.ticket)
        later = timezone.now() + timedelta(minutes=5)
        Image.objects.update(next_retry_at=later, next_check_at=later, attempts=3)

        self.try_again(image)
        self.assertEqual((image.status, image.next_retry_at, image.attempts), ("queued", None, 3))

        self.assertEqual(self.deliver(image).status, "stored")

    def test_what_is_under_way_or_done_is_left_alone(self):
        self.assert_refused(make_image(self.ticket, status="uploading", attempts=1), "being sent")
        self.assert_refused(make_image(self.ticket, position=2, status="stored"), "being sent")

    def test_what_waits_for_a_worker_is_left_alone(self):
        self.assert_refused(make_accepted_image(self.ticket), "waits for a worker")

    def test_twice_is_once(self):
        image = self.failed_photo()
        self.try_again(image)
        self.assert_refused(image, "waits for a worker")

    def test_it_has_all_its_attempts_again_and_their_numbers_go_on(self):
        with override_settings(UPLOAD_MAX_ATTEMPTS=2):
            image = self.use_up_attempts(make_accepted_image(self.ticket), 2)
            self.try_again(image)
            self.assertEqual((image.attempts, self.shown(image)["attempts"]), (2, 0))
            image = self.use_up_attempts(image, 2)
        self.assertEqual((image.status, image.attempts, self.shown(image)["attempts"]), ("failed", 4, 2))

    def use_up_attempts(self, image: Image, number: int) -> Image:
        self.sandbox.misbehave("refuse", status=503, times=number)
        for _ in range(number):
            self.assertNotEqual(image.status, "failed")
            Image.objects.update(next_retry_at=None)
            image = self.deliver(image)
        self.assertEqual(image.status, "failed")
        return image

    def shown(self, image: Image) -> dict:
        url = f"/api/v1/tickets/{self.ticket.pk}/images/{image.pk}/"
        return client_for(self.ticket.owner).get(url).json()

    def overtaken_attempt(self) -> tuple[Image, Image]:
        """An attempt that continues although its photo failed and was tried again; and that photo, waiting."""
        old = make_accepted_image(self.ticket)
        begin_attempt(old)
        image = self.fail(Image.objects.get(pk=old.pk))
        return old, self.try_again(image)

    def test_refusal_of_an_attempt_before_does_not_fail_it(self):
        old, image = self.overtaken_attempt()

        self.assertFalse(outcomes.record_failed(old, code="cloudinary_refused", detail="no"))
        self.assertEqual(Image.objects.get().status, "queued")
        begin_attempt(image)
        for outcome in (
            lambda: outcomes.record_failed(old, code="cloudinary_refused", detail="no"),
            lambda: outcomes.record_retry(old, moment=timezone.now(), code="worker_lost", detail="-"),
            lambda: outcomes.record_postponed(old, moment=timezone.now()),
        ):
            self.assertFalse(outcome())

        asset = {"asset_id": "a", "asset_version": 1, "asset_format": "jpg"}
        self.assertTrue(outcomes.record_stored(image, **asset))

    def test_refusal_of_an_attempt_before_does_not_fail_one_that_was_put_off(self):
        old = make_accepted_image(self.ticket)
        begin_attempt(old)
        overtaking = Image.objects.get()
        outcomes.record_retry(overtaking, moment=timezone.now(), code="worker_lost", detail="-")
        begin_attempt(overtaking)
        outcomes.record_postponed(overtaking, moment=timezone.now())

        self.assertFalse(outcomes.record_failed(old, code="cloudinary_refused", detail="no"))

        self.assertEqual(Image.objects.get().status, "queued")

    def test_asset_of_an_attempt_before_is_removed_when_it_fails_again(self):
        _, image = self.overtaken_attempt()
        self.assertFalse(AssetRemoval.objects.exists())

        self.fail(image)

        self.assertEqual(AssetRemoval.objects.get().public_id, image.public_id)

    def test_readers_of_the_ticket_see_it(self):
        image = self.failed_photo()
        before = Ticket.objects.get(pk=self.ticket.pk).etag
        self.try_again(image)
        self.assertNotEqual(Ticket.objects.get(pk=self.ticket.pk).etag, before)


class TryAllAgainTests(InterventionTestCase):
    def test_all_that_can_be_are_and_the_reasons_of_the_others_are_told(self):
        first, second = self.failed_photo(1), self.failed_photo(2)
        third = self.failed_photo(3)
        quarantine.drop(first.pk)

        tried, reasons = try_failed_again(self.ticket.pk)

        self.assertEqual((tried, len(reasons)), (2, 1))
        self.assertIn("bytes are gone", reasons[0])
        self.assertCountEqual(Image.objects.filter(status="queued").values_list("pk", flat=True), [second.pk, third.pk])


class KeptBytesTests(InterventionTestCase):
    def test_they_hold_none_of_the_budget(self):
        image = self.failed_photo()
        self.assertEqual((store.bytes_in_use(), staged_photos()), (0, []))
        self.assertEqual(quarantine.which_are_kept([image.pk]), {image.pk})

    def test_they_go_after_a_while_at_the_latest(self):
        image = self.failed_photo()
        seconds = staging_redis().ttl(f"{quarantine.QUARANTINE}{image.pk}")
        self.assertTrue(0 < seconds <= settings.STAGING_TTL_SECONDS)

    def test_oldest_make_room(self):
        sizes = [make_accepted_image(self.ticket, seed=seed).size for seed in (1, 2)]
        images = list(Image.objects.order_by("created_at"))
        with override_settings(STAGING_MAX_BYTES=quarantine.SHARE_OF_BUDGET * max(sizes)):
            for image in images:
                self.fail(image)

        self.assertEqual(quarantine.which_are_kept([image.pk for image in images]), {images[1].pk})

    def test_photos_of_cancelled_tickets_are_not_kept(self):
        image = make_accepted_image(self.ticket)
        with self.captureOnCommitCallbacks(execute=True):
            cancel_ticket(self.ticket.pk)
        self.assertEqual(quarantine.which_are_kept([image.pk]), set())

    def test_deleted_photo_takes_them_along(self):
        image = self.failed_photo()
        pk = image.pk
        with self.captureOnCommitCallbacks(execute=True):
            image.delete()
        self.assertEqual(quarantine.which_are_kept([pk]), set())


class InterruptedFailureTests(InterventionTestCase):
    """The process that recorded a photo's failure was killed, or delayed, before its bytes were quarantined."""

    def setUp(self):
        super().setUp()
        self.image = make_accepted_image(self.ticket)
        with self.captureOnCommitCallbacks() as self.left_to_do:
            outcomes.record_failed(self.image, code="cloudinary_refused", detail="no")

    def assert_stored_when_tried_again(self) -> None:
        self.assertEqual(self.deliver(self.try_again(self.image)).status, "stored")
        self.assertEqual((staged_photos(), store.bytes_in_use()), ([], 0))

    def test_reconciler_leaves_its_bytes_a_while(self):
        reconcile()

        self.assertEqual(quarantine.which_are_kept([self.image.pk]), {self.image.pk})
        self.assert_stored_when_tried_again()

    def test_reconciler_sets_them_aside_then(self):
        age_staged_bytes(self.image)
        reconcile()

        self.assertEqual((staged_photos(), store.bytes_in_use()), ([], 0))
        self.assert_stored_when_tried_again()

    def test_reconciler_that_comes_late_leaves_those_taken_back(self):
        age_staged_bytes(self.image)
        quarantine.take_back(self.image.pk, self.image.size)

        quarantine.put(self.image.pk, self.image.size, whole_for_seconds=CLAIMED_WITHIN_SECONDS)

        self.assertEqual(staged_photos(), [str(self.image.pk)])

    def test_what_was_left_to_do_may_come_after_staff_have_it_tried_again(self):
        self.try_again(self.image)
        self.finish_the_failure()

        self.assertEqual(self.deliver(self.image).status, "stored")

    def test_what_was_left_to_do_may_come_between_two_attempts(self):
        self.try_again(self.image)
        self.finish_the_failure()
        make_due(self.image)
        with self.captureOnCommitCallbacks(execute=True):
            reconcile()

        self.assertEqual(staged_photos(), [str(self.image.pk)])
        self.assertEqual(Image.objects.get().status, "queued")

    def finish_the_failure(self) -> None:
        for each in self.left_to_do:
            each()

    def test_bytes_that_are_not_whole_are_not_kept(self):
        staging_redis().set(store.key_of(self.image.pk), b"half", keepttl=True)
        self.finish_the_failure()

        self.assertEqual(quarantine.which_are_kept([self.image.pk]), set())
        self.assertEqual(store.bytes_in_use(), 0)


@skipUnless(connection.vendor == "postgresql", "needs PostgreSQL's locks of rows")
class InterruptedRetryTests(CommittingTestCase):
    """The reconciler runs while staff have a photo tried again."""

    def setUp(self):
        super().setUp()
        self.enterContext(running_sandbox())
        self.image = make_accepted_image(make_ticket())
        outcomes.record_failed(self.image, code="cloudinary_refused", detail="no")

    def try_again_while(self, do) -> Image:
        """`do` is done when the bytes are taken back and the database does not know it yet."""
        with ThreadPoolExecutor(2) as pool:
            with transaction.atomic():
                Image.objects.select_for_update().get(pk=self.image.pk)
                retry = pool.submit(at_once, try_again, [self.image.pk])
                self.wait_until(lambda: self._somebody_waits() or retry.done())
                self.assertEqual(staged_photos(), [str(self.image.pk)])
                pool.submit(at_once, lambda _: do(), [None]).result()
            retry.result()
        deliver_photo(str(self.image.pk))
        return Image.objects.get(pk=self.image.pk)

    def test_bytes_that_were_taken_back_are_left(self):
        self.assertEqual(self.try_again_while(reconcile).status, "stored")

    def test_retry_that_takes_long_finds_its_bytes_all_the_same(self):
        def look_around_much_later():
            age_staged_bytes(self.image)
            reconcile()

        self.assertEqual(self.try_again_while(look_around_much_later).status, "stored")


class ExtendExpiryTests(InterventionTestCase):
    def setUp(self):
        super().setUp()
        self.later = timezone.now() + timedelta(days=1)

    def extended(self, ticket: Ticket, expires_at) -> Ticket:
        staff_actions.extend_expiry(ticket.pk, expires_at=expires_at)
        ticket.refresh_from_db()
        return ticket

    def test_open_ticket_gets_more_time_or_no_end(self):
        for moment in (self.later, None):
            self.assertEqual(self.extended(self.ticket, moment).expires_at, moment)
        self.assertEqual(self.ticket.status, "pending")

    def test_expired_ticket_takes_photos_again(self):
        image = make_accepted_image(self.ticket)
        Ticket.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
        with self.captureOnCommitCallbacks(execute=True):
            expire_due_tickets()
        image.refresh_from_db()
        self.assertEqual((image.status, image.error_code), ("failed", "ticket_expired"))

        self.assertEqual(self.extended(self.ticket, self.later).status, "in_progress")

        self.assertEqual(self.deliver(self.try_again(image)).status, "stored")

    def test_expired_ticket_without_photos_is_pending_again(self):
        Ticket.objects.update(status="expired")
        self.assertEqual(self.extended(self.ticket, self.later).status, "pending")

    def test_expired_ticket_needs_a_time_to_come(self):
        Ticket.objects.update(status="expired")
        with self.assertRaisesMessage(ActionNotAllowed, "has passed"):
            extend_expiry(self.ticket.pk, expires_at=timezone.now())

    def test_ended_ticket_stays_ended(self):
        for status in ("completed", "cancelled"):
            Ticket.objects.update(status=status)
            with self.subTest(status), self.assertRaisesMessage(ActionNotAllowed, "has ended"):
                extend_expiry(self.ticket.pk, expires_at=self.later)


class NamedPlacesTests(InterventionTestCase):
    """A failed photo goes back to its own place, and no photo without a slot to one that has a name."""

    REFUSAL = "Its place was taken by another photo, and no other is for it."

    def setUp(self):
        super().setUp()
        self.ticket = make_ticket(num_images=3, slots=slots("front", "left"))

    def failed_photo_at(self, position: int, seed: int) -> Image:
        photo = stage_photo(jpeg_bytes(seed))
        return self.fail(acceptance.accept_photo(ticket_id=self.ticket.pk, photo=photo, position=position))

    def test_photo_of_a_slot_takes_its_own_place_again(self):
        image = self.try_again(self.failed_photo_at(2, seed=1))

        self.assertEqual((image.status, image.position, image.slot), ("queued", 2, "left"))

    def test_photo_of_a_slot_that_is_taken_takes_no_other(self):
        image = self.failed_photo_at(2, seed=1)
        make_image(self.ticket, position=2)

        self.assert_refused(image, self.REFUSAL)

    def test_photo_without_a_slot_takes_no_named_place(self):
        image = self.failed_photo(seed=1)
        self.assertEqual(image.position, 3)
        make_image(self.ticket, position=3)

        self.assert_refused(image, self.REFUSAL)
