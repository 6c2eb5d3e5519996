"""Django's test runner for hopla's tests: each process has its own database and its own Redis database.

Redis has no test databases like Django's, so the last logical databases of the server at REDIS_URL are used, one for
each process, emptied before the tests run. Programs that a test starts find the same databases in their environment.

Private parts of Django 5.2.19: `django.test.runner._init_worker`, `._worker_id`, `django.test.runner.RemoteTestResult`,
`.RemoteTestRunner`, `.ParallelTestSuite`,
`django.db.backends.base.creation.BaseDatabaseCreation._test_serialized_contents`.
"""

import gc
import json
import logging
import os
import tempfile
from pathlib import Path
from unittest import TestSuite, TextTestResult
from urllib.parse import quote, urlsplit, urlunsplit

import redis
from django.conf import settings
from django.db import connections
from django.test import SimpleTestCase, TestCase
from django.test import runner as django_runner
from django.test.runner import DiscoverRunner, ParallelTestSuite, RemoteTestResult, RemoteTestRunner
from django.test.utils import iter_test_cases

from apps.common.redis import client

PATIENCE_SECONDS = 15


class HoplaTestRunner(DiscoverRunner):
    """Counts are written as JSON to the file that HOPLA_TEST_REPORT names, if it does: see `report_of`. The file that
    HOPLA_TEST_PROGRESS names says how far the tests are: see `Counting`.
    """

    def __init__(self, *args, with_database_only: bool = False, **kwargs):
        super().__init__(*args, **kwargs)
        self.with_database_only = with_database_only

    @classmethod
    def add_arguments(cls, parser):
        super().add_arguments(parser)
        parser.add_argument(
            "--with-database-only", action="store_true", help="Leave out the tests that Django lets reach no database."
        )

    def load_tests_for_label(self, label, discover_kwargs):
        tests = super().load_tests_for_label(label, discover_kwargs)
        if not self.with_database_only:
            return tests
        return TestSuite(test for test in iter_test_cases(tests) if not is_without_database(test))

    def setup_databases(self, **kwargs):
        """Creates the test databases; SQLite's in a temporary file, since threads cannot share one in memory."""
        workers, self.parallel = self.parallel, 0
        self.sqlite_folder = tempfile.TemporaryDirectory(prefix="hopla-tests-")
        for connection in connections.all():
            if connection.vendor == "sqlite" and not connection.settings_dict["TEST"]["NAME"]:
                connection.settings_dict["TEST"]["NAME"] = str(Path(self.sqlite_folder.name) / "test.sqlite3")
        created = super().setup_databases(**kwargs)
        self.parallel = workers
        if workers > 1:
            clone_databases(created, count=workers, verbosity=self.verbosity)
        prepare_process(0)
        return created

    def teardown_databases(self, old_config, **kwargs):
        super().teardown_databases(old_config, **kwargs)
        self.sqlite_folder.cleanup()

    def get_resultclass(self):
        return type("CountingResult", (Counting, super().get_resultclass() or TextTestResult), {})

    def run_suite(self, suite, **kwargs):
        Counting.total = suite.countTestCases()
        return super().run_suite(suite, **kwargs)

    def suite_result(self, suite, result, **kwargs):
        if path := os.environ.get("HOPLA_TEST_REPORT"):
            Path(path).write_text(json.dumps(report_of(result)))
        return super().suite_result(suite, result, **kwargs)


def is_without_database(test) -> bool:
    return isinstance(test, SimpleTestCase) and not test.databases


class Counting:
    """Mixin of unittest results that counts passed tests, which unittest does not. After each test the file of
    HOPLA_TEST_PROGRESS contains `<done> <total> <failed>`.
    """

    total = 0

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.passed = 0

    def stopTest(self, test):
        super().stopTest(test)
        if path := os.environ.get("HOPLA_TEST_PROGRESS"):
            failed = len(self.failures) + len(self.errors)
            Path(path).write_text(f"{self.testsRun} {self.total} {failed}")

    def addSuccess(self, test):
        super().addSuccess(test)
        self.passed += 1

    def addExpectedFailure(self, test, err):
        super().addExpectedFailure(test, err)
        self.passed += 1


def report_of(result: Counting) -> dict:
    """`{passed, failed, skipped, skips: {test: reason}}`; a test counts once, however many of its subtests failed."""
    failed = {_test_id(test) for test, _ in result.failures + result.errors}
    failed |= {_test_id(test) for test in result.unexpectedSuccesses}
    skips = {_test_id(test): reason for test, reason in result.skipped}
    return {"passed": result.passed, "failed": len(failed), "skipped": len(skips), "skips": skips}


def _test_id(test) -> str:
    return getattr(test, "test_case", test).id()  # a subtest refers to its test


# --- One process ---


