"""The worker on RQ. Each method of RQ's that apps/common/jobs/worker.py overrides or relies on has a test here that
fails when RQ changes under it: work, perform_job, prepare_job_execution, handle_execution_ended, handle_job_success,
heartbeat, maintain_heartbeats, register_birth, redis_workers_keys, set_state, request_stop with _shutdown,
check_for_suspension, run_maintenance_tasks, lmove, fetch_job, restore, and dequeue_any with its timeout, without which
an idle worker would never look whether it is to stop.
"""

import json
import re
import signal
import threading
from datetime import timedelta
from unittest import mock

import django_rq
from django.conf import settings
from django.core.management import call_command
from django.test import override_settings
from django.utils import timezone
from rq import SimpleWorker, Worker
from rq.job import Job, JobStatus
from rq.suspension import resume, suspend

from apps.accounts.models import AuthToken
from apps.common.jobs import periodic
from apps.common.jobs.queue import job_function
from apps.common.jobs.worker import LIVENESS_SECONDS, REDIS_TIMEOUT_SECONDS, ThreadedWorker
from apps.common.observability import metrics
from apps.support.emails import outbox
from apps.support.models import Email
from apps.tickets.models import Image
from apps.tickets.upkeep.reconcile import reconcile
from tests.case import CommittingTestCase, one_turn
from tests.common.jobs.foreign_jobs import pickled, put_job
from tests.makers import make_accepted_image, make_ticket, make_user, running_sandbox, token_for
from tests.support.makers import make_support_ticket
from tests.tickets.upkeep.test_reconcile import make_due

ran = []  # what the jobs below record
meeting: threading.Barrier
release: threading.Event
running: set
most_at_once = 0


@job_function
def note(value):
    ran.append(value)


@job_function
def meet_the_others():
    meeting.wait(timeout=30)
    ran.append("met")


@job_function
def count_those_running():
    global most_at_once
    me = threading.get_ident()
    running.add(me)
    most_at_once = max(most_at_once, len(running))
    release.wait(timeout=0.02)
    running.discard(me)


@job_function
def wait_for_release():
    ran.append("waiting")
    if not release.wait(timeout=60):
        raise TimeoutError
    ran.append("released")


@job_function
def fail():
    raise ValueError("it is no good")


@job_function
def do_nothing():
    pass


@job_function
def note_keys_of_rq():
    ran.append(keys_of_rq(django_rq.get_queue("default").connection))


def keys_of_rq(connection) -> set:
    """Returns every key of RQ's in Redis with its type and fields, without the names of workers and executions.

    What RQ's maintenance leaves is excluded, since hopla's worker runs that besides the jobs: it comes and goes.
    """
    found = set()
    for key in connection.keys("rq:*"):
        if key.startswith(b"rq:clean_registries:") or b":intermediate:first_seen:" in key:
            continue
        kind = connection.type(key).decode()
        # One number for many concurrent jobs has no meaning.
        fields = frozenset(connection.hkeys(key)) - {b"current_job_working_time"} if kind == "hash" else None
        found.add((re.sub(r"[0-9a-f]{32}", "…", key.decode()), kind, fields))
    return found


@job_function
def look_around():
    """Record the worker and its job as other processes see them while the job runs."""
    queue = django_rq.get_queue("default")
    connection = queue.connection
    (worker,) = Worker.all(connection=connection)
    (job_id,) = queue.started_job_registry.get_job_ids()
    ran.append(
        {
            "queues": worker.queue_names(),
            "pid": worker.pid,
            "seconds_to_live": connection.ttl(worker.key),
            "job": queue.fetch_job(job_id).get_status(),
        }
    )


