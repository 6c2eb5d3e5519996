"""RQ's own worker and its pool run the same jobs as `rqworker default`: a worker that forks, and workers forked."""

import os
import re
import signal
import tempfile
from pathlib import Path

from django.conf import settings

from apps.common.redis.client import redis_at
from apps.tickets.models import Ticket
from tests.common.jobs.foreign_jobs import pickled, put_bombs
from tests.faults.case import FaultsTestCase
from tests.faults.processes import Process
from tests.faults.world import ONE_WEB_PROCESS


class RQWorkersTests(FaultsTestCase):
    world_options = {"workers": 0, "environment": ONE_WEB_PROCESS | {"UPLOAD_TIMEOUT_SECONDS": "20"}}

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

    def test_no_worker_runs_jobs_that_hopla_did_not_queue(self):
        redis = redis_at(settings.REDIS_URL)
        for command in (
            ("rqworker",),
            ("rqworker", "--worker-class", "rq.Worker"),
            ("rqworker", "--worker-class", "rq.SimpleWorker"),
            ("rqworker", "--serializer", "pickle"),
            ("rqworker-pool",),
            ("rqworker-pool", "--worker-class", "rq.Worker"),
        ):
            with self.subTest(" ".join(command)), tempfile.TemporaryDirectory() as folder:
                self.world.flush_redis()
                put_bombs(redis, Path(folder))

                worker = self.start(*command, "--burst")

                self.assertEqual(worker.wait(120), 0, worker.output)
                self.assertEqual(os.listdir(folder), [], worker.output)
                self.assertEqual(redis.llen("rq:queue:default"), 0)

    def test_photos_whose_jobs_an_earlier_hopla_queued_are_delivered(self):
        ticket = self.post(3)
        redis = redis_at(settings.REDIS_URL)
        for job_id in redis.lrange("rq:queue:default", 0, -1):
            image_id = job_id.decode().partition("_")[0]
            redis.hset(b"rq:job:" + job_id, "data", pickled("apps.tickets.delivery.job.deliver_photo", image_id))

        worker = self.start("rqworker")

        self.wait_until(lambda: Ticket.objects.get(pk=ticket).status == "completed" or not worker.is_alive())
        discarded = set(re.findall("job (.*): discarded unread", worker.output))  # RQ may look at one twice
        self.assertEqual(len(discarded), 3, worker.output)
        self.assert_books_balance()
        self.assertEqual(redis.zcard("rq:failed:default"), 0)

    def test_queue_that_is_not_there_is_named(self):
        for command in ("rqworker", "rqworker-pool"):
            with self.subTest(command):
                worker = self.world.processes.manage(command, "high", "default", "low", env=self.world.environment)
                self.assertEqual(worker.wait(120), 1, worker.output)
                self.assertIn("There is no queue named high or low.", worker.output)
                self.assertNotIn("Traceback", worker.output)
