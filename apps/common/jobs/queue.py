"""The queue that the plain worker drains, and the turns of the jobs that it runs side by side.

Jobs are JSON, and each names one of hopla's own functions, those marked with `job_function`: whoever can write to Redis
can have hopla's jobs run, and no code of their own. RQ by itself takes pickles, which run what they like when they are
read, and calls any function that a job names.

Private parts of rq 2.12.0: `rq.serializers.DefaultSerializer`, `rq.job.Job._deserialize_data`,
`rq.Queue.redis_queues_keys`, `.redis_queue_namespace_prefix`.
"""

import logging
import zlib
from collections.abc import Callable
from datetime import datetime
from functools import cached_property

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

# RQ falls back to its default in a dozen places where no serializer is passed on: its registries, results, scheduler,
# the queues of its pool. So it is the default itself that is JSON. Neither are there callbacks, which RQ would import
# and call by whatever name a job in Redis gives them. hopla/apps.py sees to it that every process has this.
DefaultSerializer.dumps = staticmethod(JSONSerializer.dumps)
DefaultSerializer.loads = staticmethod(JSONSerializer.loads)
Job.success_callback = Job.failure_callback = Job.stopped_callback = None

# A job that waits for a server which is not hopla's own, such as Cloudinary, gives its turn back meanwhile. While it
# waits for Redis and the database it keeps it, 10 ms for a photo: more turns than are worked in at a time.
jobs = ConcurrencyLimit(3)


class NotAJobError(Exception):
    """A job names a function that is not marked with `job_function`."""


def job_function(function: Callable) -> Callable:
    """Mark a function as one that jobs may run. Its arguments have to be such as JSON can carry."""
    function.is_job = True
    return function


class KnownJob(Job):
    """What RQ_QUEUES' jobs are (settings.RQ): JSON, of a marked function. Others are not run."""

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
        """Raises NoSuchJobError for one that is no JSON, and deletes it: an earlier hopla queued it, or somebody
        else did. The reconciler queues the photos and e-mails anew that such jobs were for.
        """
        super().restore(raw_data)
        try:
            self._deserialize_data()
        except DeserializationError as exc:
            logger.warning("job %s: discarded unread, for it is not JSON", self.id)
            self.connection.delete(self.key)
            raise NoSuchJobError(f"{self.id} is not JSON") from exc


def default_queue() -> Queue:
    """Enqueues at once, also inside a transaction: whoever must wait for the commit says so with on_commit."""
    return django_rq.get_queue("default", connection=redis_at(settings.REDIS_URL), commit_mode="auto")


class JobTemplate:
    """Jobs of one function that takes one string. `options` are those of RQ's `Queue.enqueue`.

    Every photo has such a job. Making and sending one takes RQ 0.3 ms of processor time, most of it for what is the
    same in all of them; here that is made once, by RQ.
    """

    def __init__(self, function: Callable[[str], None], **options):
        self._function = function
        self._options = options

    def enqueue(
        self, argument: str, *, job_id: str, again: bool = False, waiting_since: datetime | None = None
    ) -> None:
        """Put a job on the queue, at once. Raises RedisError.

        `again`: there may have been a job of this id, which was lost or has failed; nothing is left of it. With
        `waiting_since` it goes to the front: the queue stays in the order of `enqueued_at`.
        """
        pattern, fields = self._pattern
        moment = now()
        fields = fields | {
            "created_at": utcformat(moment),
            "enqueued_at": utcformat(waiting_since or moment),
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
            ("HSET", Job.key_for(job_id), *(each for field in fields.items() for each in field)),
            ("LPUSH" if waiting_since else "RPUSH", Queue.redis_queue_namespace_prefix + pattern.origin, job_id),
            ("EXEC",),
        )

    @staticmethod
    def which_wait(job_ids: list[str]) -> set[str]:
        """Those of these jobs that are on the queue, without reading it. Raises RedisError.

        A job whose hash says so is not there all the same if it has been there for longer than the first one: a worker
        was killed as it took it, or the list was lost.
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
