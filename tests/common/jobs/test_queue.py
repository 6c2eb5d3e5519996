import json
import secrets
import zlib
from datetime import timedelta

from django.test import SimpleTestCase
from rq.job import Job
from rq.utils import now

from apps.common.jobs.queue import JobTemplate, NotAJobError, default_queue, job_function
from tests.case import HoplaAssertions

OPTIONS = {"result_ttl": 0, "failure_ttl": 600}


@job_function
def work(argument: str) -> None:
    """A job's function."""


class JobKindTests(HoplaAssertions, SimpleTestCase):
    maxDiff = None

    def setUp(self):
        super().setUp()
        self.queue = default_queue()
        self.redis = self.queue.connection
        self.kind = JobTemplate(work, **OPTIONS)
        self.addCleanup(self.queue.empty)

    def enqueue(self, argument: str) -> Job:
        job_id = secrets.token_hex(8)
        self.kind.enqueue(argument, job_id=job_id)
        return self.queue.fetch_job(job_id)

    def test_job_is_what_rq_itself_would_have_queued(self):
        job = self.enqueue("it's 1 ☂")
        by_rq = self.queue.enqueue(work, "it's 1 ☂", job_id=secrets.token_hex(8), **OPTIONS)

        kept, kept_by_rq = (self.redis.hgetall(each.key) for each in (job, by_rq))
        for field in (b"created_at", b"enqueued_at"):
            self.assertEqual(len(kept.pop(field)), len(kept_by_rq.pop(field)))
        self.assertEqual(kept, kept_by_rq)
        self.assertEqual((job.func, list(job.args), job.kwargs), (work, ["it's 1 ☂"], {}))
        self.assertEqual([self.redis.ttl(each.key) for each in (job, by_rq)], [-1, -1])

    def test_job_is_json(self):
        job = self.enqueue("a")
        mine = [__name__ + ".work", None, ["a"], {}]
        self.assertEqual(json.loads(zlib.decompress(self.redis.hget(job.key, "data"))), mine)

    def test_function_that_no_worker_would_run_is_not_queued(self):
        for function in (print, "os.mkdir"):
            with self.subTest(function), self.assertRaises(NotAJobError):
                self.queue.enqueue(function, "a")
        self.assertEqual(self.queue.job_ids, [])

    def test_jobs_wait_in_their_order_in_a_queue_that_rq_knows(self):
        jobs = [self.enqueue(argument).id for argument in ("a", "b")]

        self.assertEqual(self.queue.job_ids[-2:], jobs)
        self.assertIn("default", [queue.name for queue in self.queue.all(connection=self.redis)])

    def test_job_that_failed_is_queued_again_as_if_it_were_new(self):
        failed = self.enqueue("a")
        self.redis.lpop(self.queue.key)
        failed.set_status("failed")
        self.queue.failed_job_registry.add(failed, ttl=60, exc_string="no")

        self.kind.enqueue("a", job_id=failed.id, again=True)

        self.assertEqual(self.redis.hget(failed.key, "status"), b"queued")
        self.assertFalse(self.redis.hexists(failed.key, "exc_info"))
        self.assertEqual(self.redis.ttl(failed.key), -1)
        self.assertEqual(self.queue.failed_job_registry.get_job_ids(cleanup=False), [])

    def test_job_that_has_waited_goes_to_the_front(self):
        others = [self.enqueue(argument).id for argument in ("a", "b")]
        waiting_since = now() - timedelta(minutes=5)

        self.kind.enqueue("c", job_id="first", waiting_since=waiting_since)

        self.assertEqual(self.queue.job_ids, ["first", *others])
        self.assertEqual(self.queue.fetch_job("first").enqueued_at, waiting_since)
        self.assertEqual(JobTemplate.which_wait(["first", *others]), {"first", *others})

    def test_job_waits_until_it_is_taken(self):
        first, second = self.enqueue("a"), self.enqueue("b")
        self.assertEqual(JobTemplate.which_wait([first.id, second.id, "another"]), {first.id, second.id})

        self.redis.lpop(self.queue.key)  # and then the worker is killed

        self.assertEqual(JobTemplate.which_wait([first.id, second.id]), {second.id})
        second.set_status("started")
        self.assertEqual(JobTemplate.which_wait([second.id]), set())
        self.assertEqual(JobTemplate.which_wait([]), set())

    def test_times_are_of_now(self):
        first, second = self.enqueue("a"), self.enqueue("b")

        self.assertLess(first.enqueued_at, second.enqueued_at)
        self.assertEqual(first.created_at, first.enqueued_at)
