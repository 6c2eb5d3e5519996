"""Pauses, in which no photo is sent: Cloudinary asked the account to wait, or refuses hopla's credentials."""

from datetime import timedelta

from django.test import SimpleTestCase, override_settings
from django.utils import timezone

from apps.tickets.delivery import pause
from apps.tickets.delivery.pause import current_pause, pause_uploads
from apps.tickets.models import Image
from tests.case import HoplaAssertions, staged_photos, staging_redis
from tests.makers import make_accepted_image
from tests.tickets.delivery.test_job import DeliveryTestCase
from tests.tickets.upkeep.test_reconcile import ReconcileTestCase, make_due, queued_images


def end_the_pause() -> None:
    """Delete the pause, as its expiry does."""
    staging_redis().delete(pause.KEY)


class PauseTests(HoplaAssertions, SimpleTestCase):
    def pause(self, seconds: float | None):
        until = None if seconds is None else timezone.now() + timedelta(seconds=seconds)
        return pause_uploads(until=until, code="cloudinary_rate_limited", detail="Wait.")

    def test_there_is_none_unless_one_was_called_for(self):
        self.assertIsNone(current_pause())

    def test_every_worker_sees_the_same(self):
        called_for = self.pause(600)

        self.assertEqual(current_pause(), called_for)
        self.assertEqual((called_for.code, called_for.detail), ("cloudinary_rate_limited", "Wait."))

    def test_length_is_kept_within_reason(self):
        for asked, shortest, longest in (
            (None, pause.UNNAMED_WAIT_SECONDS, pause.UNNAMED_WAIT_SECONDS),
            (-100, 1, 1),
            (0, 1, 1),
            (600, 600, 600),
            (100_000, pause.LONGEST_WAIT_SECONDS, pause.LONGEST_WAIT_SECONDS),
        ):
            with self.subTest(asked):
                before = timezone.now()
                until = self.pause(asked).until
                after = timezone.now()
                self.assertGreaterEqual(until, before + timedelta(seconds=shortest))
                self.assertLessEqual(until, after + timedelta(seconds=longest))

    def test_it_ends_by_itself(self):
        self.pause(0)

        self.wait_until(lambda: current_pause() is None)

    def test_later_one_replaces_an_earlier_one(self):
        self.pause(600)
        shorter = self.pause(30)

        self.assertEqual(current_pause(), shorter)


class AccountLimitTests(DeliveryTestCase):
    def setUp(self):
        super().setUp()
        self.before = timezone.now()
        self.sandbox.misbehave("refuse", status=420, reset_in_seconds=300, times=1)

    def test_photo_waits_until_the_time_named_and_spends_no_attempt(self):
        image = self.deliver(self.image)

        self.assertEqual((image.status, image.attempts_counted), ("queued", 0))
        self.assertGreaterEqual(image.next_retry_at, self.before + timedelta(seconds=299))  # named in whole seconds
        self.assertEqual(image.next_check_at, image.next_retry_at)
        self.assertEqual(staged_photos(), [str(image.pk)])

    def test_nobody_else_asks_before_that(self):
        self.deliver(self.image)
        second = make_accepted_image(self.ticket, seed=2)

        for image in (second, self.image):
            delivered = self.deliver_when_due(image)
            self.assertEqual((delivered.status, delivered.attempts_counted), ("queued", 0))
            self.assertGreaterEqual(delivered.next_check_at, current_pause().until)
        self.assertEqual(self.sandbox.requests["upload"], 1)

    def test_photos_go_on_afterwards(self):
        second = make_accepted_image(self.ticket, seed=2)
        for image in (self.image, second):
            self.deliver(image)
        end_the_pause()

        for image in (self.image, second):
            self.assertEqual(self.deliver_when_due(image).status, "stored")
        self.assertEqual(self.status(), "completed")

    @override_settings(UPLOAD_MAX_ATTEMPTS=1)
    def test_limit_that_goes_on_and_on_fails_no_photo(self):
        self.sandbox.misbehave("refuse", status=420, times=5)
        for _ in range(5):
            end_the_pause()
            self.assertEqual(self.deliver_when_due(self.image).status, "queued")


class CredentialsTests(DeliveryTestCase):
    def setUp(self):
        super().setUp()
        self.fault = self.sandbox.misbehave("wrong_credentials")
        self.alarms = self.enterContext(self.assertLogs("apps.tickets.delivery.job", "CRITICAL")).output

    def test_alarm_is_raised_and_every_photo_waits(self):
        second = make_accepted_image(self.ticket, seed=2)
        for image in (self.image, second):
            self.deliver(image)

        self.assertEqual(len(self.alarms), 1)
        self.assertIn("CLOUDINARY_URL", self.alarms[0])
        self.assertEqual(current_pause().code, "cloudinary_credentials")
        self.assertEqual(self.sandbox.requests["upload"], 1)
        self.assertEqual([(each.status, each.attempts_counted) for each in Image.objects.all()], [("queued", 0)] * 2)

    def test_readiness_names_it_until_they_work(self):
        self.deliver(self.image)
        checks = self.client.get("/readyz").json()["checks"]
        self.assertIn("credentials", checks["cloudinary"])

        end_the_pause()
        self.assertEqual(self.client.get("/readyz").json()["checks"]["cloudinary"], "ok")

    def test_one_photo_tries_again_soon(self):
        before = timezone.now()
        image = self.deliver(self.image)
        after = timezone.now()

        self.assertGreater(image.next_retry_at, before)
        self.assertLessEqual(image.next_retry_at, after + timedelta(seconds=pause.PROBE_EVERY_SECONDS))

    @override_settings(UPLOAD_MAX_ATTEMPTS=2)
    def test_photos_go_on_by_themselves_once_they_work(self):
        for _ in range(5):
            self.deliver_when_due(self.image)
            end_the_pause()
        self.sandbox.behave(self.fault)

        image = self.deliver_when_due(self.image)

        self.assertEqual((image.status, image.attempts_counted, image.error_code), ("stored", 1, ""))


class ReconcileTests(ReconcileTestCase):
    def test_paused_photo_is_queued_again_when_the_pause_is_over(self):
        self.sandbox.misbehave("refuse", status=420, reset_in_seconds=300, times=1)
        self.deliver(self.image)
        self.reconcile()
        self.assertEqual(queued_images(), [])

        end_the_pause()
        make_due(self.image)
        self.reconcile()

        self.assertEqual(queued_images(), [str(self.image.pk)])
        self.assertEqual(self.deliver(self.image).status, "stored")

    def test_losing_the_pause_costs_one_more_refusal(self):
        self.sandbox.misbehave("refuse", status=420, reset_in_seconds=300, times=2)
        self.deliver(self.image)
        end_the_pause()
        make_due(self.image)

        again = self.deliver(self.image)

        self.assertEqual((again.status, again.attempts_counted), ("queued", 0))
        self.assertIsNotNone(current_pause())
