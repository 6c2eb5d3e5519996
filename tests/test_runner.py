import json
import pickle
import re
import subprocess
import sys
import threading
from types import SimpleNamespace
from unittest import TestCase as PlainTestCase
from unittest import TestResult, TestSuite

import django_rq
import redis
from django.conf import settings
from django.contrib.auth import get_user_model
from django.test import SimpleTestCase, TestCase, tag

from script.run_tests import EXPECTED_SKIPS
from tests.flush import FlushedTestCase
from tests.runner import (
    Counting,
    HoplaParallelTestSuite,
    HoplaTestRunner,
    RemoteResult,
    is_without_database,
    redis_url_for,
    report_of,
)


class SkipTests(SimpleTestCase):
    def test_reasons_that_name_a_database_are_expected_on_the_other_one(self):
        """An unexpected skip fails CI, and a part of the suite may run on SQLite for the first time."""
        sources = "".join(path.read_text() for path in (settings.BASE_DIR / "tests").rglob("test_*.py"))
        expected = {"postgresql": EXPECTED_SKIPS["sqlite"], "sqlite": EXPECTED_SKIPS["postgres"]}
        reasons = re.findall(r'skipUnless\(connection\.vendor == "(\w+)", "(.*)"\)', sources)
        self.assertGreater(len(reasons), 20)
        for database, reason in reasons:
            with self.subTest(reason):
                self.assertTrue(reason.startswith(expected[database]))


class ProcessTests(FlushedTestCase):
    def test_processes_share_no_redis_database(self):
        urls = {redis_url_for(number) for number in range(4)}
        self.assertEqual(len(urls), 4)

    def test_queue_and_staging_use_the_database_of_this_process(self):
        django_rq.get_connection("default").set("left-by-a-test", "1")
        with redis.Redis.from_url(settings.STAGING_REDIS_URL) as client:
            self.assertEqual(client.getdel("left-by-a-test"), b"1")
        self.assertEqual(settings.REDIS_URL, settings.STAGING_REDIS_URL)

    def test_process_started_by_a_test_sees_its_database_and_redis(self):
        get_user_model().objects.create_user("seen-from-outside", "seen@example.com")
        source = (
            "import json; from django.conf import settings; from django.contrib.auth import get_user_model;"
            "print(json.dumps([settings.REDIS_URL, get_user_model().objects.get().username]))"
        )
        command = [sys.executable, "manage.py", "shell", "--no-imports", "-c", source]
        answer = subprocess.run(command, cwd=settings.BASE_DIR, capture_output=True, text=True, check=True)
        self.assertEqual(json.loads(answer.stdout), [settings.REDIS_URL, "seen-from-outside"])


class HoldsAServer(PlainTestCase):
    def fails_in_a_subtest(self):
        self.server = threading.Lock()
        with self.subTest(number=1):
            self.fail()


class RemoteResultTests(SimpleTestCase):
    def test_failed_subtest_of_a_test_that_holds_a_server_can_be_sent(self):
        result = RemoteResult()

        HoldsAServer("fails_in_a_subtest")(result)

        (sent,) = [event[2] for event in pickle.loads(pickle.dumps(result.events)) if event[0] == "addSubTest"]
        self.assertIn("HoldsAServer.fails_in_a_subtest", sent.id())
        self.assertIn("number=1", str(sent))


class OrderTests(SimpleTestCase):
    def order(self, *classes) -> list[list[str]]:
        subsuites = [TestSuite(map(kind, kind.names)) for kind in classes]
        return [[str(test).split()[0] for test in portion] for portion in HoplaParallelTestSuite(subsuites, 2)]

    def test_classes_of_most_tests_begin_once_those_are_done_that_are_rolled_back(self):
        class Long(FlushedTestCase):
            names = ["a", "b", "c"]
            a = b = c = None

        class Short(Long):
            names = ["a"]

        class RolledBack(TestCase):
            names = ["d"]
            d = None

        self.assertEqual(self.order(Short, RolledBack, Long), [["d"], ["a", "b", "c"], ["a"]])

    def test_slow_tests_that_share_nothing_run_side_by_side(self):
        @tag("slow")
        class Alone(SimpleTestCase):
            names = ["a", "b"]
            a = b = None

        class Sharing(Alone):
            @classmethod
            def setUpClass(cls):
                super().setUpClass()

        self.assertEqual(self.order(Sharing, Alone), [["a", "b"], ["a"], ["b"]])


class WithDatabaseOnlyTests(SimpleTestCase):
    def test_tests_without_a_database_are_left_out(self):
        found = HoplaTestRunner(with_database_only=True).load_tests_for_label("tests.test_runner", {})

        classes = {type(test).__name__ for test in found}
        self.assertIn("ProcessTests", classes)
        self.assertNotIn("OrderTests", classes)

    def test_module_that_cannot_be_imported_is_not_left_out(self):
        self.assertFalse(is_without_database(PlainTestCase()))


class ReportTests(SimpleTestCase):
    def report(self, *tests) -> dict:
        result = type("CountingResult", (Counting, TestResult), {})()
        for test in tests:
            test(result)
        return report_of(result)

    def test_every_outcome_is_counted_once(self):
        class Example(PlainTestCase):
            def passes(self):
                pass

            def fails_in_two_subtests(self):
                for number in (1, 2):
                    with self.subTest(number=number):
                        self.fail()

            def breaks(self):
                raise KeyError

            def skips(self):
                self.skipTest("needs a moon")

        report = self.report(*(Example(name) for name in ("passes", "fails_in_two_subtests", "breaks", "skips")))
        counts = SimpleNamespace(**report)
        self.assertEqual((counts.passed, counts.failed, counts.skipped), (1, 2, 1))
        self.assertEqual(list(counts.skips.values()), ["needs a moon"])
