import os
import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from django.db import transaction

from apps.common.redis.client import redis_at
from apps.tickets.intake import idempotency
from apps.tickets.models import Ticket
from apps.tickets.staging import store
from apps.tickets.upkeep.reconcile import TURN, TURN_SECONDS
from tests.case import staged_photos, staging_redis
from tests.faults.books import let_time_pass
from tests.faults.case import FaultsTestCase, needs_postgres
from tests.faults.clients import CutUpload, OutOfPatienceError, new_key, photo
from tests.faults.world import ONE_WEB_PROCESS, PATIENT


class KilledProcessesTests(FaultsTestCase):
    world_options = {"environment": PATIENT}

    def test_fresh_worker_takes_up_what_a_killed_one_had_in_flight(self):
        self.sandbox.misbehave("hang", times=2)
        ticket = self.open_ticket(4)
        for seed in range(4):
            self.client.post_photo(ticket, photo(seed))
        self.wait_until(lambda: len(self.images("uploading")) == 2 and len(self.images("stored")) == 2)

        self.world.workers[0].kill()
        self.world.workers[0].start()

        self.wait_until_settled()
        self.assertEqual([image.status for image in self.images()], ["stored"] * 4)
        self.assert_books_balance()

    def test_worker_killed_in_its_turn_of_reconciling_holds_the_next_up_for_seconds_only(self):
        self.sandbox.misbehave("hang", times=1)
        ticket = self.open_ticket(1)
        self.client.post_photo(ticket, photo(1))
        self.wait_until(lambda: self.images("uploading"))

        self.world.workers[0].kill()
        turn = redis_at(self.world.redis_url).lock(TURN, timeout=TURN_SECONDS)
        self.assertTrue(turn.acquire())  # as if it had been reconciling just then
        self.world.workers[0].start()

        self.wait_until(lambda: self.images("stored"))
        self.assert_books_balance()

    def kill_web_processes(self) -> None:
        """Those that serve requests; their parent starts others."""
        for pid in self.world.web.children():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    @needs_postgres
    def test_half_a_photo_takes_no_place_and_its_bytes_expire(self):
        ticket = self.open_ticket(1)
        with CutUpload(self.client, ticket, photo(1, size=2_000_000)):
            self.wait_until(staged_photos)

            self.kill_web_processes()

            [image_id] = staged_photos()
        self.assertEqual(self.images(), [])
        self.assertLessEqual(staging_redis().ttl(store.key_of(image_id)), store.INCOMING_TTL_SECONDS)
        let_time_pass(store.INCOMING_TTL_SECONDS)
        self.wait_until(lambda: not staged_photos() and not store.bytes_in_use())
        self.client.fill_ticket(ticket, [photo(1, size=2_000_000)])
        self.assert_books_balance()

    @needs_postgres
    def test_client_that_repeats_its_killed_request_is_served_after_seconds(self):
        ticket, key = self.open_ticket(1), new_key()
        with CutUpload(self.client, ticket, photo(1, size=2_000_000), Idempotency_Key=key):
            self.wait_until(staged_photos)

            self.kill_web_processes()

        self.client.patience_seconds = idempotency.HELD_SECONDS + 60
        self.assertEqual(self.client.post_photo(ticket, photo(1, size=2_000_000), key=key).status, 202)
        self.assert_books_balance()

    @needs_postgres
    def test_whole_photo_whose_row_never_came_is_forgotten(self):
        ticket = self.open_ticket(1)
        impatient = self.client_of(Ticket.objects.get().owner, patience_seconds=0)
        with ThreadPoolExecutor() as pool, transaction.atomic():
            Ticket.objects.lock(ticket)  # so that the photo waits for its place
            posting = pool.submit(impatient.post_photo, ticket, photo(1))
            self.wait_until(lambda: [i for i in staged_photos() if staging_redis().ttl(store.key_of(i)) > 3600])

            self.kill_web_processes()

            self.assertIsInstance(posting.exception(timeout=30), OutOfPatienceError)
        self.assertEqual(self.images(), [])
        let_time_pass(store.INCOMING_TTL_SECONDS)
        self.wait_until(lambda: not staged_photos() and not store.bytes_in_use())


@needs_postgres
class BusyWorkerTests(FaultsTestCase):
    world_options = {"environment": ONE_WEB_PROCESS | {"WORKER_CONCURRENCY": "2", "UPLOAD_TIMEOUT_SECONDS": "30"}}

    def test_reconciler_reaches_cloudinary_while_every_upload_hangs(self):
        ticket = self.open_ticket(3)
        self.client.post_photo(ticket, photo(0))
        [stored] = self.wait_until(lambda: self.images("stored"))
        self.sandbox.misbehave("hang", seconds=16, times=2)
        for seed in (1, 2):
            self.client.post_photo(ticket, photo(seed))
        self.wait_until(lambda: len(self.images("uploading")) == 2)

        stored.delete()

        self.wait_until(lambda: not len(self.sandbox.assets))
        self.assertEqual(len(self.images("uploading")), 2)
        self.meant[ticket] = 2
        self.assert_books_balance()
