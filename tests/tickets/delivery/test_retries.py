"""What each error of Cloudinary means for a photo in flight, and what happens to a photo without bytes."""

from datetime import datetime, timedelta
from datetime import timezone as utc
from unittest import mock

from django.conf import settings
from django.test import override_settings
from django.utils import timezone

from apps.tickets.delivery.backoff import BACKOFF, SPREAD_SECONDS, retry_horizon_seconds
from apps.tickets.delivery.job import enqueue_delivery
from apps.tickets.intake import acceptance
from apps.tickets.lifecycle import outcomes
from apps.tickets.models import AssetRemoval, Image, Ticket
from apps.tickets.staging import store
from apps.tickets.storage import cloudinary
from tests.case import default_queue, staged_photos, staging_redis
from tests.makers import begin_attempt, jpeg_bytes, make_accepted_image, make_ticket, stage_photo
from tests.tickets.delivery.test_job import DeliveryTestCase
from tests.tickets.upkeep.test_reconcile import ReconcileTestCase, age_staged_bytes, make_due, queued_images


def accept_large_photo(ticket) -> Image:
    """One whose first half is a photo too."""
    return acceptance.accept_photo(ticket_id=ticket.pk, photo=stage_photo(jpeg_bytes(1, size=4000)))


def seconds_until(moment: datetime, *, since: datetime) -> float:
    return (moment - since).total_seconds()


class AnswerIsCheckedTests(DeliveryTestCase):
    def test_answer_that_does_not_fit_is_not_counted_and_repeated_onto_the_same_asset(self):
        for kind, code in (
            ("wrong_public_id", "cloudinary_answer_mismatch"),
            ("wrong_etag", "cloudinary_answer_mismatch"),
            ("wrong_bytes", "cloudinary_answer_mismatch"),
            ("truncated_json", "cloudinary_unavailable"),
            ("html_page", "cloudinary_unavailable"),
            ("null_body", "cloudinary_unavailable"),
        ):
            with self.subTest(kind):
                self.start_anew()
                self.sandbox.misbehave(kind, times=1)
                image = self.deliver(self.image)
                self.assertEqual((image.status, image.attempts, image.error_code), ("queued", 1, code))
                self.assertEqual(self.read()["progress"]["stored"], 0)

                image = self.deliver_when_due(image)

                [asset] = self.sandbox.assets
                self.assertEqual((image.status, asset.public_id, asset.bytes), ("stored", image.public_id, image.size))
                self.assertEqual(self.sandbox.assets.read(asset), jpeg_bytes(1))

    def test_half_a_photo_is_replaced_by_the_whole(self):
        image = accept_large_photo(self.ticket)
        self.sandbox.misbehave("store_half", times=1)
        image = self.deliver(image)
        self.assertEqual((image.status, image.error_code), ("queued", "cloudinary_answer_mismatch"))
        self.assertLess(self.sandbox.assets.find(public_id=image.public_id).bytes, image.size)

        self.assertEqual(self.deliver_when_due(image).status, "stored")
        self.assertEqual(self.sandbox.assets.find(public_id=image.public_id).bytes, image.size)

    def test_pages_of_a_gateway_are_passing_trouble(self):
        for status in (400, 403, 404, 409, 502, 504):
            with self.subTest(status):
                self.start_anew()
                self.sandbox.misbehave("refuse", status=status, body="<html>not Cloudinary</html>", times=1)

                self.assertEqual(self.deliver(self.image).status, "queued")
                self.assertEqual(self.deliver_when_due(self.image).status, "stored")


class RateLimitTests(DeliveryTestCase):
    def test_429_delays_that_photo_by_the_time_it_names(self):
        before = timezone.now()
        self.sandbox.misbehave("refuse", status=429, retry_after=120, times=1)

        image = self.deliver(self.image)

        self.assertEqual((image.status, image.attempts, image.error_code), ("queued", 1, "cloudinary_rate_limited"))
        waited = seconds_until(image.next_retry_at, since=before)
        self.assertTrue(120 <= waited <= 120 + SPREAD_SECONDS + 10, waited)
        other = self.deliver(make_accepted_image(self.ticket, seed=2))
        self.assertEqual(other.status, "stored")

    def test_429_that_names_a_date(self):
        moment = datetime.now(utc.utc) + timedelta(seconds=90)
        date = moment.strftime("%a, %d %b %Y %H:%M:%S GMT")
        self.sandbox.misbehave("refuse", status=429, headers={"Retry-After": date}, times=1)

        image = self.deliver(self.image)
        self.assertGreaterEqual(image.next_retry_at, moment - timedelta(seconds=1))

    def test_429_that_names_next_to_nothing_backs_off_all_the_same(self):
        before = timezone.now()
        self.sandbox.misbehave("refuse", status=429, retry_after=0, times=1)

        image = self.deliver(self.image)
        self.assertGreaterEqual(seconds_until(image.next_retry_at, since=before), 1)

    def test_429_that_names_a_day_is_tried_again_earlier(self):
        self.sandbox.misbehave("refuse", status=429, retry_after=24 * 60 * 60, times=1)

        image = self.deliver(self.image)

        after = timezone.now()
        longest = BACKOFF.cap_seconds + SPREAD_SECONDS
        self.assertLessEqual(seconds_until(image.next_retry_at, since=after), longest)

    @override_settings(UPLOAD_MAX_ATTEMPTS=2)
    def test_429_spends_attempts(self):
        self.sandbox.misbehave("refuse", status=429)
        self.deliver(self.image)

        image = self.deliver_when_due(self.image)

        self.assertEqual((image.status, image.error_code), ("failed", "cloudinary_rate_limited"))