def prepare_process(number: int) -> None:
    """Points this process at its own Redis database, emptied. `number`: 0 for the first process, 1… for its workers."""
    url = redis_url_for(number)
    with redis.Redis.from_url(url) as emptied:
        emptied.flushdb()
    settings.REDIS_URL = settings.STAGING_REDIS_URL = url
    settings.RQ_QUEUES["default"]["URL"] = url
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # fast; no secret is at stake
    settings.STATIC_ROOT = None  # tests collect no static files, and whitenoise would warn about the missing folder
    settings.WHITENOISE_AUTOREFRESH = True  # or each new client would look at all static files before its first request
    settings.THROTTLE_RATES = {}  # all tests come from one address; those of the limits set their own
    for handler in logging.getLogger().handlers:
        handler.setLevel(logging.CRITICAL)  # expected refusals are not shown; assertLogs has its own handler
    be_patient_with_servers()
    os.environ |= {"REDIS_URL": url, "STAGING_REDIS_URL": url, "DATABASE_URL": database_url()}
    gc.freeze()  # what is loaded by now stays: looking through it again and again took a tenth of the CPU time


def be_patient_with_servers() -> None:
    """On a busy machine they take longer to answer than hopla waits, and are not away. Its own processes, which tests
    start, wait as in production.
    """
    client.CONNECT_SECONDS = client.ANSWER_SECONDS = PATIENCE_SECONDS
    client.redis_at.cache_clear()
    for connection in connections.all():
        options = connection.settings_dict["OPTIONS"]
        if "pool" in options:
            connection.close()
            connection.close_pool()
            options["connect_timeout"] = options["pool"]["timeout"] = PATIENCE_SECONDS


def redis_url_for(number: int) -> str:
    """The server's last database for process 0, the one before it for process 1, and so on."""
    with redis.Redis.from_url(settings.REDIS_URL) as asked:
        databases = int(asked.config_get("databases")["databases"])
    if number >= databases:
        raise SystemExit(f"Redis has {databases} databases, too few for so many processes: lower --parallel.")
    chosen = databases - 1 - number
    if settings.REDIS_URL.startswith("unix:"):
        return f"{settings.REDIS_URL.partition('?')[0]}?db={chosen}"
    return urlunsplit(urlsplit(settings.REDIS_URL)._replace(path=f"/{chosen}"))


def database_url() -> str:
    """Returns DATABASE_URL with the test database of this process instead of the real one."""
    name = quote(str(connections["default"].settings_dict["NAME"]))
    if connections["default"].vendor == "sqlite":
        return f"sqlite:///{name}"
    parts = urlsplit(settings.DATABASE_URL)
    return urlunsplit(parts._replace(path=f"{parts.path.rpartition('/')[0]}/{name}"))


# --- Several processes ---


def clone_databases(created: list, *, count: int, verbosity: int) -> None:
    """One copy for each worker process, as Django would, but of a closed database: of SQLite's it copies one file, and
    what was just created would still lie in the write-ahead log beside it."""
    for connection, _, is_first in created:
        connection.close()
        for number in range(1, count + 1) if is_first else ():
            connection.creation.clone_test_db(suffix=str(number), verbosity=verbosity)


def init_worker(counter, initial_settings, serialized_contents, setup, setup_arguments, debug_mode, used_aliases):
    """Django's own, but for the databases: its way for a spawned process knows no SQLite database in a file."""
    django_runner._init_worker(
        counter, initial_settings, serialized_contents, setup, setup_arguments, debug_mode, used_aliases=()
    )
    number = django_runner._worker_id
    for alias in connections if used_aliases is None else used_aliases:
        connection = connections[alias]
        connection.settings_dict.update((initial_settings or {}).get(alias, {}))
        if serialized := (serialized_contents or {}).get(alias):
            connection._test_serialized_contents = serialized
        connection.settings_dict.update(connection.creation.get_test_db_clone_settings(str(number)))
        connection.close()
    prepare_process(number)


class RemoteResult(RemoteTestResult):
    """Sends a failed subtest with a bare copy of its test: what one holds on to, such as a server, cannot be sent."""

    def addSubTest(self, test, subtest, err):
        subtest.test_case = type(test)(test._testMethodName)
        super().addSubTest(test, subtest, err)


class RemoteRunner(RemoteTestRunner):
    resultclass = RemoteResult


class HoplaParallelTestSuite(ParallelTestSuite):
    """Of the classes whose tests commit, those with most tests begin, so that the last ones to end are short."""

    init_worker = init_worker
    runner_class = RemoteRunner

    def __init__(self, subsuites, *args, **kwargs):
        portions = [portion for subsuite in subsuites for portion in portions_of(subsuite)]
        super().__init__(sorted(portions, key=place_in_queue), *args, **kwargs)


def portions_of(subsuite) -> list:
    """The tests of a class one by one, if they are slow and share nothing; else all together."""
    tests = list(subsuite)
    shares = type(tests[0]).setUpClass.__func__.__module__.startswith("tests.")
    slow = all("slow" in getattr(test, "tags", ()) for test in tests)
    return [type(subsuite)([test]) for test in tests] if slow and not shares else [subsuite]


def place_in_queue(portion) -> tuple[bool, int]:
    tests = list(portion)
    commits = not isinstance(tests[0], TestCase)
    return commits, -len(tests) * commits


HoplaTestRunner.parallel_test_suite = HoplaParallelTestSuite
