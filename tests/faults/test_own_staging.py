import urllib3
from django.conf import settings

from apps.common.redis.client import redis_at
from tests.case import default_queue, staged_photos
from tests.faults.case import FaultsTestCase, needs_postgres
from tests.faults.clients import photo
from tests.faults.world import PATIENT


@needs_postgres
class OwnStagingTests(FaultsTestCase):
    """Photos on a Redis of their own, STAGING_REDIS_URL; the queue on another."""

    world_options = {"own_staging": True, "environment": PATIENT}

    def missing(self) -> set[str]:
        checks = urllib3.request("GET", f"{self.world.url}/readyz", retries=False).json()["checks"]
        return {name for name, outcome in checks.items() if outcome != "ok"}

    def test_photos_are_there_and_jobs_here(self):
        with self.worker_frozen():
            self.post(2)

            self.assertEqual(len(staged_photos()), 2)
            self.assertEqual(redis_at(settings.REDIS_URL).keys("hopla:staged:*"), [])
            self.assertEqual(redis_at(settings.STAGING_REDIS_URL).keys("rq:*"), [])
            self.assertTrue(default_queue().job_ids)
        self.wait_until_settled()
        self.assert_books_balance()

    def test_without_staging_photos_are_refused_and_those_in_the_queue_wait(self):
        ticket = self.open_ticket(2)
        staging = self.world.processes["staging"]
        with self.worker_frozen():
            self.client.post_photo(ticket, photo(1))
            staging.freeze()
        try:
            self.assert_unavailable(ticket)
            self.wait_until(lambda: self.missing() == {"staging"})
            self.wait_until(lambda: [image.error_code for image in self.images()] == ["staging_unavailable"])
        finally:
            staging.thaw()

        self.client.post_photo(ticket, photo(2))

        self.wait_until(lambda: self.client.read_ticket(ticket)["status"] == "completed")
        self.assert_books_balance()

    def test_photo_posted_without_the_queue_is_delivered_once_it_is_back(self):
        ticket = self.open_ticket(1)
        self.world.redis.kill()
        try:
            self.assertEqual(self.client.post_photo_once(ticket, photo(1)).status, 202)
            self.wait_until(lambda: self.missing() == {"redis", "worker"})
        finally:
            self.world.redis.start()

        self.wait_until(lambda: self.client.read_ticket(ticket)["status"] == "completed")
        self.assert_books_balance()

    def test_queue_that_was_emptied_is_filled_again_from_the_database(self):
        with self.worker_frozen():
            self.post(3)
            redis_at(settings.REDIS_URL).flushall()

        self.wait_until_settled()
        self.assertEqual([image.status for image in self.images()], ["stored"] * 3)
        self.assert_books_balance()

    def test_staging_that_was_emptied_loses_the_photos_and_nothing_else(self):
        with self.worker_frozen():
            ticket = self.post(3)
            redis_at(settings.STAGING_REDIS_URL).flushall()

        self.wait_until_settled()
        self.assertEqual([image.error_code for image in self.images("failed")], ["bytes_lost"] * 3)
        self.client.fill_ticket(ticket, [photo(seed) for seed in range(3)])
        self.assert_books_balance()
