"""The RQ worker of plain `manage.py rqworker default`: it runs many jobs concurrently in one process, and the work that
the apps have registered (apps/common/jobs/periodic.py), such as the reconciler, in threads of its own.

RQ's own workers run one job at a time, in a forked child or in the main thread. A photo's job mostly waits for
Cloudinary, so this worker runs up to WORKER_CONCURRENCY of them in threads. What RQ keeps per running job (execution,
heartbeat, current job) is kept by a `JobRunner`, a small SimpleWorker under the same name, which takes its jobs from
the queue itself; registration, heartbeats and signals stay with the worker. A crash ends all jobs in flight: they are
safe to run twice, and the reconciler starts them again.

A stopping worker takes no more jobs and exits within STOP_TIMEOUT_SECONDS, before the platform kills it: its running
jobs may continue for most of that time, then the rest are cut off and queued again for another worker.

Private parts of rq 2.12.0: `rq.worker.base.BaseWorker._exc_handlers`, `._install_signal_handlers`,
`._ordered_queues`, `._shutdown`, `._shutdown_requested_date`, `._start_scheduler`, `._stop_requested`, `.bootstrap`,
`.teardown`, `.register_birth`, `.check_for_suspension`, `.run_maintenance_tasks`, `.cleanup_execution`,
`rq.worker_registration.register`.
"""

import logging
import math
import os
import threading
import time
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from functools import partial

from django.conf import settings
from django.db import close_old_connections
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry
from rq import Queue, SimpleWorker, Worker, worker_registration
from rq.exceptions import DequeueTimeout, NoSuchJobError, StopRequested
from rq.executions import Execution
from rq.job import Job
from rq.timeouts import BaseDeathPenalty
from rq.utils import now
from rq.worker.base import BaseWorker, WorkerStatus

from apps.common import threads
from apps.common.jobs import periodic
from apps.common.jobs.periodic import Periodic
from apps.common.jobs.queue import jobs
from apps.common.observability import metrics, unforeseen
from apps.common.redis.wire import exchange

logger = logging.getLogger(__name__)

POLL_SECONDS = 2  # the longest wait for a job, and so how late a stop or a heartbeat can be
# The longest that Redis may take to reply, a wait for a job included. RQ itself would wait seven minutes for a hanging
# Redis.
REDIS_TIMEOUT_SECONDS = POLL_SECONDS + 5
LIVENESS_SECONDS = 15  # a worker without a heartbeat for this long counts as dead
BEAT_SECONDS = LIVENESS_SECONDS / 3  # a job that has begun, or was heard of, so recently needs no heartbeat
MAINTENANCE_SECONDS = 30
JOBS_SHARE_OF_STOP = 0.8  # of STOP_TIMEOUT_SECONDS; the rest is for recording their outcomes
WATCH_SECONDS = 0.5
LEAVING_TAKES_SECONDS = 0.1

# KEYS: queue, its intermediate list. ARGV: the prefix of a job's key.
TAKE = """
local id = redis.call('LMOVE', KEYS[1], KEYS[2], 'LEFT', 'RIGHT')
return id and {id, redis.call('HGETALL', ARGV[1] .. id)}
"""


class NoDeathPenalty(BaseDeathPenalty):
    """Replaces RQ's timeouts, which raise in the main thread or cannot interrupt a blocking call: the jobs have their
    own deadlines.
    """

    def setup_death_penalty(self):
        pass

    def cancel_death_penalty(self):
        pass