class StaleRequestTests(DeliveryTestCase):
    def test_request_is_signed_anew_for_each_attempt(self):
        two_hours_ago = datetime.now(utc.utc).timestamp() - 2 * 60 * 60
        with mock.patch("cloudinary.utils.now", return_value=str(int(two_hours_ago))):
            image = self.deliver(self.image)
        self.assertEqual((image.status, image.attempts, image.error_code), ("queued", 1, "cloudinary_unavailable"))
        self.assertIn("too old", image.error_detail)
        self.assertEqual(list(self.sandbox.assets), [])

        self.assertEqual(self.deliver_when_due(image).status, "stored")


class BackoffTests(DeliveryTestCase):
    def test_waits_of_a_photo_grow_with_its_attempts(self):
        self.sandbox.misbehave("refuse", status=503)
        for attempt in range(1, settings.UPLOAD_MAX_ATTEMPTS):
            longest = min(BACKOFF.cap_seconds, 2**attempt)
            before = timezone.now()
            image = self.deliver_when_due(self.image)
            after = timezone.now()

            with self.subTest(attempt=attempt):
                self.assertEqual((image.status, image.attempts), ("queued", attempt))
                self.assertGreaterEqual(seconds_until(image.next_retry_at, since=before), longest / 2)
                self.assertLessEqual(seconds_until(image.next_retry_at, since=after), longest)

    def test_staged_bytes_outlive_every_attempt(self):
        self.assertGreater(settings.STAGING_TTL_SECONDS, retry_horizon_seconds())

    def test_photo_says_what_happened_and_when_it_goes_on(self):
        self.sandbox.misbehave("refuse", status=500, times=1)
        image = self.deliver(self.image)

        shown = self.read()["images"][0]
        self.assertEqual((shown["status"], shown["attempts"]), ("queued", 1))
        self.assertEqual(shown["error"]["code"], "cloudinary_unavailable")
        self.assertIn("500", shown["error"]["detail"])
        self.assertEqual(shown["next_retry_at"], image.next_retry_at.isoformat().replace("+00:00", "Z"))


@override_settings(UPLOAD_MAX_ATTEMPTS=3)
class ExhaustedTests(DeliveryTestCase):
    def exhaust(self, *kinds: tuple[str, dict]) -> Image:
        for kind, parameters in kinds:
            self.sandbox.misbehave(kind, times=1, **parameters)
        for _ in kinds:
            image = self.deliver_when_due(self.image)
        return image

    def test_photo_fails_with_the_last_reason_and_frees_its_place(self):
        image = self.exhaust(("refuse", {"status": 503}), ("refuse", {"status": 429}), ("wrong_etag", {}))

        self.assertEqual((image.status, image.attempts), ("failed", 3))
        self.assertEqual(image.error_code, "cloudinary_answer_mismatch")
        self.assertEqual((image.next_retry_at, image.next_check_at), (None, None))
        progress = self.read()["progress"]
        self.assertEqual((progress["failed"], progress["remaining"]), (1, 2))
        self.assertEqual((staged_photos(), store.bytes_in_use()), ([], 0))
        self.assertEqual([removal.public_id for removal in AssetRemoval.objects.all()], [image.public_id])

    def test_failed_photo_is_not_taken_up_again(self):
        self.exhaust(*[("refuse", {"status": 503})] * 3)

        image = self.deliver_when_due(self.image)

        self.assertEqual((image.status, image.attempts), ("failed", 3))
        self.assertEqual(self.sandbox.requests["upload"], 3)

    def test_attempt_whose_worker_was_lost_counts(self):
        for _ in range(2):
            image = Image.objects.get()
            self.assertTrue(begin_attempt(image))
            outcomes.record_retry(image, moment=timezone.now(), code="worker_lost", detail="-")
        self.sandbox.misbehave("refuse", status=503, times=1)

        self.assertEqual(self.deliver_when_due(self.image).status, "failed")


