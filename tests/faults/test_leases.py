"""Workers that are dead, and workers that only seem so. An upload may take far longer than a lease here."""

import os
import signal

from apps.common.jobs.leases import LEASE_SECONDS
from tests.faults.case import FaultsTestCase, needs_postgres
from tests.faults.world import ONE_WEB_PROCESS


class LeaseTests(FaultsTestCase):
    world_options = {
        "workers": 2,
        "environment": ONE_WEB_PROCESS | {"WORKER_CONCURRENCY": "4", "UPLOAD_TIMEOUT_SECONDS": "120"},
    }

    def setUp(self):
        super().setUp()
        self.first, self.second = self.world.workers
        for worker in self.world.workers:
            if not worker.is_alive():
                worker.start()

    def post_to_the_first(self, number: int, trouble: str, **rule) -> None:
        """It has begun to upload them, and each has met that trouble, once."""
        met = self.sandbox.misbehave(trouble, times=number, **rule)
        self.second.freeze()
        try:
            self.post(number)
            self.wait_until(lambda: met.fired == number and len(self.images("uploading")) == number)
        finally:
            self.second.thaw()

    def test_photos_of_a_killed_worker_wait_for_their_leases_only(self):
        self.post_to_the_first(3, "hang")

        self.first.kill()

        self.wait_until(lambda: len(self.images("stored")) == 3, timeout_seconds=100)
        self.assertEqual([image.attempts for image in self.images()], [2] * 3)
        self.assert_books_balance()

    @needs_postgres
    def test_worker_that_wakes_up_late_changes_nothing(self):
        self.post_to_the_first(1, "latency", seconds=LEASE_SECONDS)
        self.first.freeze()
        try:
            self.wait_until(lambda: self.images("stored"), timeout_seconds=100)
        finally:
            self.first.thaw()

        os.kill(self.first.pid, signal.SIGTERM)

        self.assertEqual(self.first.wait(60), 0, self.first.output)  # it has read Cloudinary's response
        self.assertEqual([(image.status, image.attempts) for image in self.images()], [("stored", 2)])
        self.assert_books_balance()

    def test_upload_that_takes_longer_than_a_lease_is_left_alone(self):
        self.sandbox.misbehave("latency", seconds=LEASE_SECONDS + 4)

        self.post(2)

        self.wait_until_settled()
        self.assertEqual([image.attempts for image in self.images()], [1] * 2)
        self.assert_books_balance()