class JobRunner(SimpleWorker):
    """Runs one job at a time in a thread, under the name of the worker it belongs to."""

    death_penalty_class = NoDeathPenalty
    connection_timeout = REDIS_TIMEOUT_SECONDS  # the worker shares its connection and uses the longer of both
    log_job_description = False
    log_result_lifespan = False
    job = None  # the job that it runs or is about to run

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        # Quieter than the worker itself (observability/logs.py): RQ logs each successful job, and the job logs more.
        self.log = logging.getLogger("apps.common.jobs.worker.runner")

    def run(self, job, queue):
        try:
            with jobs.turn():
                self.perform_job(job, queue)
        finally:
            self.job = None
            close_old_connections()

    def handle_exception(self, job, *exc_info):
        super().handle_exception(job, *exc_info)  # which logs it
        if not unforeseen.is_foreseen(exc_info[1]):
            metrics.count("hopla_unforeseen_errors", place="job")

    # RQ's bookkeeping for a job takes eleven round trips to Redis, more than the job's own work. The next three methods
    # write the same in two. They leave out what RQ does for dependent jobs, of which hopla has none.

    def prepare_job_execution(self, job, remove_from_intermediate_queue=False):
        with self.connection.pipeline() as pipeline:
            self.execution = Execution.create(job, LIVENESS_SECONDS, pipeline=pipeline, worker_name=self.name)
            self.set_current_job_id(job.id, pipeline=pipeline)
            job.prepare_for_execution(self.name, pipeline=pipeline)
            if remove_from_intermediate_queue:
                pipeline.lrem(self.queues[0].intermediate_queue_key, 1, job.id)
            pipeline.execute()

    def handle_execution_ended(self, job, queue, heartbeat_ttl):
        job.ended_at = now()

    def handle_job_success(self, job, queue, started_job_registry):
        if job.result_ttl != 0:
            super().handle_job_success(job, queue, started_job_registry)
            return
        with self.connection.pipeline() as pipeline:
            self.increment_successful_job_count(pipeline=pipeline)
            self.increment_total_working_time(job.ended_at - job.started_at, pipeline)
            pipeline.delete(job.key, job.execution_registry.key)
            self.cleanup_execution(job, pipeline=pipeline)
            pipeline.execute()

    def get_heartbeat_ttl(self, job):
        return LIVENESS_SECONDS

    def maintain_heartbeats(self, job):
        """Renew RQ's lease on the running job. Called from the worker's main thread: the job may be just ending."""
        execution = self.execution
        if execution is None or (now() - execution.last_heartbeat).total_seconds() < BEAT_SECONDS:
            return
        with self.connection.pipeline() as pipeline:
            execution.heartbeat(job.started_job_registry, LIVENESS_SECONDS, pipeline=pipeline)
            job.heartbeat(now(), LIVENESS_SECONDS, pipeline=pipeline)
            if pipeline.execute()[-1]:  # the job has ended, and this created its key again
                self.connection.delete(job.key)

    def heartbeat(self, timeout=None, pipeline=None):
        super().heartbeat(LIVENESS_SECONDS, pipeline)


