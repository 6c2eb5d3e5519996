import io
import json
from datetime import timedelta

import urllib3
from django.conf import settings
from django.test import SimpleTestCase, override_settings
from django.utils import timezone
from PIL import Image as Picture
from redis.exceptions import RedisError

from apps.tickets.delivery.backoff import next_attempt_at
from apps.tickets.delivery.job import deliver_photo
from apps.tickets.lifecycle.signals import ticket_completed
from apps.tickets.models import Image, Ticket
from apps.tickets.staging import store
from tests.case import ApiTestCase, staged_photos, staging_away, staging_redis
from tests.makers import (
    client_for,
    jpeg_bytes,
    make_accepted_image,
    make_image,
    make_ticket,
    running_sandbox,
)

PAST = timedelta(seconds=-1)


class DeliveryTestCase(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.sandbox = self.enterContext(running_sandbox())
        self.ticket = make_ticket(num_images=2)
        self.image = make_accepted_image(self.ticket, seed=1)

    def read(self) -> dict:
        """The ticket as its owner sees it."""
        return client_for(self.ticket.owner).get(f"/api/v1/tickets/{self.ticket.pk}/").json()

    def status(self) -> str:
        return Ticket.objects.get(pk=self.ticket.pk).status

    def start_anew(self) -> None:
        """Prepare the next of several cases: nothing stored, only the first photo staged."""
        Image.objects.all().delete()
        staging_redis().flushdb()
        self.sandbox.assets.clear()
        self.image = make_accepted_image(self.ticket, seed=1)

    def deliver_when_due(self, image: Image) -> Image:
        """End the wait for the next attempt and `deliver`."""
        Image.objects.filter(pk=image.pk, next_retry_at__isnull=False).update(next_retry_at=timezone.now() + PAST)
        return self.deliver(image)


class StoredTests(DeliveryTestCase):
    def test_photo_lies_at_cloudinary_as_it_was_posted(self):
        image = self.deliver(self.image)

        asset = self.sandbox.assets.find(public_id=f"hopla/{image.pk}")
        self.assertEqual((asset.bytes, asset.format, asset.times_stored), (len(jpeg_bytes(1)), "jpg", 1))
        self.assertEqual((image.status, image.attempts), ("stored", 1))
        self.assertEqual((image.asset_id, image.asset_version), (asset.asset_id, asset.version))
        self.assertIsNotNone(image.stored_at)

    def test_both_urls_show_the_photo(self):
        self.deliver(self.image)

        with override_settings(CLOUDINARY_DELIVERY_URL=self.sandbox.url):
            shown = self.read()["images"][0]
        photo, thumbnail = (urllib3.request("GET", shown[name], retries=False) for name in ("url", "thumbnail_url"))
        self.assertEqual(photo.data, jpeg_bytes(1))
        self.assertEqual(thumbnail.status, 200)
        self.assertLessEqual(max(Picture.open(io.BytesIO(thumbnail.data)).size), 400)

    def test_staged_bytes_go_once_it_is_stored(self):
        with self.captureOnCommitCallbacks(execute=True):
            deliver_photo(str(self.image.pk))
            self.assertEqual(staged_photos(), [str(self.image.pk)])

        self.assertEqual((staged_photos(), store.bytes_in_use()), ([], 0))

    def test_bytes_that_cannot_be_discarded_leave_the_outcome_standing(self):
        with self.captureOnCommitCallbacks() as callbacks:
            deliver_photo(str(self.image.pk))
        in_vain = 0
        with staging_away():
            for callback in callbacks:
                try:
                    callback()
                except RedisError:
                    in_vain += 1

        self.assertEqual(in_vain, 1)
        self.image.refresh_from_db()
        self.assertEqual(self.image.status, "stored")

    def test_job_that_runs_again_changes_nothing(self):
        self.deliver(self.image)
        before = self.read()

        self.deliver(self.image)

        self.assertEqual(self.read(), before)
        self.assertEqual(len(self.sandbox.uploads), 1)

    def test_job_of_an_image_that_is_no_more(self):
        image_id = str(self.image.pk)
        self.image.delete()

        deliver_photo(image_id)

        self.assertEqual(self.sandbox.uploads, [])


class CompletionTests(DeliveryTestCase):
    def setUp(self):
        super().setUp()
        self.completed = []
        ticket_completed.connect(self.note)
        self.addCleanup(ticket_completed.disconnect, self.note)

    def note(self, *, ticket, **kwargs):
        self.completed.append(ticket.pk)

    def test_last_image_completes_the_ticket(self):
        self.deliver(self.image)
        self.assertEqual((self.status(), self.completed), ("in_progress", []))

        self.deliver(make_accepted_image(self.ticket, seed=2))

        self.assertEqual((self.status(), self.completed), ("completed", [self.ticket.pk]))
        shown = self.read()
        self.assertEqual((shown["progress"]["stored"], shown["progress"]["percent"]), (2, 100))
        self.assertIsNotNone(shown["completed_at"])

    def test_completed_ticket_is_not_completed_again(self):
        second = make_accepted_image(self.ticket, seed=2)
        for image in (self.image, second):
            self.deliver(image)
        before = self.read()

        for image in (second, self.image):
            self.deliver(image)

        self.assertEqual((self.read(), self.completed), (before, [self.ticket.pk]))

    def test_failed_image_does_not_count(self):
        make_image(self.ticket, position=2, status="failed")

        self.deliver(self.image)

        self.assertEqual((self.status(), self.completed), ("in_progress", []))

    def test_order_of_arrival_does_not_matter(self):
        self.deliver(make_accepted_image(self.ticket, seed=2))
        self.deliver(self.image)

        self.assertEqual(self.status(), "completed")


class PassingTroubleTests(DeliveryTestCase):
    def assert_waits(self, image: Image):
        self.assertEqual((image.status, image.attempts), ("queued", 1))
        self.assertGreater(image.next_retry_at, timezone.now())
        self.assertTrue(image.error_code and image.error_detail)
        shown = self.read()
        self.assertEqual(shown["images"][0]["error"]["code"], image.error_code)
        self.assertEqual((shown["progress"]["received"], shown["progress"]["failed"]), (1, 0))
        self.assertEqual(staged_photos(), [str(image.pk)])

    def test_photo_waits_and_is_stored_once_the_trouble_has_passed(self):
        for kind, parameters in (
            ("refuse", {"status": 500}),
            ("refuse", {"status": 503}),
            ("refuse", {"status": 423}),
            ("refuse", {"status": 429}),
            ("drop_before_reading", {}),
            ("reset_before_storing", {}),
            ("store_then_drop", {}),
            ("store_then_500", {}),
            ("cut_answer", {}),
            ("null_body", {}),
            ("wrong_etag", {}),
        ):
            with self.subTest(kind, **parameters):
                self.start_anew()
                self.sandbox.misbehave(kind, times=1, **parameters)
                self.assert_waits(self.deliver(self.image))

                image = self.deliver_when_due(self.image)

                self.assertEqual((image.status, image.attempts, image.error_code), ("stored", 2, ""))
                self.assertEqual(len(list(self.sandbox.assets)), 1)

    def test_answer_that_does_not_end_in_time(self):
        for kind, parameters in (("hang", {}), ("store_then_hang", {}), ("drip", {"interval_seconds": 0.05})):
            with self.subTest(kind):
                self.start_anew()
                self.sandbox.misbehave(kind, times=1, **parameters)
                with override_settings(UPLOAD_TIMEOUT_SECONDS=0.3):
                    self.assert_waits(self.deliver(self.image))
                self.assertEqual(self.deliver_when_due(self.image).status, "stored")

    def test_attempt_before_its_time_does_nothing(self):
        self.sandbox.misbehave("refuse", status=503, times=1)
        waiting = self.deliver(self.image)

        again = self.deliver(self.image)

        self.assertEqual((again.status, again.attempts, again.next_retry_at), ("queued", 1, waiting.next_retry_at))
        self.assertEqual(self.sandbox.requests["upload"], 1)

    @override_settings(UPLOAD_MAX_ATTEMPTS=3)
    def test_attempts_run_out(self):
        self.sandbox.misbehave("refuse", status=503)
        for _ in range(2):
            self.assertEqual(self.deliver_when_due(self.image).status, "queued")

        image = self.deliver_when_due(self.image)

        self.assertEqual((image.status, image.attempts, image.error_code), ("failed", 3, "cloudinary_unavailable"))
        self.assertIsNone(image.next_retry_at)
        self.assertEqual((staged_photos(), store.bytes_in_use()), ([], 0))
        self.assertEqual(self.read()["progress"]["remaining"], 2)

    def test_staging_being_away_is_passing_too(self):
        with staging_away():
            image = self.deliver(self.image)

        self.assert_waits(image)
        self.assertEqual(self.deliver_when_due(image).status, "stored")

    def test_staging_being_away_uses_no_attempts_up(self):
        with staging_away():
            for number in range(1, 2 * settings.UPLOAD_MAX_ATTEMPTS):
                image = self.deliver_when_due(self.image)

                self.assertEqual((image.status, image.error_code), ("queued", "staging_unavailable"))
                self.assertEqual((image.attempts, image.attempts_counted), (number, 0))

        self.assertEqual(self.deliver_when_due(image).status, "stored")


class RefusalTests(DeliveryTestCase):
    def test_photo_refused_for_good_fails_and_frees_its_place(self):
        for status in (400, 403, 404, 409):
            with self.subTest(status):
                self.start_anew()
                self.sandbox.misbehave("refuse", status=status, message="Invalid image file", times=1)

                image = self.deliver(self.image)

                self.assertEqual((image.status, image.attempts), ("failed", 1))
                shown = self.read()
                self.assertEqual(
                    shown["images"][0]["error"], {"code": "cloudinary_refused", "detail": "Invalid image file"}
                )
                self.assertEqual((shown["progress"]["failed"], shown["progress"]["remaining"]), (1, 2))
                self.assertEqual((shown["status"], staged_photos()), ("in_progress", []))

    def test_new_photo_takes_the_place_of_the_failed_one(self):
        make_accepted_image(self.ticket, seed=2)
        self.sandbox.misbehave("refuse", status=400, times=1)
        self.deliver(self.image)

        new = make_accepted_image(self.ticket, seed=3)

        self.assertEqual(new.position, self.image.position)
        positions = [(image["position"], image["status"]) for image in self.read()["images"]]
        self.assertEqual(positions, [(1, "failed"), (1, "queued"), (2, "queued")])

    def test_ticket_completes_after_a_failure_was_made_good(self):
        second = make_accepted_image(self.ticket, seed=2)
        self.sandbox.misbehave("refuse", status=400, times=1)
        self.deliver(self.image)
        self.deliver(second)
        self.assertEqual(self.status(), "in_progress")

        self.deliver(make_accepted_image(self.ticket, seed=3))

        self.assertEqual(self.status(), "completed")

    def test_lost_bytes_fail_the_image_and_free_its_place(self):
        store.discard(self.image.pk)

        image = self.deliver(self.image)

        self.assertEqual((image.status, image.error_code), ("failed", "bytes_lost"))
        self.assertEqual(self.read()["progress"]["remaining"], 2)
        self.assertEqual(self.sandbox.uploads, [])

    def test_half_of_the_bytes_are_not_sent(self):
        staging_redis().set(store.key_of(self.image.pk), jpeg_bytes(1)[:-1])

        self.assertEqual(self.deliver(self.image).error_code, "bytes_lost")
        self.assertEqual(self.sandbox.uploads, [])


class WrongCredentialsTests(DeliveryTestCase):
    def test_nobody_sees_the_string_to_sign_and_no_attempt_is_spent(self):
        self.sandbox.misbehave("wrong_credentials", times=1)

        with self.assertLogs("apps", "INFO") as logs:
            image = self.deliver(self.image)

        self.assertEqual((image.status, image.attempts_counted), ("queued", 0))
        for text in (json.dumps(self.read()), *logs.output, image.error_detail):
            self.assertNotIn("String to sign", text)
            self.assertNotIn("Signature", text)


class BackoffTests(SimpleTestCase):
    def test_waits_double_up_to_five_minutes_and_are_shortened_by_half_at_most(self):
        for attempts, longest in ((1, 2), (2, 4), (3, 8), (7, 128), (9, 300), (30, 300)):
            with self.subTest(attempts=attempts):
                before = timezone.now()
                moments = [next_attempt_at(attempts) for _ in range(50)]
                after = timezone.now()
                self.assertGreaterEqual(min(moments), before + timedelta(seconds=longest / 2))
                self.assertLessEqual(max(moments), after + timedelta(seconds=longest))
                self.assertGreater(len(set(moments)), 1)
