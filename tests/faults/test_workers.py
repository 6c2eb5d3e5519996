import os
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from django.conf import settings
from django.db import connection, transaction
from rq import Worker

from apps.common.redis.client import redis_at
from apps.tickets.models import Ticket
from tests.faults.case import FaultsTestCase, needs_postgres
from tests.faults.clients import photo
from tests.faults.world import ONE_WEB_PROCESS


class TwoWorkersTests(FaultsTestCase):
    # Long deadlines: on a busy machine a slow upload is no failed one.
    world_options = {
        "workers": 2,
        "environment": ONE_WEB_PROCESS | {"WORKER_CONCURRENCY": "4", "UPLOAD_TIMEOUT_SECONDS": "60"},
    }

    @needs_postgres
    def test_two_workers_complete_every_ticket_once(self):
        self.sandbox.misbehave("latency", seconds=0.05)  # so that there is work for both
        tickets = [self.open_ticket(num_images) for num_images in (1, 2, 2, 2, 2, 3, 4, 8, 8, 8)]
        with completions_noted() as completions, ThreadPoolExecutor(8) as pool:
            for index in range(8):  # the last photos of all tickets arrive together
                wanting = [ticket for ticket in tickets if self.meant[ticket] > index]
                list(pool.map(self.post_one, wanting, range(100 * index, 100 * index + len(wanting))))
            self.wait_until_settled()
            self.assertEqual([image.error_code for image in self.images("failed")], [])
            self.assertEqual(Ticket.objects.filter(status="completed").count(), len(tickets))
            self.assertCountEqual(completions(), tickets)
        self.assertEqual([asset.times_stored for asset in self.sandbox.assets], [1] * sum(self.meant.values()))
        self.assert_books_balance()

    def post_one(self, ticket: int, seed: int) -> None:
        self.assertEqual(self.client.post_photo(ticket, photo(seed)).status, 202)