class ThreadedWorker(BaseWorker):
    death_penalty_class = NoDeathPenalty
    connection_timeout = REDIS_TIMEOUT_SECONDS

    def __init__(self, *args, **kwargs):
        kwargs["maintenance_interval"] = MAINTENANCE_SECONDS
        super().__init__(*args, **kwargs)
        # The loops below retry themselves, and check for a stop in between.
        self.connection.set_retry(Retry(NoBackoff(), retries=0))
        self._runners = [self._new_runner() for _ in range(settings.WORKER_CONCURRENCY)]
        self._dequeueing = threading.Lock()
        self._jobs_taken = 0
        self._suspension_due_at = 0.0  # by time.monotonic()
        self._stopping = threading.Event()
        self._stop_asked_at = math.inf  # by time.monotonic()
        self._ended = threading.Event()

    def _new_runner(self) -> JobRunner:
        return JobRunner(
            self.queues,
            name=self.name,
            connection=self.connection,
            job_class=self.job_class,
            queue_class=self.queue_class,
            prepare_for_work=False,
            serializer=self.serializer,
            exception_handlers=self._exc_handlers,
        )

    # --- In the main thread ---

    def work(self, burst=False, logging_level=None, max_jobs=None, max_idle_time=None, with_scheduler=False, **kwargs):
        """Run jobs until a stop is requested (SIGTERM, SIGINT), and in burst mode until the queue is empty.

        Returns whether any job was run. An unavailable Redis does not end it.
        """
        self._install_signal_handlers()  # first: a registered worker is expected to shut down cleanly
        _start_thread("stop", self._watch_the_stop)
        self._persist(lambda: self.bootstrap(logging_level))
        if with_scheduler:
            self._persist(lambda: self._start_scheduler(burst, logging_level))
        tasks = [_start_thread(task.name, task.keep_on, self._stopping) for task in periodic.tasks()]
        for name, keep in periodic.companions().items():
            _start_thread(name, keep, self._ended)
        sidelines = [_start_thread(name, work, self._stopping) for name, work in periodic.sidelines().items()]
        with ThreadPoolExecutor(len(self._runners), thread_name_prefix="job") as pool:
            self._supervise(
                [pool.submit(self._work_in, runner, burst, max_jobs) for runner in self._runners], max_idle_time
            )
        _join(tasks, seconds=POLL_SECONDS)
        self._wait_for(sidelines)
        self._persist(self.teardown, attempts=1)
        if self._stop_asked_at < math.inf:
            metrics.close()  # while `_watch_the_stop` still enforces the deadline
        self._ended.set()
        return self._jobs_taken > 0

    def _supervise(self, loops: list[Future], max_idle_time: float | None):
        """Run until the runners' loops have ended. After a stop each ends with its job, bounded by the job's own
        deadline and by `_watch_the_stop`.
        """
        idle_since, jobs_seen = time.monotonic(), 0
        look_around = Periodic("the worker's heartbeat", self._look_around)
        try:
            while loops:
                look_around.attempt()
                if self._busy_runners or self._jobs_taken > jobs_seen:
                    idle_since, jobs_seen = time.monotonic(), self._jobs_taken
                if max_idle_time is not None and time.monotonic() - idle_since > max_idle_time:
                    self._stop_requested = True
                if self._stop_requested:
                    self._stopping.set()
                ended, loops = wait(loops, timeout=POLL_SECONDS, return_when=FIRST_EXCEPTION)
                for loop in ended:
                    loop.result()  # an unforeseen error in a loop ends the worker
        finally:
            self._stop_requested = True
            self._stopping.set()

    def _wait_for(self, sidelines: list[threading.Thread]):
        """Wait until they have ended what they began; after a stop `_watch_the_stop` sees to it that they do."""
        look_around = Periodic("the worker's heartbeat", self._look_around)
        while any(thread.is_alive() for thread in sidelines):
            look_around.attempt()
            _join(sidelines, seconds=POLL_SECONDS)

    # --- The runners' loop: each in a thread of its own ---

    def _work_in(self, runner: JobRunner, burst: bool, max_jobs: int | None):
        """Run one job after the other. The runner takes them itself, since handing a job from thread to thread takes
        longer than taking one. One runner at a time waits for a job, the others wait for that runner.
        """
        while True:
            with self._dequeueing:
                if self._stop_requested or (max_jobs is not None and self._jobs_taken >= max_jobs):
                    return
                taken = self._persist(lambda: self._dequeue(burst))
                if taken is not None:
                    runner.job = taken[0]
                    self._jobs_taken += 1
            if taken is not None:
                self._run_job(runner, *taken)
            elif burst:
                return

    def _dequeue(self, burst: bool):
        """Returns the next job and its queue; None when there is none, or none came within POLL_SECONDS."""
        try:
            if time.monotonic() >= self._suspension_due_at:
                self.check_for_suspension(burst)
                self._suspension_due_at = time.monotonic() + POLL_SECONDS
            return self._dequeue_from_one(burst) if len(self.queues) == 1 else self._dequeue_from_any(burst)
        except DequeueTimeout:
            return None
        except StopRequested:  # after `rq suspend`: burst mode does not wait for `rq resume`
            self._stop_requested = True
            return None

    def _dequeue_from_one(self, burst: bool):
        """Does what `dequeue_any` does, for one queue: without creating the queue again for each job, and in one round
        trip as long as there are jobs.
        """
        queue = self.queues[0]
        while taken := self._taken_from(queue):
            job_id, fields = taken
            if job := self._restored(job_id, dict(zip(fields[::2], fields[1::2], strict=True))):
                return job, queue
            if self._stop_requested:
                return None
        if burst:
            return None
        _, job_id = queue.lmove(self.connection, queue.key, POLL_SECONDS)
        job = self._restored(job_id, self.connection.hgetall(Job.key_for(job_id.decode())))
        return job and (job, queue)

    def _taken_from(self, queue: Queue) -> list | None:
        """Returns the id of the next job, which is on the intermediate list now, and the fields of the job's hash."""
        keys = (queue.key, queue.intermediate_queue_key)
        (reply,) = exchange(self.connection, ("EVAL", TAKE, 2, *keys, Job.redis_job_namespace_prefix))
        return reply

    def _restored(self, job_id: bytes, fields: dict[bytes, bytes]) -> Job | None:
        """Returns the job, as RQ's `fetch_job`; None for one that was deleted while it waited, or is not hopla's."""
        job = self.job_class(job_id.decode(), connection=self.connection, serializer=self.serializer)
        # Besides those, a job whose fields RQ would not have written is passed over.
        with unforeseen.survived("worker", f"reading job {job.id}"), suppress(NoSuchJobError):
            if not fields:
                raise NoSuchJobError
            job.restore(fields)
            return job
        self.connection.lrem(self.queues[0].intermediate_queue_key, 1, job_id)
        return None

    def _dequeue_from_any(self, burst: bool):
        return self.queue_class.dequeue_any(
            self._ordered_queues,
            None if burst else POLL_SECONDS,
            connection=self.connection,
            job_class=self.job_class,
            serializer=self.serializer,
            death_penalty_class=self.death_penalty_class,
        )

    def _run_job(self, runner: JobRunner, job, queue):
        with unforeseen.survived("worker", f"running job {job.id} to its end"):  # the reconciler retries its photo
            runner.run(job, queue)

    @property
    def _busy_runners(self) -> list[JobRunner]:
        return [runner for runner in self._runners if runner.job is not None]

    # --- Staying alive, and stopping ---

    def heartbeat(self, timeout=None, pipeline=None):
        super().heartbeat(LIVENESS_SECONDS, pipeline)

    def register_birth(self):
        if self.birth_date is None:
            super().register_birth()
            return
        # Register again after a flush or a failed start. RQ would refuse: a runner's heartbeat may have created the key
        # again, which then looks like another live worker of this name.
        with self.connection.pipeline() as pipeline:
            self.last_heartbeat = now()
            pipeline.delete(self.key)
            pipeline.hset(self.key, mapping=self.serialize())
            worker_registration.register(self, pipeline)
            pipeline.expire(self.key, LIVENESS_SECONDS)
            pipeline.execute()

    def _look_around(self):
        """Send the heartbeats of this worker and its jobs; due every POLL_SECONDS, however many jobs come."""
        if not self.connection.sismember(self.redis_workers_keys, self.key):  # Redis was flushed or restarted
            self.register_birth()
        self.heartbeat()
        busy = self._busy_runners
        if self.get_state() != WorkerStatus.SUSPENDED:
            self.set_state(WorkerStatus.BUSY if busy else WorkerStatus.IDLE)
        for runner in busy:
            if job := runner.job:
                runner.maintain_heartbeats(job)
        if self.should_run_maintenance_tasks:
            self.run_maintenance_tasks()

    def _shutdown(self):
        """Request a stop. The loops see it within POLL_SECONDS: raising out of a dequeue could lose a job."""
        self._stop_requested = True
        self._stop_asked_at = time.monotonic()

    def _watch_the_stop(self):
        """Enforce STOP_TIMEOUT_SECONDS, in its own thread: the main one may hang with Redis or the database."""
        wait = WATCH_SECONDS
        while not self._ended.wait(wait):
            left = self._stop_asked_at + settings.STOP_TIMEOUT_SECONDS - LEAVING_TAKES_SECONDS - time.monotonic()
            if left <= 0:
                self._leave_at_once()
            left_for_jobs = left - (1 - JOBS_SHARE_OF_STOP) * settings.STOP_TIMEOUT_SECONDS
            if left_for_jobs <= 0:
                periodic.call_stop_hooks()
            wait = min(WATCH_SECONDS, left_for_jobs if left_for_jobs > 0 else left)

    def request_force_stop(self, signum, frame):
        """Handle the second signal: exit at once."""
        if (now() - self._shutdown_requested_date).total_seconds() >= 1:  # a terminal and a parent may both forward one
            self._leave_at_once()

    def _leave_at_once(self):
        """Exit now. The reconciler of another worker, or of the next, picks up the jobs in flight."""
        last_resort = threading.Timer(1, os._exit, args=[1])  # writing to the log may hang as well
        last_resort.daemon = True
        last_resort.start()
        logger.warning("worker %s: stopped with %d jobs in flight", self.name, len(self._busy_runners))
        os._exit(1)

    def _persist(self, action, attempts=None):
        """Run the action and return its result, retrying while Redis is unavailable; None when stopped meanwhile."""
        while not self._stop_requested or attempts:
            try:
                return action()
            except RedisError as exc:
                logger.warning("Redis is unavailable (%s)", type(exc).__name__)
                if attempts == 1:
                    return None
                time.sleep(1)
        return None


def _start_thread(name: str, function, *arguments) -> threading.Thread:
    return threads.start(name, function, *arguments, on_error=partial(unforeseen.report, "worker", f"thread {name}"))


def _join(started: list[threading.Thread], *, seconds: float) -> None:
    """Wait for these threads to end, `seconds` in all."""
    deadline = time.monotonic() + seconds
    for thread in started:
        thread.join(timeout=max(0, deadline - time.monotonic()))


def live_workers(client: Redis) -> list[BaseWorker]:
    """Returns the workers on the default queue with a recent heartbeat. A killed one stays registered for a while."""
    workers = Worker.all(queue=Queue("default", connection=client))
    heard = [worker for worker in workers if worker.last_heartbeat]
    return [worker for worker in heard if (now() - worker.last_heartbeat).total_seconds() <= 2 * LIVENESS_SECONDS]