class WorkerTestCase(CommittingTestCase):
    def setUp(self):
        super().setUp()
        global meeting, release, running, most_at_once
        ran.clear()
        release, running, most_at_once = threading.Event(), set(), 0
        for number in (signal.SIGINT, signal.SIGTERM):  # the worker installs its own handlers
            self.addCleanup(signal.signal, number, signal.getsignal(number))
        self.queue = django_rq.get_queue("default")
        self.connection = self.queue.connection

    def enqueue(self, function, *arguments, **options):
        return self.queue.enqueue(function, *arguments, **{"result_ttl": 0} | options)

    def drain(self, **options) -> bool:
        return django_rq.get_worker("default").work(**{"burst": True, "logging_level": "CRITICAL"} | options)

    def assert_left_nothing(self, *, failed: int = 0):
        queue = self.queue
        registries = [
            queue.started_job_registry,
            queue.finished_job_registry,
            queue.deferred_job_registry,
            queue.scheduled_job_registry,
            queue.canceled_job_registry,
        ]
        self.assertEqual([registry.get_job_ids() for registry in registries], [[]] * 5)
        self.assertEqual(len(queue.failed_job_registry.get_job_ids()), failed)
        self.assertEqual(self.connection.llen(queue.intermediate_queue_key), 0)
        self.assertEqual(Worker.all(connection=self.connection), [])


class BurstTests(WorkerTestCase):
    def test_plain_settings_name_this_worker(self):
        self.assertIs(type(django_rq.get_worker("default")), ThreadedWorker)

    def test_every_job_is_run_once_and_nothing_is_left(self):
        for number in range(50):
            self.enqueue(note, number)

        self.assertTrue(self.drain())

        self.assertCountEqual(ran, range(50))
        self.assertEqual(self.queue.count, 0)
        self.assert_left_nothing()

    def test_empty_queue_is_drained_at_once(self):
        self.assertFalse(self.drain())
        self.assert_left_nothing()

    def test_command_without_a_flag_about_it_uses_this_worker(self):
        self.enqueue(note, "by the command")

        call_command("rqworker", "default", burst=True, verbosity=0)

        self.assertEqual(ran, ["by the command"])
        self.assert_left_nothing()

    @override_settings(WORKER_CONCURRENCY=6)
    def test_jobs_run_side_by_side(self):
        global meeting
        meeting = threading.Barrier(6)
        for _ in range(6):
            self.enqueue(meet_the_others)

        self.drain()

        self.assertEqual(ran, ["met"] * 6)

    @override_settings(WORKER_CONCURRENCY=2)
    def test_no_more_jobs_run_at_once_than_the_setting_says(self):
        for _ in range(12):
            self.enqueue(count_those_running)

        self.drain()

        self.assertIn(most_at_once, (1, 2))
        self.assert_left_nothing()

    def test_jobs_work_by_turns(self):
        self.enterContext(one_turn("apps.common.jobs.worker.jobs"))
        for _ in range(12):
            self.enqueue(count_those_running)

        self.drain()

        self.assertEqual(most_at_once, 1)
        self.assert_left_nothing()

    def test_failing_job_is_kept_with_its_reason_and_the_others_go_on(self):
        job = self.enqueue(fail)
        self.enqueue(note, "after it")

        self.drain()

        self.assertEqual(ran, ["after it"])
        self.assertEqual(self.queue.failed_job_registry.get_job_ids(), [job.id])
        self.assertEqual(job.get_status(refresh=True), JobStatus.FAILED)
        self.assertIn("ValueError: it is no good", job.latest_result().exc_string)
        self.assert_left_nothing(failed=1)

    def test_job_that_is_no_more_is_passed_over(self):
        self.enqueue(note, "gone").delete(remove_from_queue=False)
        self.enqueue(note, "there")

        self.drain()

        self.assertEqual(ran, ["there"])

    def test_result_is_kept_for_as_long_as_the_job_asks(self):
        job = self.enqueue(note, 1, result_ttl=60)

        self.drain()

        self.assertEqual(self.queue.finished_job_registry.get_job_ids(), [job.id])

    def test_number_of_jobs_may_be_limited(self):
        for number in range(5):
            self.enqueue(note, number)

        self.drain(burst=False, max_jobs=3)

        self.assertCountEqual(ran, [0, 1, 2])
        self.assertEqual(self.queue.count, 2)

    def test_suspended_worker_leaves_the_jobs_alone(self):
        self.enqueue(note, "later")
        suspend(self.connection)

        self.assertFalse(self.drain())
        self.assertEqual((ran, self.queue.count), ([], 1))
        self.assert_left_nothing()

        resume(self.connection)
        self.assertTrue(self.drain())
        self.assertEqual(ran, ["later"])


