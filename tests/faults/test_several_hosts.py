from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest import skipUnless

from django.conf import settings
from rq import Worker

from apps.common.redis.client import new_client
from tests.faults.case import FaultsTestCase, needs_postgres
from tests.faults.clients import new_key, photo
from tests.faults.hosts import can_be_separated
from tests.faults.world import PATIENT
from tests.makers import make_user


@needs_postgres
class SeveralHostsTests(FaultsTestCase):
    # The attempts of a lost host count as lost after twenty seconds, those of a busy one are not cut off before.
    world_options = {
        "workers": 2,
        "hosts": True,
        "environment": PATIENT | {"UPLOAD_TIMEOUT_SECONDS": "20", "WORKER_CONCURRENCY": "4", "ALLOWED_HOSTS": "*"},
    }

    def setUp(self):
        super().setUp()
        for worker in self.world.workers:
            if not worker.is_alive():
                worker.start()
        self.wait_until(lambda: len(self.live_workers()) == 2)
        self.client = self.client_of(make_user())

    def live_workers(self) -> list[Worker]:
        with new_client(settings.REDIS_URL) as client:
            return Worker.all(connection=client)

    def fill_in(self, pool: ThreadPoolExecutor, tickets: list[int], *, client=None) -> list:
        """Six photos to each of the tickets, all tickets at once."""
        client = client or self.client
        return [
            pool.submit(client.fill_ticket, ticket, [photo(f"{ticket} {number}") for number in range(6)])
            for ticket in tickets
        ]

    def wait_until_both_work(self) -> None:
        """Eight uploads at once are more than the four of one worker."""
        self.wait_until(lambda: len(self.images("uploading")) == 8)

    @skipUnless(can_be_separated(), "needs network namespaces")
    def test_each_worker_has_a_network_and_a_name_of_its_own(self):
        networks = {Path(f"/proc/{worker.pid}/ns/net").readlink() for worker in self.world.workers}
        self.assertEqual(len(networks - {Path("/proc/self/ns/net").readlink()}), 2)
        self.assertEqual({worker.hostname for worker in self.live_workers()}, {"host-1", "host-2"})

    def test_host_that_is_lost_under_load_takes_no_photo_with_it(self):
        tickets = [self.open_ticket(6) for _ in range(6)]
        with ThreadPoolExecutor() as pool:
            with self.misbehaving("latency", seconds=5):
                filling = self.fill_in(pool, tickets)
                self.wait_until_both_work()

                self.world.workers[0].kill()

            ended = [each.result()["status"] for each in filling]
        self.assertEqual(ended, ["completed"] * 6)
        self.assertEqual(self.images("failed"), [])
        self.assert_books_balance()

    def test_host_that_comes_back_after_others_have_done_its_work_does_no_harm(self):
        tickets = [self.open_ticket(6) for _ in range(4)]
        with ThreadPoolExecutor() as pool:
            with self.misbehaving("latency", seconds=5):
                filling = self.fill_in(pool, tickets)
                self.wait_until_both_work()
                self.world.workers[0].freeze()
            try:
                ended = [each.result()["status"] for each in filling]
                self.wait_until(lambda: len(self.live_workers()) == 1)
            finally:
                self.world.workers[0].thaw()
            self.wait_until(lambda: len(self.live_workers()) == 2)
            ended += [each.result()["status"] for each in self.fill_in(pool, [self.open_ticket(6)])]
        self.assertEqual(ended, ["completed"] * 5)
        self.assertEqual(self.images("failed"), [])
        self.assert_books_balance()

    def test_two_web_servers_fill_the_same_tickets(self):
        here = self.client
        there = self.client_of(make_user())
        there.url, there.headers = self.world.start_another_web("127.0.0.2"), here.headers
        ticket, key = self.open_ticket(13), new_key()
        with ThreadPoolExecutor() as pool:
            posting = [pool.submit((here, there)[number % 2].post_photo, ticket, photo(number)) for number in range(12)]
            self.assertEqual([each.result().status for each in posting], [202] * 12)

        first = here.post_photo(ticket, photo("last"), key=key)
        again = there.post_photo(ticket, photo("last"), key=key)

        self.assertEqual((again.body["id"], again.headers["Idempotent-Replayed"]), (first.body["id"], "true"))
        self.wait_until(lambda: there.read_ticket(ticket)["status"] == "completed")
        self.assert_books_balance()
