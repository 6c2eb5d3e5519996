import urllib3
from django.conf import settings

from apps.common.redis.client import redis_at
from apps.tickets.models import Image
from apps.tickets.staging.servers import all_servers, server_of
from tests.case import default_queue, staged_photos
from tests.faults.case import FaultsTestCase, needs_postgres
from tests.faults.clients import new_key, photo
from tests.faults.world import ONE_WEB_PROCESS, PATIENT


class OwnStagingTestCase(FaultsTestCase):
    def readyz(self) -> dict:
        return urllib3.request("GET", f"{self.world.url}/readyz", retries=False).json()

    def missing(self) -> set[str]:
        return {name for name, outcome in self.readyz()["checks"].items() if outcome != "ok"}


@needs_postgres
class OwnStagingTests(OwnStagingTestCase):
    """Photos on a Redis of their own, STAGING_REDIS_URL; the queue on another."""

    world_options = {"staging_servers": 1, "environment": ONE_WEB_PROCESS | PATIENT}

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
        staging = self.world.processes["staging-1"]
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


@needs_postgres
class TwoStagingServersTests(OwnStagingTestCase):
    world_options = {"staging_servers": 2, "environment": ONE_WEB_PROCESS | PATIENT}

    def setUp(self):
        super().setUp()
        self.wait_until(lambda: set(self.readyz().get("staging_servers", {}).values()) == {"ok"})

    def images_on(self, server) -> list[Image]:
        return [image for image in self.images() if server_of(image.pk) is server]

    def post_until_both_have_some(self, ticket: int) -> None:
        for seed in range(20):
            self.assertEqual(self.client.post_photo(ticket, photo(seed)).status, 202)
            if all(map(self.images_on, all_servers())):
                return

    def test_one_that_is_lost_loses_its_own_photos_and_delays_no_others(self):
        here, lost = all_servers()
        process, url = self.world.staging_server(1)
        ticket = self.open_ticket(22)
        with self.worker_frozen():
            self.post_until_both_have_some(ticket)
            process.kill()
            self.assertEqual(self.client.post_photo(ticket, photo(20)).status, 202)
        self.client.post_photo(ticket, photo(21))

        self.wait_until(lambda: {image.status for image in self.images_on(here)} == {"stored"})
        self.wait_until(lambda: "staging_unavailable" in {image.error_code for image in self.images_on(lost)})
        self.wait_until(lambda: {image.status for image in self.images_on(lost)} == {"queued"})
        self.wait_until(lambda: not self.missing())  # the worker has registered again
        told = {here.name: "ok", lost.name: "cannot be reached"}
        self.wait_until(lambda: self.readyz().get("staging_servers") == told)

        self.world.start_redis(process, url=url)

        self.wait_until_settled()
        self.assertEqual({image.error_code for image in self.images("failed")}, {"bytes_lost"})
        self.client.see_to_completion(ticket, {new_key(): photo(seed) for seed in range(22)})
        self.assert_books_balance()

    def test_one_that_hangs_keeps_its_photos(self):
        process, _ = self.world.staging_server(1)
        ticket = self.open_ticket(20)
        with self.worker_frozen():
            self.post_until_both_have_some(ticket)
            process.freeze()
        try:
            self.wait_until(lambda: {image.status for image in self.images_on(all_servers()[0])} == {"stored"})
        finally:
            process.thaw()

        self.wait_until_settled()
        self.assertEqual({image.status for image in self.images()}, {"stored"})
        self.client.see_to_completion(ticket, {new_key(): photo(seed) for seed in range(20)})
        self.assert_books_balance()