class ForeignJobTests(WorkerTestCase):
    def test_function_that_is_none_of_the_jobs_fails_and_is_not_called(self):
        job_id = put_job(
            self.connection, data=json.dumps(["tests.common.jobs.test_worker.ran.append", None, ["called"], {}])
        )

        self.drain()

        self.assertEqual(ran, [])
        self.assertIn("NotAJobError", Job.fetch(job_id, connection=self.connection).latest_result().exc_string)
        self.assert_left_nothing(failed=1)

    def test_method_of_an_argument_is_not_called(self):
        put_job(self.connection, data=json.dumps(["format", "{0}", ["called"], {}]))

        self.drain()

        self.assert_left_nothing(failed=1)

    def test_pickled_job_is_discarded_and_the_others_go_on(self):
        before = put_job(self.connection, data=pickled("tests.common.jobs.test_worker.note", "unpickled"))
        self.enqueue(note, "there")

        with self.assertLogs("apps.common.jobs.queue", "WARNING"):
            self.drain()

        self.assertEqual(ran, ["there"])
        self.assertFalse(Job.exists(before, connection=self.connection))
        self.assert_left_nothing()

    def test_photos_and_emails_of_discarded_jobs_are_queued_anew(self):
        self.enterContext(running_sandbox())
        image = make_accepted_image(make_ticket(num_images=1))
        make_support_ticket(make_user())
        (email,) = Email.objects.all()
        for job_id in self.queue.job_ids:
            photo = ("apps.tickets.delivery.job.deliver_photo", str(image.pk))
            mail = ("apps.support.emails.send_email", email.pk)
            data = pickled(*(photo if job_id.startswith(str(image.pk)) else mail))
            self.connection.hset(Job.key_for(job_id), "data", data)
        with self.assertLogs("apps.common.jobs.queue", "WARNING") as log:
            self.drain()
        self.assertEqual(
            (len(set(log.output)), self.queue.job_ids), (2, [])
        )  # RQ may look at one twice, as it cleans up

        make_due(image)
        Email.objects.update(due_at=timezone.now() - timedelta(seconds=1))
        reconcile()
        outbox.enqueue_due()
        self.drain()

        self.assertEqual((Image.objects.get().status, Email.objects.get().state), ("stored", "sent"))


class SeenFromOutsideTests(WorkerTestCase):
    def test_worker_and_job_while_it_runs(self):
        self.enqueue(look_around)

        self.drain()

        (seen,) = ran
        self.assertEqual((seen["queues"], seen["job"]), (["default"], JobStatus.STARTED))
        self.assertIsInstance(seen["pid"], int)
        self.assertIn(seen["seconds_to_live"], range(1, LIVENESS_SECONDS + 1))


