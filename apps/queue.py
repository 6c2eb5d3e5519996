"""The queue that the plain worker drains."""

import django_rq
from django.conf import settings
from rq import Queue

from apps.redis_client import redis_at


def default_queue() -> Queue:
    """Enqueues at once, also inside a transaction: whoever must wait for the commit says so with on_commit."""
    return django_rq.get_queue("default", connection=redis_at(settings.REDIS_URL), commit_mode="auto")
