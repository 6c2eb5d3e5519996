from concurrent.futures import ThreadPoolExecutor

from django.conf import settings
from django.test import SimpleTestCase
from redis.exceptions import ConnectionError as RedisConnectionError

from apps.common.redis.client import MAX_CONNECTIONS, redis_at


class AllConnectionsTakenTests(SimpleTestCase):
    def setUp(self):
        self.client = redis_at(settings.REDIS_URL)
        self.taken = [self.client.connection_pool.get_connection() for _ in range(MAX_CONNECTIONS)]
        self.addCleanup(self.give_back_all)

    def give_back_all(self):
        while self.taken:
            self.client.connection_pool.release(self.taken.pop())

    def test_threads_wait_for_one(self):
        with ThreadPoolExecutor() as threads:
            answers = [threads.submit(self.client.ping) for _ in range(3)]
            self.give_back_all()

            self.assertEqual([answer.result() for answer in answers], [True] * 3)

    def test_wait_comes_to_an_end(self):
        with self.assertRaises(RedisConnectionError):
            self.client.ping()