class BookkeepingTests(WorkerTestCase):
    """The runners write in two round trips the same as RQ's own worker writes in eleven."""

    def keys_with(self, worker_class, job, **options) -> set:
        self.connection.flushdb()
        ran.clear()
        self.enqueue(job, job_id="the-job", **options)
        worker = worker_class([self.queue], connection=self.connection, name="0" * 32)
        worker.work(burst=True, logging_level="CRITICAL")
        return ran[0] if job is note_keys_of_rq else keys_of_rq(self.connection)

    def test_running_job_looks_as_with_rqs_own_worker(self):
        expected = self.keys_with(SimpleWorker, note_keys_of_rq)
        self.assertIn("rq:wip:default", {key for key, _, _ in expected})
        self.assertEqual(self.keys_with(ThreadedWorker, note_keys_of_rq), expected)

    def test_what_a_job_leaves_is_what_it_leaves_with_rqs_own_worker(self):
        for job, options in ((do_nothing, {}), (do_nothing, {"result_ttl": 60}), (fail, {})):
            with self.subTest(job=job.__name__, **options):
                expected = self.keys_with(SimpleWorker, job, **options)
                self.assertEqual(self.keys_with(ThreadedWorker, job, **options), expected)

    def test_counts_of_the_worker_are_kept(self):
        counts = []

        class Counting(ThreadedWorker):
            def register_death(self):
                self.refresh()
                counts.append((self.successful_job_count, self.failed_job_count, self.total_working_time > 0))
                super().register_death()

        self.enqueue(note, 1)
        self.enqueue(note, 2)
        self.enqueue(fail)

        Counting([self.queue], connection=self.connection).work(burst=True, logging_level="CRITICAL")

        self.assertEqual(counts, [(2, 1, True)])


def count_of(name: str, label: str) -> float:
    return metrics.totals().get((name, (label,), ""), 0)


class BackgroundWorker(ThreadedWorker):
    """Runs in a thread of the test, where no signal arrives: the test calls `request_stop` instead."""

    def _install_signal_handlers(self):
        pass


