"""Base classes of the tests that call the API or check its effects."""

import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from unittest import mock

from django.conf import settings
from django.db import connection, connections, transaction
from django.test import TestCase, override_settings
from django.utils import translation
from redis import Redis
from rq import Queue

from apps.common.jobs.concurrency_limit import ConcurrencyLimit
from apps.common.redis.client import redis_at
from apps.tickets.delivery.job import deliver_photo
from apps.tickets.models import Image, Ticket
from apps.tickets.staging import store
from apps.tickets.staging.servers import all_servers
from tests.flush import FlushedTestCase
from tests.makers import client_for

PROBLEM_FIELDS = {"type", "title", "status", "detail", "code", "request_id"}


class HoplaAssertions:
    """Mixin of TestCases. Redis is empty when a test begins, the language is the default, whatever the last request of
    another test asked for, and `self.client` is not logged in."""

    def setUp(self):
        super().setUp()
        translation.deactivate()
        for client in {redis_at(settings.REDIS_URL), *(server.client for server in all_servers())}:
            client.flushdb()
        self.client = client_for()

    def assert_problem(self, response, status: int, code: str) -> dict:
        """Assert that the response is a complete problem document with this status and code. Returns its body."""
        self.assertEqual(response.status_code, status, response.content)
        self.assertEqual(response["Content-Type"], "application/problem+json")
        body = response.json()
        self.assertEqual(body["code"], code)
        self.assertEqual(body["status"], status)
        self.assertEqual(body["request_id"], response["X-Request-ID"])
        self.assertEqual(body.keys() - {"errors"}, PROBLEM_FIELDS)
        self.assertTrue(body["title"] and body["detail"])
        return body

    def assert_invalid(self, response, *fields: tuple[str | None, str]) -> None:
        """Assert a 400 that names exactly these (field, code) pairs, in any order."""
        body = self.assert_problem(response, 400, "invalid")
        self.assertCountEqual([(error["field"], error["code"]) for error in body["errors"]], fields)
        for error in body["errors"]:
            self.assertEqual(error.keys(), {"field", "code", "detail"})
            self.assertTrue(error["detail"])

    def assert_unauthenticated(self, response, code: str = "not_authenticated") -> None:
        self.assert_problem(response, 401, code)
        self.assertEqual(response["WWW-Authenticate"], "Token")

    def assert_nothing_kept(self, *, images: int = 0) -> None:
        """Assert that no row was added, no byte is staged, none of the budget is used and no job is queued."""
        self.assertEqual(Image.objects.count(), images)
        self.assertEqual(staged_photos(), [])
        self.assertEqual(store.bytes_in_use(), 0)
        self.assertEqual(default_queue().job_ids, [])

    def wait_until(self, condition, *, timeout_seconds: float = 60):
        """Returns the first true value of `condition()`; fails if there is none in that time."""
        deadline = time.monotonic() + timeout_seconds
        while not (value := condition()):
            self.assertLess(time.monotonic(), deadline, "it never came true")
            time.sleep(0.02)
        return value


class ApiTestCase(HoplaAssertions, TestCase):
    """Runs in one transaction that is rolled back; on_commit functions run only in `deliver`."""

    def deliver(self, image: Image) -> Image:
        """Run the image's job, and return the image as the database then has it."""
        with self.captureOnCommitCallbacks(execute=True):
            deliver_photo(str(image.pk))
        return Image.objects.get(pk=image.pk)


class CommittingTestCase(HoplaAssertions, FlushedTestCase):
    """Runs with real commits, for several threads or processes."""

    def after_waiting(self, function, *, ticket: Ticket, change):
        """What `function` returns in a thread that waits for the ticket's lock while `change` is made. PostgreSQL."""
        with ThreadPoolExecutor(1) as pool:
            with transaction.atomic():
                Ticket.objects.lock(ticket.pk)
                answer = pool.submit(_and_disconnect, function)
                self.wait_until(self._somebody_waits)
                change()
            return answer.result()

    def _somebody_waits(self) -> bool:
        return self.number_waiting() > 0

    def number_waiting(self) -> int:
        """How many connections wait for a lock. PostgreSQL."""
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_stat_clear_snapshot()")  # or a transaction sees what it saw first
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
            )
            return cursor.fetchone()[0]


def _and_disconnect(function, *arguments):
    """What it returns, called in a thread of its own, because its connections would stay open."""
    try:
        return function(*arguments)
    finally:
        connections.close_all()


def at_once(function, arguments) -> list:
    """`function` of each argument, in a thread each, which all start together. Returns the results in order."""
    arguments = list(arguments)
    together = threading.Barrier(len(arguments))

    def run(argument):
        together.wait(timeout=30)
        return _and_disconnect(function, argument)

    with ThreadPoolExecutor(len(arguments)) as pool:
        return list(pool.map(run, arguments))


@contextmanager
def one_turn(limit: str):
    """Inside, the ConcurrencyLimit of that name lets one thread work, and the others wait however long it takes. Yields
    it."""
    with (
        mock.patch(limit, ConcurrencyLimit(1)) as turns,
        mock.patch("apps.common.jobs.concurrency_limit.LONGEST_WAIT_SECONDS", 60),
    ):
        yield turns


def staged_photos() -> list[str]:
    """The ids of the photos of which bytes lie in staging."""
    books = {key.encode() for key in store.BUDGET_KEYS}
    keys = {key for server in all_servers() for key in server.client.scan_iter(f"{store.PREFIX}*")} - books
    return sorted(key.decode().removeprefix(store.PREFIX) for key in keys)


def staging_redis() -> Redis:
    """A client of the one server of staging, or of the first of several."""
    return all_servers()[0].client


def staging_away():
    """Inside, the servers of staging are configured with a wrong password, and so no photo can be put there or read."""
    urls = [re.sub("://([^/]*@)?", "://nobody:wrong@", server.url, count=1) for server in all_servers()]
    return override_settings(STAGING_REDIS_URL=",".join(urls))


def default_queue() -> Queue:
    return Queue("default", connection=redis_at(settings.REDIS_URL))
