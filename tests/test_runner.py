import json
import pickle
import subprocess
import sys
import threading
from types import SimpleNamespace
from unittest import TestCase as PlainTestCase
from unittest import TestResult

import django_rq
import redis
from django.conf import settings
from django.contrib.auth import get_user_model
from django.test import SimpleTestCase, TransactionTestCase

from tests.runner import Counting, RemoteResult, redis_url_for, report_of


class ProcessTests(TransactionTestCase):
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
