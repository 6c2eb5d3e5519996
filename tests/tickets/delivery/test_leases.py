import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from unittest import skipUnless

from django.conf import settings
from django.db import connection, transaction
from django.test import override_settings
from django.utils import timezone

from apps.common.jobs.leases import LEASE_SECONDS
from apps.tickets.delivery.job import deliver_photo
from apps.tickets.delivery.leases import leases
from apps.tickets.models import LEASE_SLACK_SECONDS, Image
from apps.tickets.upkeep.reconcile import reconcile
from tests.case import ApiTestCase, CommittingTestCase
from tests.makers import make_accepted_image, make_image, make_ticket, running_sandbox


class LeaseTests(ApiTestCase):
    def lease_left(self, image: Image) -> float:
        return (Image.objects.get(pk=image.pk).next_check_at - timezone.now()).total_seconds()

    def uploading(self, **fields) -> Image:
        soon = timezone.now() + timedelta(seconds=1)
        return make_image(make_ticket(), status="uploading", attempts=1, next_check_at=soon, **fields)

    def test_attempt_that_nobody_prolongs_has_as_long_as_it_may_last(self):
        self.assertEqual(leases.seconds(), settings.UPLOAD_TIMEOUT_SECONDS + LEASE_SLACK_SECONDS)

    def test_lease_is_prolonged_while_its_attempt_is_made(self):
        image, other = self.uploading(), self.uploading()

        with leases.held(image):
            self.assertEqual(leases.prolong(), 1)

        self.assertGreater(self.lease_left(image), 2)
        self.assertLess(self.lease_left(other), 2)
        self.assertEqual(leases.prolong(), 0)

    def test_settled_photo_is_left_alone(self):
        image = make_image(make_ticket(), status="stored", next_check_at=None)
        with leases.held(image):
            self.assertEqual(leases.prolong(), 0)
        self.assertIsNone(Image.objects.get().next_check_at)

    def test_end_of_an_overtaken_attempt_leaves_the_next_ones_lease_alone(self):
        image = self.uploading()
        with leases.held(image):
            image.attempts += 1  # as another attempt in the same process has it
            self.enterContext(leases.held(image))

        self.assertEqual(leases.prolong(), 1)


@skipUnless(connection.vendor == "postgresql", "needs PostgreSQL: SQLite locks no rows")
class LockedPhotoTests(CommittingTestCase):
    def test_photo_that_somebody_is_settling_is_not_waited_for(self):
        images = [make_image(make_ticket(), status="uploading", attempts=1) for _ in range(2)]
        for image in images:
            self.enterContext(leases.held(image))

        with ThreadPoolExecutor() as pool, transaction.atomic():
            Image.objects.select_for_update().get(pk=images[0].pk)
            self.assertEqual(pool.submit(self.prolong).result(timeout=30), 1)

    def prolong(self) -> int:
        try:
            return leases.prolong()
        finally:
            connection.close()


class KeepingTests(CommittingTestCase):
    def setUp(self):
        super().setUp()
        self.until = threading.Event()
        keeper = threading.Thread(target=leases.keep, args=[self.until])
        keeper.start()
        self.addCleanup(keeper.join)
        self.addCleanup(self.until.set)
        self.wait_until(lambda: leases.seconds() == LEASE_SECONDS)

    def test_attempt_of_a_worker_that_keeps_leases_has_a_short_one(self):
        image = make_accepted_image(make_ticket())
        before = timezone.now()
        with running_sandbox() as sandbox:
            sandbox.misbehave("hang", seconds=600)
            delivery = threading.Thread(target=deliver_photo, args=[str(image.pk)])
            with override_settings(UPLOAD_TIMEOUT_SECONDS=30):
                delivery.start()
                uploading = Image.objects.filter(status="uploading")
                first = self.wait_until(lambda: uploading.values_list("next_check_at", flat=True).first())
                later = self.wait_until(lambda: uploading.filter(next_check_at__gt=first).exists())
                reconcile()
                self.assertTrue(uploading.exists(), "nobody takes it over")

        delivery.join()
        self.assertLess((first - before).total_seconds(), LEASE_SECONDS + 5)
        self.assertTrue(later)

    def test_with_the_worker_it_ends(self):
        self.until.set()
        self.wait_until(lambda: leases.seconds() > LEASE_SECONDS)
