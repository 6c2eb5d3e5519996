"""The queue that the worker drains, and the concurrency limit of the jobs that it runs.

Jobs are JSON, and each names one of hopla's own functions, marked with `job_function`: an attacker who can write to
Redis can run hopla's jobs but no code of their own. RQ by default reads pickles, which can run any code when they are
loaded, and calls any function that a job names.

Private parts of rq 2.12.0: `rq.serializers.DefaultSerializer`, `rq.job.Job._deserialize_data`,
`rq.Queue.redis_queues_keys`, `.redis_queue_namespace_prefix`.
"""

import logging
import zlib
from collections.abc import Callable
from datetime import datetime
from functools import cached_property
from itertools import chain

import django_rq
from django.conf import settings
from rq import Queue
from rq.exceptions import DeserializationError, NoSuchJobError
from rq.job import Job, JobStatus
from rq.serializers import DefaultSerializer, JSONSerializer
from rq.utils import now, utcformat

from apps.common.jobs.concurrency_limit import ConcurrencyLimit
from apps.common.redis.client import redis_at
from apps.common.redis.wire import exchange

logger = logging.getLogger(__name__)

# RQ falls back to its default serializer in a dozen places where none is passed on: registries, results, scheduler, the
# queues of its pool. So the default itself is made JSON. There are no callbacks either, which RQ would import and call
# by any name that a job in Redis gives. hopla/apps.py applies this in every process.
DefaultSerializer.dumps = staticmethod(JSONSerializer.dumps)
DefaultSerializer.loads = staticmethod(JSONSerializer.loads)
Job.success_callback = Job.failure_callback = Job.stopped_callback = None

# A job that waits for an external server, such as Cloudinary, gives its turn back meanwhile. It keeps its turn while it
# waits for Redis and the database, 10 ms for a photo, so there are more turns than jobs that compute at a time.
jobs = ConcurrencyLimit(3)


class NotAJobError(Exception):
    """A job names a function that is not marked with `job_function`."""


def job_function(function: Callable) -> Callable:
    """Mark a function as one that jobs may run. Its arguments must be serializable as JSON."""
    function.is_job = True
    return function


class KnownJob(Job):
    """The class of the jobs in RQ_QUEUES (settings.RQ): JSON, of a marked function. Others are not run."""

    @classmethod
    def create(cls, func, *args, **kwargs):
        if not getattr(func, "is_job", False):
            raise NotAJobError(f"{func!r} is not marked with job_function, so no worker would run it.")
        return super().create(func, *args, **kwargs)

    @property
    def func(self):
        function = None if self.instance else super().func
        if not getattr(function, "is_job", False):
            raise NotAJobError(f"{self.func_name} is not marked with job_function.")
        return function

    def restore(self, raw_data):
        """Load the job. Deletes one that is not JSON and raises NoSuchJobError: an earlier hopla or another program
        queued it. The reconciler queues the photos and e-mails of such jobs again.
        """
        super().restore(raw_data)
        try:
            self._deserialize_data()
        except DeserializationError as exc:
            logger.warning("job %s: discarded unread, for it is not JSON", self.id)
            self.connection.delete(self.key)
            raise NoSuchJobError(f"{self.id} is not JSON") from exc


def default_queue() -> Queue:
    """Returns the default queue. It enqueues at once, also in a transaction: use on_commit to wait for the commit."""
    return django_rq.get_queue("default", connection=redis_at(settings.REDIS_URL), commit_mode="auto")


class JobTemplate:
    """Jobs of one function that takes one string. `options` are those of RQ's `Queue.enqueue`.

    Every photo has such a job. Creating and sending one takes RQ 0.3 ms of CPU time, most of it for what is the same in
    all of them; here RQ creates that once.
    """

    def __init__(self, function: Callable[[str], None], **options):
        self._function = function
        self._options = options

    def enqueue(
        self, argument: str, *, job_id: str, again: bool = False, waiting_since: datetime | None = None
    ) -> None:
        """Enqueue a job at once. Raises RedisError.

        `again`: a job of this id may exist, lost or failed; its remains are deleted. With `waiting_since` the job goes
        to the front, and the queue stays in the order of `enqueued_at`.
        """
        pattern, fields = self._pattern
        moment = utcformat(now())
        fields = fields | {
            "created_at": moment,
            "enqueued_at": utcformat(waiting_since) if waiting_since else moment,
            "data": zlib.compress(pattern.serializer.dumps((pattern.func_name, None, (argument,), {}))),
            "description": fields["description"].replace(repr(PLACEHOLDER), repr(argument)),
        }
        before = []
        if again:
            before = [("DEL", Job.key_for(job_id)), ("ZREM", default_queue().failed_job_registry.key, job_id)]
        exchange(
            redis_at(settings.REDIS_URL),
            ("MULTI",),
            *before,
            ("SADD", Queue.redis_queues_keys, Queue.redis_queue_namespace_prefix + pattern.origin),
            ("HSET", Job.key_for(job_id), *chain.from_iterable(fields.items())),
            ("LPUSH" if waiting_since else "RPUSH", Queue.redis_queue_namespace_prefix + pattern.origin, job_id),
            ("EXEC",),
        )

    @staticmethod
    def which_wait(job_ids: list[str]) -> set[str]:
        """Returns which of these jobs are on the queue, without reading the queue. Raises RedisError.

        A job whose hash says that it is queued, but for longer than the first on the queue, is not there: a worker was
        killed as it took it, or the list was lost.
        """
        redis, queue = redis_at(settings.REDIS_URL), default_queue()
        with redis.pipeline(transaction=False) as pipeline:
            pipeline.lindex(queue.key, 0)
            for job_id in job_ids:
                pipeline.hmget(Job.key_for(job_id), "status", "enqueued_at")
            first, *jobs = pipeline.execute()
        if first is None:
            return set()
        since = redis.hget(Job.key_for(first.decode()), "enqueued_at") or b""
        return {
            job_id
            for job_id, (status, enqueued_at) in zip(job_ids, jobs, strict=True)
            if status == JobStatus.QUEUED.value.encode() and (enqueued_at or b"") >= since
        }

    @cached_property
    def _pattern(self) -> tuple[Job, dict]:
        job = default_queue().create_job(self._function, args=(PLACEHOLDER,), **self._options)
        job.enqueued_at = job.created_at
        return job, job.to_dict()


PLACEHOLDER = "{argument}"