class RunningTests(WorkerTestCase):
    def start(self) -> BackgroundWorker:
        worker = django_rq.get_worker("default", worker_class=BackgroundWorker)
        self.thread = threading.Thread(target=worker.work, kwargs={"logging_level": "CRITICAL"})
        self.thread.start()
        self.addCleanup(self.end, worker)
        self.wait_until(lambda: self.is_registered(worker))
        return worker

    def end(self, worker):
        release.set()
        worker._stop_requested = True
        self.thread.join(60)

    def is_registered(self, worker) -> bool:
        return worker.key in Worker.all_keys(connection=self.connection) and self.connection.exists(worker.key) == 1

    def state(self, worker) -> str:
        return (self.connection.hget(worker.key, "state") or b"").decode()

    def assert_stops(self):
        self.thread.join(60)
        self.assertFalse(self.thread.is_alive())

    def test_idle_worker_stops_when_told(self):
        worker = self.start()
        self.wait_until(lambda: self.state(worker) == "idle")

        worker.request_stop(signal.SIGTERM, None)

        self.assert_stops()
        self.assert_left_nothing()

    @override_settings(WORKER_CONCURRENCY=1)
    def test_job_in_flight_is_finished_and_no_new_one_is_taken(self):
        worker = self.start()
        self.enqueue(wait_for_release)
        self.wait_until(lambda: ran == ["waiting"])

        worker.request_stop(signal.SIGTERM, None)
        self.enqueue(note, "too late")
        release.set()

        self.assert_stops()
        self.assertEqual(ran, ["waiting", "released"])
        self.assertEqual(self.queue.count, 1)
        self.assert_left_nothing()

    def test_stop_waits_until_what_runs_beside_the_jobs_has_ended(self):
        def beside(stopping):
            ran.append("beside")
            stopping.wait()
            release.wait(60)
            ran.append("ended")

        self.enterContext(mock.patch.dict(periodic._sidelines, {"beside": beside}, clear=True))
        worker = self.start()
        self.wait_until(lambda: ran == ["beside"])

        worker.request_stop(signal.SIGTERM, None)
        self.wait_until(lambda: worker._stopping.is_set())
        self.assertTrue(self.thread.is_alive())
        release.set()

        self.assert_stops()
        self.assertEqual(ran, ["beside", "ended"])
        self.assert_left_nothing()

    def test_worker_is_busy_while_any_job_runs(self):
        worker = self.start()
        self.enqueue(wait_for_release)

        self.wait_until(lambda: ran == ["waiting"])
        self.wait_until(lambda: self.state(worker) == "busy")
        release.set()
        self.wait_until(lambda: self.state(worker) == "idle")

    def test_lease_of_a_long_job_is_prolonged(self):
        self.start()
        job = self.enqueue(wait_for_release)
        self.wait_until(lambda: ran == ["waiting"])

        first = self.wait_until(lambda: self.lease(job))
        self.wait_until(lambda: self.lease(job) > first)
        beat = self.wait_until(lambda: job.refresh() or job.last_heartbeat)
        self.wait_until(lambda: job.refresh() or job.last_heartbeat > beat)

    def lease(self, job) -> float:
        (execution,) = job.get_executions()
        return self.connection.zscore(self.queue.started_job_registry.key, execution.composite_key) or 0

    def test_redis_being_flushed_is_survived(self):
        worker = self.start()

        self.connection.flushdb()

        self.wait_until(lambda: self.is_registered(worker))
        self.enqueue(note, "after the flush")
        self.wait_until(lambda: ran == ["after the flush"])

    def test_job_in_disorder_does_not_end_the_worker(self):
        job_id = put_job(self.connection, data=b"[]", created_at="yesterday")
        with self.assertLogs("apps.common.observability.unforeseen", "ERROR"):
            self.start()
            self.enqueue(note, "after it")
            self.wait_until(lambda: ran == ["after it"])
        self.wait_until(lambda: self.connection.llen(self.queue.intermediate_queue_key) == 0)
        self.connection.delete(Job.key_for(job_id))

    def test_workers_own_key_in_disorder_does_not_end_the_worker(self):
        self.start()
        with self.assertLogs("apps.common.observability.unforeseen", "ERROR"):
            before = count_of("hopla_periodic_failures", "the worker's heartbeat")
            self.connection.set(Worker.redis_workers_keys, "no set")
            # The second time: of the first the count may be there before the line of the log.
            self.wait_until(lambda: count_of("hopla_periodic_failures", "the worker's heartbeat") >= before + 2)
            self.enqueue(note, "all the same")
            self.wait_until(lambda: ran == ["all the same"])
        self.connection.delete(Worker.redis_workers_keys)

    def test_emails_and_tokens_do_not_wait_for_staging(self):
        make_support_ticket(make_user())
        self.queue.empty()
        Email.objects.update(due_at=timezone.now() - timedelta(seconds=1))
        token_for(make_user())
        AuthToken.objects.update(expiry=timezone.now() - timedelta(seconds=1))

        before = count_of("hopla_periodic_failures", "discarding bytes")
        with override_settings(STAGING_REDIS_URL="redis://127.0.0.1:1/0"):
            self.start()
            self.wait_until(lambda: Email.objects.get().state == "sent")
            self.wait_until(lambda: not AuthToken.objects.exists())
            self.wait_until(lambda: count_of("hopla_periodic_failures", "discarding bytes") > before)

    def test_redis_being_flushed_while_a_job_runs_is_survived(self):
        worker = self.start()
        self.enqueue(wait_for_release)
        self.wait_until(lambda: ran == ["waiting"])

        self.connection.flushdb()

        self.wait_until(lambda: self.is_registered(worker))
        release.set()
        self.enqueue(note, "the next")
        self.wait_until(lambda: "the next" in ran)

    def test_photo_whose_job_was_lost_is_delivered_all_the_same(self):
        self.enterContext(running_sandbox())
        image = make_accepted_image(make_ticket(num_images=1))
        self.queue.empty()
        make_due(image)

        self.start()

        self.wait_until(lambda: image.refresh_from_db() or image.status == "stored")
        image.ticket.refresh_from_db()
        self.assertEqual(image.ticket.status, "completed")

    def test_concurrency_is_the_settings(self):
        self.assertEqual(len(self.start()._runners), settings.WORKER_CONCURRENCY)

    def test_redis_that_hangs_is_given_up_after_seconds(self):
        pool = self.start().connection.connection_pool
        self.assertEqual(pool.connection_kwargs["socket_timeout"], REDIS_TIMEOUT_SECONDS)
