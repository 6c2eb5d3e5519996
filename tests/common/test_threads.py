import os
import threading

from django.test import SimpleTestCase

from apps.common import threads
from apps.common.observability import metrics
from tests.case import HoplaAssertions


def exit_code_of_fork(run) -> int:
    """Call `run` in a forked process, which exits with 0 if it returns something true."""
    if pid := os.fork():
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    try:
        os._exit(0 if run() else 1)
    finally:
        os._exit(2)


class StartTests(HoplaAssertions, SimpleTestCase):
    def test_function_that_lets_an_error_out_is_called_again_until_it_returns(self):
        calls, errors = [], []

        def function(argument):
            calls.append(argument)
            if len(calls) < 3:
                raise AttributeError(len(calls))

        before, threads.AGAIN_AFTER_SECONDS = threads.AGAIN_AFTER_SECONDS, 0.001
        self.addCleanup(setattr, threads, "AGAIN_AFTER_SECONDS", before)
        thread = threads.start("test", function, "argument", on_error=errors.append)
        thread.join(timeout=30)

        self.assertEqual(calls, ["argument"] * 3)
        self.assertEqual([str(error) for error in errors], ["1", "2"])
        self.assertTrue(thread.daemon)


class DaemonTests(HoplaAssertions, SimpleTestCase):
    def setUp(self):
        self.calls, self.errors, self.raising = 0, [], False
        self.daemon = threads.Daemon("test", self.function, every_seconds=0.001, on_error=self.errors.append)
        before, threads.AGAIN_AFTER_SECONDS = threads.AGAIN_AFTER_SECONDS, 0.001
        self.addCleanup(setattr, threads, "AGAIN_AFTER_SECONDS", before)
        self.addCleanup(setattr, self.daemon, "every_seconds", 60 * 60)  # its thread ends with the process

    def function(self):
        self.calls += 1
        if self.raising:
            self.raising = False
            raise AttributeError("nobody has foreseen this")

    def wait_for_calls(self) -> bool:
        before = self.calls
        self.wait_until(lambda: self.calls > before + 1)
        return True

    def test_one_thread_calls_it_over_and_over(self):
        barrier, started = threading.Barrier(8), []

        def ensure():
            barrier.wait(timeout=30)
            started.append(self.daemon.ensure_started())

        users = [threading.Thread(target=ensure) for _ in range(8)]
        for user in users:
            user.start()
        for user in users:
            user.join(timeout=30)

        self.assertEqual(sorted(started), [False] * 7 + [True])
        self.wait_for_calls()

    def test_it_outlives_an_error_that_it_reports(self):
        self.daemon.ensure_started()
        self.raising = True
        self.wait_until(lambda: self.errors)

        self.wait_for_calls()

        self.assertEqual([str(error) for error in self.errors], ["nobody has foreseen this"])

    def test_forked_process_starts_its_own(self):
        self.daemon.ensure_started()
        self.wait_for_calls()

        code = exit_code_of_fork(lambda: self.daemon.ensure_started() and self.wait_for_calls())

        self.assertEqual(code, 0)

    def test_forked_process_starts_its_own_though_the_parent_was_just_starting_one(self):
        with self.daemon._starting:
            code = exit_code_of_fork(lambda: self.daemon.ensure_started() and self.wait_for_calls())

        self.assertEqual(code, 0)


class MetricsTests(HoplaAssertions, SimpleTestCase):
    def test_sums_that_cannot_be_added_up_are_reported_and_counted(self):
        key = ("hopla_unforeseen_errors", ("metrics",), "")
        before = metrics.totals().get(key, 0)
        with self.assertLogs("apps.common.observability.metrics", "ERROR"):
            metrics._sums.report(AttributeError())

        self.assertEqual(metrics.totals()[key], before + 1)