@contextmanager
def completions_noted():
    """Returns a function that returns the completed tickets, each as often as the database completed it."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE completions (ticket_id bigint)")
        cursor.execute(
            "CREATE FUNCTION note_completion() RETURNS trigger LANGUAGE plpgsql AS"
            " 'BEGIN INSERT INTO completions VALUES (NEW.id); RETURN NULL; END'"
        )
        cursor.execute(
            "CREATE TRIGGER note_completion AFTER UPDATE OF completed_at ON tickets_ticket"
            " FOR EACH ROW EXECUTE FUNCTION note_completion()"
        )

        def noted() -> list[int]:
            cursor.execute("SELECT ticket_id FROM completions")
            return [ticket_id for (ticket_id,) in cursor.fetchall()]

        try:
            yield noted
        finally:
            cursor.execute("DROP FUNCTION note_completion CASCADE")
            cursor.execute("DROP TABLE completions")


class StoppedWorkerTestCase(FaultsTestCase):
    def setUp(self):
        super().setUp()
        self.worker = self.world.workers[0]
        if not self.worker.is_alive():
            self.worker.start()
        self.wait_until(self.registered_pids)

    def registered_pids(self) -> list[int]:
        return [worker.pid for worker in Worker.all(connection=redis_at(settings.REDIS_URL))]


class StoppedWorkerTests(StoppedWorkerTestCase):
    """An upload may take longer than the platform waits for the worker's end."""

    world_options = {
        "environment": ONE_WEB_PROCESS
        | {"STOP_TIMEOUT_SECONDS": "25", "UPLOAD_TIMEOUT_SECONDS": "600", "UPLOAD_MAX_ATTEMPTS": "1"}
    }

    def test_signal_ends_an_idle_worker_in_good_order(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            with self.subTest(number):
                if not self.worker.is_alive():
                    self.worker.start()
                self.wait_until(lambda: self.registered_pids() == [self.worker.pid])

                os.kill(self.worker.pid, number)

                self.assertEqual(self.worker.wait(60), 0, self.worker.output)
                self.assertEqual(self.registered_pids(), [])

    def test_signal_lets_the_jobs_in_flight_finish(self):
        slow = self.sandbox.misbehave("latency", seconds=2)
        ticket = self.open_ticket(3)
        for seed in range(3):
            self.client.post_photo(ticket, photo(seed))
        self.wait_until(lambda: slow.fired == 3)

        os.kill(self.worker.pid, signal.SIGTERM)

        self.assertEqual(self.worker.wait(60), 0, self.worker.output)
        self.assertEqual([image.status for image in self.images()], ["stored"] * 3)
        self.assertEqual(Ticket.objects.get(pk=ticket).status, "completed")

    def test_second_signal_ends_it_at_once(self):
        hanging = self.sandbox.misbehave("hang")
        ticket = self.open_ticket(1)
        self.client.post_photo(ticket, photo(1))
        self.wait_until(lambda: hanging.fired)

        os.kill(self.worker.pid, signal.SIGTERM)
        self.wait_until(self.ends_when_signalled_again)

        self.assertEqual(self.worker.wait(), 1)
        self.assertEqual([image.status for image in self.images()], ["uploading"])

    def ends_when_signalled_again(self) -> bool:
        """One that follows the first within a second is taken for its echo."""
        try:
            self.worker.wait(0.3)
        except subprocess.TimeoutExpired:
            os.kill(self.worker.pid, signal.SIGTERM)
            return False
        return True

    def test_uploads_that_take_too_long_are_left_to_the_next_worker(self):
        hanging = self.sandbox.misbehave("hang")
        self.post(3)
        self.wait_until(lambda: hanging.fired == 3)

        os.kill(self.worker.pid, signal.SIGTERM)

        self.assertEqual(self.worker.wait(60), 0, self.worker.output)
        left = [(image.status, image.error_code) for image in self.images()]
        self.assertEqual(left, [("queued", "worker_lost")] * 3)  # not failed, though it was their last attempt
        self.sandbox.behave(hanging)
        self.worker.start()
        self.wait_until_settled()
        self.assert_books_balance()


class HurriedWorkerTests(StoppedWorkerTestCase):
    """Something else hangs, too, when the worker is to end."""

    world_options = {
        "environment": ONE_WEB_PROCESS
        | {"STOP_TIMEOUT_SECONDS": "8", "UPLOAD_TIMEOUT_SECONDS": "600", "UPLOAD_MAX_ATTEMPTS": "1"}
    }

    def test_worker_ends_though_redis_hangs(self):
        self.freeze_redis()
        self.assert_worker_ends()

    def test_worker_with_uploads_in_hand_ends_though_redis_hangs(self):
        hanging = self.sandbox.misbehave("hang")
        self.post(2)
        self.wait_until(lambda: hanging.fired == 2)
        self.freeze_redis()
        self.assert_worker_ends()

    def test_worker_that_is_ending_does_so_though_redis_hangs_just_then(self):
        os.kill(self.worker.pid, signal.SIGTERM)
        self.freeze_redis()
        self.assertIn(self.worker.wait(60), (0, 1))

    def freeze_redis(self) -> None:
        self.world.redis.freeze()
        self.addCleanup(self.world.redis.thaw)

    def assert_worker_ends(self) -> None:
        os.kill(self.worker.pid, signal.SIGTERM)
        self.assertIn(self.worker.wait(60), (0, 1))

    @needs_postgres
    def test_worker_ends_though_the_database_hangs(self):
        slow = self.sandbox.misbehave("latency", seconds=4)
        ticket = self.post(1)
        self.wait_until(lambda: slow.fired)
        with transaction.atomic():
            Ticket.objects.lock(ticket)
            os.kill(self.worker.pid, signal.SIGTERM)
            self.assertEqual(self.worker.wait(60), 1, self.worker.output)
