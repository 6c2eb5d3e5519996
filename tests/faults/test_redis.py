import time
from concurrent.futures import ThreadPoolExecutor

import redis

from tests.faults.case import FaultsTestCase, needs_postgres
from tests.faults.clients import new_key, photo
from tests.faults.world import ONE_WEB_PROCESS, PATIENT


@needs_postgres
class RedisTests(FaultsTestCase):
    world_options = {"environment": ONE_WEB_PROCESS | PATIENT}

    def redis(self) -> redis.Redis:
        client = redis.Redis.from_url(self.world.redis_url)
        self.addCleanup(client.close)
        return client

    def test_flush_with_photos_queued_fails_them_honestly_and_frees_their_places(self):
        ticket, key = self.open_ticket(1), new_key()
        with self.worker_frozen():
            self.client.post_photo(ticket, photo(1), key=key)
            self.world.flush_redis()
        self.wait_until(lambda: self.images("failed"))
        self.assertEqual(self.images()[0].error_code, "bytes_lost")

        again = self.client.post_photo(ticket, photo(1), key=key)

        self.assertEqual(again.status, 202)
        self.wait_until(lambda: self.client.read_ticket(ticket)["status"] == "completed")
        self.assert_books_balance()

    def test_flush_with_photos_uploading_loses_none(self):
        ticket = self.open_ticket(3)
        with self.misbehaving("latency", seconds=4):
            with self.worker_frozen():  # so that they begin together
                for seed in range(3):
                    self.client.post_photo(ticket, photo(seed))
            self.wait_until(lambda: len(self.images("uploading")) == 3)

            self.world.flush_redis()

            self.wait_until_settled()
        self.assertEqual(len(self.images("stored")), 3)
        self.assert_books_balance()

    def test_worker_outlives_flushes_at_any_moment(self):
        ticket, flushes = self.open_ticket(12), 60
        with ThreadPoolExecutor(1) as pool:
            filling = pool.submit(self.client.fill_ticket, ticket, [photo(seed) for seed in range(12)])
            for _ in range(flushes):
                self.world.flush_redis()
                time.sleep(0.03)  # no condition to wait for: the next one may come whenever it likes

            self.assertEqual(filling.result()["status"], "completed")
        self.assertTrue(self.world.workers[0].is_alive(), self.world.workers[0].output)
        self.assert_books_balance()

    def test_restart_with_photos_on_their_way_is_survived_by_all_processes(self):
        ticket = self.open_ticket(8)
        with self.misbehaving("latency", seconds=0.3), ThreadPoolExecutor(1) as pool:
            filling = pool.submit(self.client.fill_ticket, ticket, [photo(seed) for seed in range(8)])
            self.wait_until(lambda: self.images("uploading"))

            self.world.restart_redis()

            self.assertEqual(filling.result()["status"], "completed")
        self.assert_books_balance()

    def test_photo_posted_without_redis_is_refused_and_taken_once_it_is_back(self):
        ticket = self.open_ticket(1)
        self.world.redis.kill()
        try:
            self.assert_unavailable(ticket)
        finally:
            self.world.redis.start()
        self.assertEqual(self.images(), [])

        self.client.fill_ticket(ticket, [photo(1)])

        self.assert_books_balance()

    def test_photo_posted_to_a_hanging_redis_is_refused_and_accepted_once_it_responds(self):
        ticket = self.open_ticket(1)
        self.world.redis.freeze()
        try:
            self.assert_unavailable(ticket)
        finally:
            self.world.redis.thaw()
        self.assertEqual(self.images(), [])

        self.client.fill_ticket(ticket, [photo(1)])

        self.assert_books_balance()

    def test_photo_posted_to_a_full_redis_is_refused_and_taken_once_there_is_room(self):
        ticket = self.open_ticket(1)
        self.redis().config_set("maxmemory", 1)
        try:
            self.assert_unavailable(ticket)
        finally:
            self.redis().config_set("maxmemory", 0)
        self.assertEqual(self.images(), [])

        self.client.fill_ticket(ticket, [photo(1)])

        self.assert_books_balance()