class LostBytesTests(ReconcileTestCase):
    """Before a photo without bytes is given up, Cloudinary is asked whether it has it after all."""

    def lose_answer_and_bytes(self, kind="store_then_drop", **parameters) -> None:
        self.sandbox.misbehave(kind, times=1, **parameters)
        self.assertEqual(self.deliver(self.image).status, "queued")
        staging_redis().flushdb()
        make_due(self.image)

    def test_photo_that_cloudinary_holds_is_stored(self):
        self.lose_answer_and_bytes()

        image = self.reconcile()

        [asset] = self.sandbox.assets
        self.assertEqual((image.status, image.asset_id, image.asset_version), ("stored", asset.asset_id, asset.version))
        self.assertEqual((image.error_code, image.next_retry_at), ("", None))
        self.assertEqual(self.ticket.progress().stored, 1)
        self.assertEqual(list(AssetRemoval.objects.all()), [])

    def test_photo_whose_worker_was_killed_after_storing_is_stored(self):
        begin_attempt(self.image)
        cloudinary.put(public_id=self.image.public_id, content=store.read(self.image.pk, self.image.size))
        staging_redis().flushdb()
        make_due(self.image)

        self.assertEqual(self.reconcile().status, "stored")

    def test_last_photo_found_completes_the_ticket(self):
        Ticket.objects.update(num_images=1)
        self.lose_answer_and_bytes()

        self.reconcile()

        self.ticket.refresh_from_db()
        self.assertEqual(self.ticket.status, "completed")

    def test_photo_that_cloudinary_does_not_hold_is_lost(self):
        self.lose_answer_and_bytes("refuse", status=503)

        image = self.reconcile()

        self.assertEqual((image.status, image.error_code), ("failed", "bytes_lost"))
        self.assertEqual(self.ticket.progress().remaining, 2)

    def test_half_a_photo_at_cloudinary_does_not_count(self):
        self.image = accept_large_photo(self.ticket)
        self.lose_answer_and_bytes("store_half")
        self.assertEqual(len(self.sandbox.assets), 1)

        image = self.reconcile()

        self.assertEqual((image.status, image.error_code), ("failed", "bytes_lost"))
        self.assertEqual([removal.public_id for removal in AssetRemoval.objects.all()], [image.public_id])

    def test_while_cloudinary_cannot_be_asked_the_photo_waits(self):
        self.lose_answer_and_bytes()
        for kind, parameters in (
            ("refuse", {"status": 420}),
            ("refuse", {"status": 500}),
            ("drop_before_reading", {}),
            ("null_body", {}),
            ("html_page", {}),
            ("wrong_credentials", {}),
        ):
            with self.subTest(kind, **parameters):
                make_due(self.image)
                # The SDK repeats what it reads from the Admin API up to 3 times more after some of these.
                fault = self.sandbox.misbehave(kind, action="admin", **parameters)
                before = timezone.now()

                image = self.reconcile()

                self.sandbox.behave(fault)
                self.assertEqual(image.status, "queued")
                self.assertGreater(image.next_check_at, before)

        make_due(self.image)
        self.assertEqual(self.reconcile().status, "stored")

    def test_photo_never_sent_is_not_asked_for(self):
        staging_redis().flushdb()
        make_due(self.image)

        self.assertEqual(self.reconcile().error_code, "bytes_lost")
        self.assertEqual(self.sandbox.requests["admin"], 0)

    def test_many_are_asked_for_in_one_call(self):
        ticket = make_ticket(num_images=5)
        self.sandbox.misbehave("store_then_drop")
        images = [self.deliver(make_accepted_image(ticket, seed=number)) for number in range(5)]
        staging_redis().flushdb()
        for image in images:
            make_due(image)

        self.reconcile()

        self.assertEqual(set(ticket.images.values_list("status", flat=True)), {"stored"})
        self.assertEqual(self.sandbox.requests["admin"], 1)


class SettledBytesTests(ReconcileTestCase):
    def test_bytes_of_a_settled_image_are_swept_away(self):
        for status in ("stored", "failed"):
            with self.subTest(status):
                image = make_accepted_image(make_ticket())
                Image.objects.filter(pk=image.pk).update(status=status, next_check_at=None)
                self.assertIn(str(image.pk), staged_photos())
                age_staged_bytes(image)

                self.reconcile()

                self.assertEqual(staged_photos(), [str(self.image.pk)])
                self.assertEqual(store.bytes_in_use(), self.image.size)

    def test_bytes_of_images_in_flight_stay(self):
        second = make_accepted_image(self.ticket, seed=2)
        begin_attempt(second)

        self.reconcile()

        self.assertCountEqual(staged_photos(), [str(self.image.pk), str(second.pk)])


class QueueTests(ReconcileTestCase):
    def test_job_that_failed_in_the_queue_is_replaced(self):
        enqueue_delivery(self.image.pk)
        default_queue().empty()
        make_due(self.image)

        self.reconcile()

        self.assertEqual(queued_images(), [str(self.image.pk)])
