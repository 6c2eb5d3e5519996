"""Webhooks of workers that are killed or stopped amid an attempt, and beside photos."""

import os
import signal

from apps.integrations.models import Delivery
from tests.faults.case import FaultsTestCase
from tests.faults.clients import photo
from tests.faults.world import ONE_WEB_PROCESS, PATIENT
from tests.integrations.webhooks.makers import make_delivery, make_endpoint
from tests.integrations.webhooks.receiver import Receiver, answering
from tests.makers import make_user


class WebhookTests(FaultsTestCase):
    world_options = {
        "environment": ONE_WEB_PROCESS
        | PATIENT
        | {"STOP_TIMEOUT_SECONDS": "15", "WEBHOOK_CONCURRENCY": "4", "WEBHOOK_TIMEOUT_SECONDS": "120"}
    }

    def setUp(self):
        super().setUp()
        (self.worker,) = self.world.workers
        if not self.worker.is_alive():
            self.worker.start()
        self.receiver = self.enterContext(Receiver())
        self.receiver.answer = self.receiver.hang
        self.endpoint = make_endpoint(url=self.receiver.url)

    def wait_until_delivered(self, delivery: Delivery) -> Delivery:
        return self.wait_until(
            lambda: Delivery.objects.filter(pk=delivery.pk, status="delivered").first(), timeout_seconds=90
        )

    def test_attempt_of_a_killed_worker_is_taken_over(self):
        delivery = make_delivery(self.endpoint)
        self.wait_until(lambda: self.receiver.requests)

        self.worker.kill()
        self.receiver.answer = answering(200)
        self.worker.start()

        self.assertEqual(self.wait_until_delivered(delivery).attempts, 2)
        self.assertEqual(self.receiver.ids, [str(delivery.event_id)] * 2)

    def test_stopped_worker_ends_in_time_and_what_it_cut_off_is_not_counted(self):
        delivery = make_delivery(self.endpoint)
        self.wait_until(lambda: self.receiver.requests)

        os.kill(self.worker.pid, signal.SIGTERM)

        self.assertEqual(self.worker.wait(60), 0, self.worker.output)
        delivery.refresh_from_db()
        self.assertEqual((delivery.status, delivery.is_running), ("pending", False))
        self.assertEqual(delivery.attempts, delivery.attempts_before)
        self.receiver.answer = answering(200)
        self.worker.start()
        self.wait_until_delivered(delivery)

    def test_photos_are_delivered_while_every_receiver_hangs(self):
        for _ in range(4):
            endpoint = make_endpoint(make_user(), url=self.receiver.url)
            for _ in range(3):
                make_delivery(endpoint)
        self.wait_until(lambda: len(self.receiver.requests) == 4)

        ticket = self.open_ticket(3)
        for seed in range(3):
            self.client.post_photo(ticket, photo(seed))

        self.wait_until_settled()
        self.assertEqual([image.status for image in self.images()], ["stored"] * 3)
        self.assertEqual(len(self.receiver.requests), 4)
        self.assert_books_balance()
