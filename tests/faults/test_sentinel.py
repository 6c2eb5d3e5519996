from concurrent.futures import ThreadPoolExecutor

import urllib3
from django.conf import settings
from django.test import Client as Browser

from apps.common.redis.client import redis_at
from tests.faults.case import FaultsTestCase, needs_postgres
from tests.faults.clients import photo
from tests.faults.world import PATIENT
from tests.makers import make_user


@needs_postgres
class SentinelTests(FaultsTestCase):
    """Queue, photos, rate limits and quotas are all on the Redis that the Sentinel names."""

    world_options = {
        "sentinel": True,
        "environment": PATIENT
        | {
            "THROTTLE_TICKETS": "1000/min",
            "THROTTLE_UPLOADS": "10000/min",
            "UPLOAD_BYTES_PER_DAY": "1000000000",
        },
    }

    def setUp(self):
        self.watched = self.world.watched_redis
        self.watched.heal()
        super().setUp()

    def assert_books_balance(self) -> None:
        self.watched.heal()  # what counts the books waits for no failover
        super().assert_books_balance()

    def wait_until_replicated(self) -> None:
        self.wait_until(lambda: redis_at(settings.REDIS_URL).wait(1, 1000) == 1)

    def wait_for_failover(self, old_master) -> None:
        self.wait_until(lambda: self.watched.knows_live_master() and self.watched.master is not old_master)

    def test_everything_works_by_way_of_the_sentinel(self):
        ticket = self.open_ticket(2)

        self.client.fill_ticket(ticket, [photo(1), photo(2)])

        self.wait_until(lambda: urllib3.request("GET", f"{self.world.url}/readyz").status == 200)
        admin = Browser()
        admin.force_login(make_user(is_staff=True, is_superuser=True))
        cookie = f"sessionid={admin.cookies['sessionid'].value}"
        address = f"{self.world.url}/admin/django_rq/dashboard/stats.json"
        page = urllib3.request("GET", address, headers={"Cookie": cookie}, redirect=False)
        self.assertEqual([queue["workers"] for queue in page.json()["queues"]], [1])
        self.assert_books_balance()

    def test_failover_under_posting_clients_doubles_nothing_and_all_goes_on(self):
        tickets = [self.open_ticket(8) for _ in range(3)]
        with ThreadPoolExecutor() as pool:
            work = [
                pool.submit(self.client.fill_ticket, ticket, [photo(f"{ticket} {number}") for number in range(8)])
                for ticket in tickets
            ]
            self.wait_until(lambda: len(self.diary.accepted_at) >= 6)
            old_master = self.watched.master

            old_master.kill()

            ended = [each.result()["status"] for each in work]
        self.assertEqual(ended, ["completed"] * 3)
        self.assertIsNot(self.watched.master, old_master)
        self.assert_books_balance()

    def test_photos_on_the_replica_are_delivered_after_the_failover(self):
        with self.worker_frozen():
            self.post(3)
            self.wait_until_replicated()

            self.watched.master.kill()

        self.wait_until_settled()
        self.assertEqual([image.status for image in self.images()], ["stored"] * 3)
        self.assert_books_balance()

    def test_photo_that_never_reached_the_replica_fails_honestly_and_frees_its_place(self):
        old_master, replica = self.watched.master, self.watched.replica
        ticket = self.open_ticket(1)
        self.wait_until_replicated()
        with self.worker_frozen():
            replica.freeze()
            redis_at(settings.REDIS_URL).client_kill_filter(_type="replica")
            self.client.post_photo(ticket, photo(1))
            old_master.kill()
            replica.thaw()
            self.wait_for_failover(old_master)
        self.wait_until(lambda: self.images("failed"))
        self.assertEqual(self.images()[0].error_code, "bytes_lost")

        self.client.fill_ticket(ticket, [photo(1)])

        self.assert_books_balance()

    def test_photo_posted_while_no_master_is_known_is_refused_and_taken_once_there_is_one(self):
        ticket = self.open_ticket(1)
        with self.watched.no_failover():
            self.watched.master.kill()
            self.assert_unavailable(ticket)
        self.assertEqual(self.images(), [])

        self.client.fill_ticket(ticket, [photo(1)])

        self.assert_books_balance()

    def test_master_that_hangs_is_given_up(self):
        ticket, old_master = self.open_ticket(4), self.watched.master
        self.addCleanup(old_master.thaw)

        old_master.freeze()

        self.client.fill_ticket(ticket, [photo(seed) for seed in range(4)])
        self.assertIsNot(self.watched.master, old_master)
        old_master.thaw()
        self.assert_books_balance()
