import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from types import SimpleNamespace
from unittest import mock

from django.db import connections
from django.test import override_settings
from django.utils import timezone
from redis.exceptions import RedisError

from apps.tickets.delivery.job import enqueue_delivery
from apps.tickets.lifecycle import moves
from apps.tickets.models import AssetRemoval, Image
from apps.tickets.staging import store
from apps.tickets.storage.removal import schedule_removal
from apps.tickets.upkeep.reconcile import BATCH, CLAIMED_WITHIN_SECONDS, reconcile
from tests.case import ApiTestCase, CommittingTestCase, default_queue, staged_photos, staging_away, staging_redis
from tests.makers import begin_attempt, jpeg_bytes, make_accepted_image, make_image, make_ticket, running_sandbox


def make_due(image: Image, **changes) -> None:
    """Make the image due, as if all its waits were over and nothing had happened meanwhile."""
    past = timezone.now() - timedelta(seconds=1)
    Image.objects.filter(pk=image.pk).update(next_check_at=past, **changes)
    Image.objects.filter(pk=image.pk, next_retry_at__isnull=False).update(next_retry_at=past)


def age_staged_bytes(image: Image) -> None:
    """Age the staged bytes, as if they had been complete for long."""
    staging_redis().zincrby(store.BUDGET_KEYS[0], -2 * CLAIMED_WITHIN_SECONDS, str(image.pk))


def queued_images() -> list[str]:
    return [job.args[0] for job in default_queue().jobs]


