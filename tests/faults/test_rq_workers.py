"""RQ's own worker and its pool run the same jobs as `rqworker default`: a worker that forks, and workers forked."""

import os
import signal

from apps.tickets.models import Ticket
from tests.faults.case import FaultsTestCase
from tests.faults.processes import Process


class RQWorkersTests(FaultsTestCase):
    world_options = {"workers": 0, "environment": {"UPLOAD_TIMEOUT_SECONDS": "20"}}

    def start(self, *command: str) -> Process:
        worker = self.world.processes.manage(*command, "default", env=self.world.environment)
        self.addCleanup(worker.stop)
        return worker

    def complete_a_ticket(self, worker: Process) -> None:
        """By three jobs, each attempted once."""
        ticket = self.post(3)
        self.wait_until(lambda: Ticket.objects.get(pk=ticket).status == "completed" or not worker.is_alive())
        self.assertEqual([image.status for image in self.images()], ["stored"] * 3, worker.output)
        self.assertEqual([image.attempts for image in self.images()], [1] * 3)

    def assert_ends_in_good_order(self, worker: Process) -> None:
        os.kill(worker.pid, signal.SIGTERM)
        self.assertEqual(worker.wait(60), 0, worker.output)

    def test_worker_that_forks_for_each_job(self):
        worker = self.start("rqworker", "--worker-class", "rq.worker.Worker")
        self.complete_a_ticket(worker)
        self.assert_ends_in_good_order(worker)
        self.assertNotIn("Traceback", worker.output)

    def test_pool_of_our_workers(self):
        pool = self.start("rqworker-pool", "--num-workers", "2")
        self.complete_a_ticket(pool)
        self.assert_books_balance()
        self.assert_ends_in_good_order(pool)
        self.assertNotIn("Traceback", pool.output)

    def test_pool_of_rqs_workers(self):
        pool = self.start("rqworker-pool", "--num-workers", "2", "--worker-class", "rq.worker.Worker")
        self.complete_a_ticket(pool)
        self.assert_ends_in_good_order(pool)
        self.assertNotIn("Traceback", pool.output)
