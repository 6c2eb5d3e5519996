"""Probes for load balancers and orchestrators: is the process alive, and can hopla do its work?

They need no credentials, so the responses name what is unavailable and not why; the log says why.
"""

import logging
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import cache

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
from apps.tickets.staging import servers as staging_servers
from apps.tickets.storage.cloudinary import CredentialsError

logger = logging.getLogger(__name__)

DEADLINE_SECONDS = 1.5  # probes commonly give up after 2
RETRY_AFTER_SECONDS = 5
TAKES_NO_WRITES = {redis.exceptions.OutOfMemoryError: "out of memory", redis.exceptions.ReadOnlyError: "read-only"}


@never_cache
@require_safe
def healthz(request):
    """200 as long as this process is alive."""
    return HttpResponse("ok\n", content_type="text/plain")


@never_cache
@require_safe
def readyz(request):
    """200 when tickets can be opened and photos accepted and uploaded, else 503. `checks` has `ok` or what is wrong.

    Of several servers of staging one is enough; `staging_servers` has each.
    """
    seen = look_around()
    is_ready = all(outcome == "ok" for outcome in seen.checks.values())
    body = {"status": "ready" if is_ready else "not ready", "checks": seen.checks}
    if len(seen.staging_servers) > 1:
        body["staging_servers"] = seen.staging_servers
    if is_ready:
        return JsonResponse(body)
    return JsonResponse(body, status=503, headers={"Retry-After": str(RETRY_AFTER_SECONDS)})


@dataclass(frozen=True)
class Seen:
    """`ok`, or what is wrong."""

    checks: dict[str, str]  # by each thing that hopla needs
    staging_servers: dict[str, str]  # by their names


def look_around() -> Seen:
    """Returns within DEADLINE_SECONDS how things are."""
    checks = {name: _thread_of(name).submit(check) for name, check in CHECKS.items()}
    pings = {
        server.name: _thread_of(f"staging {server.name}").submit(_try_to_write, server.url)
        for server in staging_servers.all_servers()
    }
    wait([*checks.values(), *pings.values()], timeout=DEADLINE_SECONDS)
    servers = {name: _outcome(f"staging {name}", ping) for name, ping in pings.items()}
    staging = "ok" if "ok" in servers.values() else next(iter(servers.values()))
    return Seen({name: _outcome(name, check) for name, check in checks.items()} | {"staging": staging}, servers)


def _outcome(name: str, future: Future) -> str:
    if not future.done():
        future.cancel()  # a check that waits behind a hanging one need not run
        return f"no answer within {DEADLINE_SECONDS} seconds"
    if error := future.exception():
        logger.warning("not ready: %s: %r", name, error)
        return str(error) if isinstance(error, NotReady) else TAKES_NO_WRITES.get(type(error), "cannot be reached")
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
    _try_to_write(settings.REDIS_URL)


def _try_to_write(url: str):
    """A Redis that is full, or has become a replica, still answers PING and refuses this, which changes nothing."""
    with _redis(url) as client:
        client.setrange("hopla:probe", 0, "")


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


CHECKS = {
    "database": check_database,
    "redis": check_queue,
    "worker": check_worker,
    "cloudinary": check_cloudinary,
}


@cache
def _thread_of(check: str) -> ThreadPoolExecutor:
    """One for each check: a check that hangs delays neither the others nor the response, and does not hang twice."""
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"readyz-{check}")
