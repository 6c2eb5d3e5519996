"""Probes for load balancers and orchestrators: is the process alive, and can hopla do its work?

They need no credentials, so the responses name what is unavailable and not why; the log says why.
"""

import logging
from concurrent.futures import Future, ThreadPoolExecutor, wait

import redis
from django.conf import settings
from django.db import connection
from django.http import HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from redis.backoff import NoBackoff
from redis.retry import Retry
from rq.suspension import is_suspended

from apps.common.jobs.worker import live_workers
from apps.common.redis.client import new_client
from apps.operations.metrics_page import metrics_page
from apps.tickets.delivery.pause import current_pause
from apps.tickets.storage.cloudinary import CredentialsError

logger = logging.getLogger(__name__)

DEADLINE_SECONDS = 1.5  # probes commonly give up after 2
RETRY_AFTER_SECONDS = 5


@never_cache
@require_safe
def healthz(request):
    """200 as long as this process is alive."""
    return HttpResponse("ok\n", content_type="text/plain")


@never_cache
@require_safe
def readyz(request):
    """200 when tickets can be opened and photos accepted and uploaded, else 503. `checks` has `ok` or what is wrong."""
    checks = look_around()
    if all(outcome == "ok" for outcome in checks.values()):
        return JsonResponse({"status": "ready", "checks": checks})
    return JsonResponse(
        {"status": "not ready", "checks": checks}, status=503, headers={"Retry-After": str(RETRY_AFTER_SECONDS)}
    )


def look_around() -> dict[str, str]:
    """`ok`, or what is wrong, for each thing that hopla needs; within DEADLINE_SECONDS."""
    futures = {name: executor.submit(check) for name, (executor, check) in CHECKS.items()}
    wait(futures.values(), timeout=DEADLINE_SECONDS)
    return {name: _outcome(name, future) for name, future in futures.items()}


def _outcome(name: str, future: Future) -> str:
    if not future.done():
        future.cancel()  # a check that waits behind a hanging one need not run
        return f"no answer within {DEADLINE_SECONDS} seconds"
    if error := future.exception():
        logger.warning("not ready: %s: %r", name, error)
        return str(error) if isinstance(error, NotReady) else "cannot be reached"
    return "ok"


class ProbesMiddleware:
    """Responds to probes before all other middleware: they come to an IP address, which is not an allowed host."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        probe = {"/healthz": healthz, "/readyz": readyz, "/metrics": metrics_page}.get(request.path_info)
        return probe(request) if probe else self.get_response(request)


class NotReady(Exception):
    """A check failed; the text may be shown to anyone."""


def check_database():
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    finally:
        connection.close()


def check_queue():
    _ping(settings.REDIS_URL)


def check_staging():
    _ping(settings.STAGING_REDIS_URL)


def _ping(url: str):
    with _redis(url) as client:
        client.ping()


def check_worker():
    with _redis(settings.REDIS_URL) as client:
        alive = live_workers(client)
        suspended = is_suspended(client)
    if not alive:
        raise NotReady("no live worker on the default queue")
    if suspended:
        raise NotReady("the workers are suspended: rqresume lets them go on")


def check_cloudinary():
    """Reads from Redis what the worker that was refused wrote there; it expires when the next attempt is due."""
    try:
        pause = current_pause()
    except redis.RedisError:
        return  # the check of Redis reports it
    if pause is not None and pause.code == CredentialsError.code:
        raise NotReady("Cloudinary refuses the credentials in CLOUDINARY_URL")


def _redis(url: str) -> redis.Redis:
    once = Retry(NoBackoff(), retries=0)
    return new_client(url, socket_connect_timeout=DEADLINE_SECONDS, socket_timeout=DEADLINE_SECONDS, retry=once)


# One thread for each check: a check that hangs delays neither the others nor the response, and does not hang twice.
CHECKS = {
    name: (ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"readyz-{name}"), check)
    for name, check in (
        ("database", check_database),
        ("redis", check_queue),
        ("staging", check_staging),
        ("worker", check_worker),
        ("cloudinary", check_cloudinary),
    )
}