class ReconcileTestCase(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.sandbox = self.enterContext(running_sandbox())
        self.ticket = make_ticket(num_images=2)
        self.image = make_accepted_image(self.ticket)  # whose job was never queued: nothing is committed in a TestCase

    def reconcile(self) -> Image:
        with self.captureOnCommitCallbacks(execute=True):
            reconcile()
        return Image.objects.get(pk=self.image.pk)


class LostJobTests(ReconcileTestCase):
    def test_image_without_a_job_gets_one(self):
        make_due(self.image)

        self.reconcile()

        self.assertEqual(queued_images(), [str(self.image.pk)])
        self.assertEqual(self.deliver(self.image).status, "stored")

    def test_image_that_is_not_due_is_left_alone(self):
        self.reconcile()

        self.assertEqual(queued_images(), [])

    def test_image_is_looked_at_once_in_a_while(self):
        make_due(self.image)
        for _ in range(3):
            self.reconcile()

        self.assertEqual(queued_images(), [str(self.image.pk)])

    def test_image_whose_job_waits_in_a_long_queue_gets_no_second_one(self):
        enqueue_delivery(self.image.pk)
        for _ in range(3):
            make_due(self.image)
            self.reconcile()

        self.assertEqual(queued_images(), [str(self.image.pk)])

    def test_image_whose_job_is_in_none_of_the_queues_lists_gets_another(self):
        """Its hash is left: a worker was killed as it took it, or the list was lost."""
        for others in ([], [make_accepted_image(self.ticket, seed=1)]):
            with self.subTest(others=len(others)):
                default_queue().empty()
                enqueue_delivery(self.image.pk)
                default_queue().connection.delete(default_queue().key)
                for other in others:
                    enqueue_delivery(other.pk)
                make_due(self.image)

                self.reconcile()

                self.assertEqual(queued_images(), [str(image.pk) for image in [*others, self.image]])

    def test_job_of_the_attempt_before_is_not_the_next_ones(self):
        enqueue_delivery(self.image.pk)
        begin_attempt(self.image)
        moves.retry_at(self.image, timezone.now(), code="cloudinary_unavailable", detail="")
        make_due(self.image)

        self.reconcile()

        self.assertEqual(default_queue().job_ids, [f"{self.image.pk}_{number}" for number in (0, 1)])

    def test_retry_is_started_when_its_time_has_come(self):
        self.sandbox.misbehave("refuse", status=503, times=1)
        self.deliver(self.image)
        self.reconcile()
        self.assertEqual(queued_images(), [])

        make_due(self.image)
        self.reconcile()

        self.assertEqual(queued_images(), [str(self.image.pk)])
        self.assertEqual(self.deliver(self.image).attempts, 2)

    def test_queue_being_away_is_tried_again_later(self):
        make_due(self.image)
        with override_settings(REDIS_URL="redis://127.0.0.1:1/0"), self.assertRaises(RedisError):
            reconcile()

        self.reconcile()

        self.assertEqual(queued_images(), [str(self.image.pk)])

    def test_settled_images_are_no_business_of_it(self):
        self.deliver(self.image)
        make_due(self.image)

        self.assertEqual(self.reconcile().status, "stored")
        self.assertEqual(queued_images(), [])


class LostWorkerTests(ReconcileTestCase):
    def test_attempt_past_its_lease_is_taken_over(self):
        begin_attempt(self.image)
        make_due(self.image)

        image = self.reconcile()

        self.assertEqual((image.status, image.attempts, image.error_code), ("queued", 1, "worker_lost"))
        self.assertEqual(queued_images(), [str(self.image.pk)])
        self.assertEqual(self.deliver(image).status, "stored")

    @override_settings(UPLOAD_MAX_ATTEMPTS=1)
    def test_last_attempt_past_its_lease_fails_the_photo(self):
        begin_attempt(self.image)
        make_due(self.image)

        image = self.reconcile()

        self.assertEqual((image.status, image.error_code), ("failed", "worker_lost"))
        self.assertEqual(staged_photos(), [])
        self.assertEqual(AssetRemoval.objects.get().public_id, image.public_id)

    def test_attempt_within_its_lease_goes_on(self):
        begin_attempt(self.image)

        image = self.reconcile()

        self.assertEqual((image.status, queued_images()), ("uploading", []))
        self.assertGreater(image.next_check_at, timezone.now())


class BacklogTests(ReconcileTestCase):
    """More are due than a batch. The clock stands still, since a busy machine would settle fewer in one run."""

    def setUp(self):
        super().setUp()
        self.enterContext(mock.patch("apps.tickets.upkeep.reconcile.time", SimpleNamespace(monotonic=lambda: 0.0)))
        self.long_due = timezone.now() - timedelta(minutes=1)
        ticket = make_ticket(num_images=2 * BATCH + 50)
        self.backlog = [
            make_image(ticket, position=number, next_check_at=self.long_due)
            for number in range(1, ticket.num_images + 1)
        ]
        with staging_redis().pipeline() as pipeline:
            for image in self.backlog:
                pipeline.set(store.key_of(image.pk), jpeg_bytes(image.position))
            pipeline.execute()

    @mock.patch("apps.tickets.upkeep.reconcile.SETTLE_SECONDS", 600)
    def test_all_are_started_at_one_look(self):
        self.reconcile()

        self.assertCountEqual(queued_images(), [str(image.pk) for image in self.backlog])
        self.assertFalse(Image.objects.due(1))

    def test_lost_attempt_comes_before_all_that_wait(self):
        for image in self.backlog:
            enqueue_delivery(image.pk)
        begin_attempt(self.image)
        make_due(self.image)

        self.assertEqual(Image.objects.due(1), [self.image])
        self.reconcile()

        self.assertEqual(queued_images()[0], str(self.image.pk))
        self.assertEqual(len(queued_images()), len(self.backlog) + 1)
        self.assertFalse(Image.objects.due(1))

    def test_attempt_that_was_lost_twice_comes_after_them(self):
        for image in self.backlog:
            enqueue_delivery(image.pk)
        for _ in range(2):
            begin_attempt(Image.objects.get(pk=self.image.pk))
            make_due(self.image)
            self.reconcile()

        self.assertEqual([queued_images()[number] for number in (0, -1)], [str(self.image.pk)] * 2)

    def test_jobs_that_were_put_first_leave_the_others_where_they_are(self):
        for image in self.backlog:
            enqueue_delivery(image.pk)
        begin_attempt(self.image)
        make_due(self.image)
        for _ in range(2):
            self.reconcile()
            Image.objects.update(next_check_at=self.long_due)

        self.assertEqual(len(queued_images()), len(self.backlog) + 1)


class LostBytesTests(ReconcileTestCase):
    def test_image_whose_bytes_are_gone_fails_and_frees_its_place(self):
        staging_redis().flushdb()
        make_due(self.image)

        image = self.reconcile()

        self.assertEqual((image.status, image.error_code), ("failed", "bytes_lost"))
        self.assertEqual(self.ticket.progress().remaining, 2)

    def test_attempt_of_which_nothing_landed(self):
        begin_attempt(self.image)
        staging_redis().flushdb()
        make_due(self.image)

        self.assertEqual(self.reconcile().error_code, "bytes_lost")


class UnclaimedBytesTests(ReconcileTestCase):
    def test_upload_that_has_just_begun_keeps_its_part_of_the_budget(self):
        for _ in range(10):  # at different moments within a second
            before = store.bytes_in_use()
            store.reserve(uuid.uuid4(), 10)
            reconcile()
            self.assertEqual(store.bytes_in_use(), before + 10)


class TurnTests(CommittingTestCase):
    def test_several_at_once_give_each_image_one_job(self):
        ticket = make_ticket(num_images=40)
        images = [make_accepted_image(ticket, seed=number) for number in range(40)]
        default_queue().empty()
        for image in images:
            make_due(image)

        def run(_):
            try:
                return reconcile()
            finally:
                connections.close_all()

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(run, range(4)))
        self.assertCountEqual(queued_images(), [str(image.pk) for image in images])

    def test_turn_is_given_back(self):
        for _ in range(3):
            image = make_accepted_image(make_ticket())
            make_due(image)
            self.assertEqual(reconcile(), 1)


class StepTests(ApiTestCase):
    def test_trouble_of_one_step_holds_up_no_other(self):
        reconcile()  # all is well, whatever the tests before have left: only what changes is logged
        overdue = make_ticket(expires_at=timezone.now() - timedelta(seconds=1))
        schedule_removal("hopla/gone")
        make_due(make_accepted_image(make_ticket()))
        sandbox = self.enterContext(running_sandbox())

        with (
            staging_away(),
            self.assertLogs("apps.common.jobs.periodic") as log,
        ):
            reconcile()

        overdue.refresh_from_db()
        self.assertEqual(overdue.status, "expired")
        self.assertEqual((AssetRemoval.objects.count(), sandbox.requests["destroy"]), (0, 1))
        self.assertEqual(len(log.output), 2, log.output)

        with self.assertLogs("apps.common.jobs.periodic", "INFO"):
            reconcile()
