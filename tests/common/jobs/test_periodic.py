import threading

from django.db import OperationalError
from django.test import SimpleTestCase
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from apps.common.jobs import periodic
from apps.common.jobs.periodic import Periodic
from apps.common.observability import metrics


class PeriodicTests(SimpleTestCase):
    def setUp(self):
        self.troubles = []  # each is raised once
        self.done = 0
        self.task = Periodic("sweeping", self.sweep, every_seconds=0.001)

    def sweep(self) -> int:
        if self.troubles:
            raise self.troubles.pop(0)
        self.done += 1
        return 7

    def attempts(self, number: int) -> list[str]:
        """What that many log, each as its level and first line."""
        with self.assertLogs("apps", "INFO") as log:
            for _ in range(number):
                self.task.attempt()
        return [f"{record.levelname} {record.getMessage()}" for record in log.records]

    def count(self, name: str, label: str) -> float:
        return metrics.totals().get((name, (label,), ""), 0)

    def test_what_it_did_is_returned(self):
        self.assertEqual(self.task.attempt(), 7)

    def test_servers_that_are_unavailable_are_told_of_once(self):
        self.troubles = [RedisConnectionError(), RedisConnectionError(), OperationalError()]
        failures = self.count("hopla_periodic_failures", "sweeping")
        unforeseen = self.count("hopla_unforeseen_errors", "periodic")

        self.assertEqual(
            self.attempts(5),
            [
                "WARNING sweeping has to wait (ConnectionError)",
                "WARNING sweeping has to wait (OperationalError)",
                "INFO sweeping goes on",
            ],
        )
        self.assertEqual(self.done, 2)
        self.assertEqual(self.count("hopla_periodic_failures", "sweeping"), failures + 3)
        self.assertEqual(self.count("hopla_unforeseen_errors", "periodic"), unforeseen)

    def test_errors_that_nobody_foresaw_are_counted_each_and_told_of_once(self):
        self.troubles = [AttributeError(), AttributeError(), ResponseError("WRONGTYPE")]
        unforeseen = self.count("hopla_unforeseen_errors", "periodic")

        told = self.attempts(4)

        self.assertEqual([line.split()[0] for line in told], ["ERROR", "ERROR", "INFO"])
        self.assertEqual(self.count("hopla_unforeseen_errors", "periodic"), unforeseen + 3)

    def test_thread_goes_on_after_any_error(self):
        self.troubles = [AttributeError(), RedisConnectionError(), ZeroDivisionError()]
        until = threading.Event()
        with self.assertLogs("apps", "WARNING"):
            thread = threading.Thread(target=self.task.keep_on, args=[until])
            thread.start()
            while not self.done:
                until.wait(0.001)
            until.set()
            thread.join()

        self.assertEqual(self.troubles, [])


class RegistryTests(SimpleTestCase):
    def test_apps_have_registered_what_the_worker_is_to_do(self):
        emails = {"queueing e-mails", "queueing e-mails to guests", "queueing e-mails about webhooks"}
        self.assertEqual(
            {task.name for task in periodic.tasks()}, emails | {"reconcile", "forgetting tokens", "forgetting events"}
        )
        self.assertEqual(set(periodic.companions()), {"leases", "leases of webhooks"})
        self.assertEqual(set(periodic.sidelines()), {"webhooks"})

    def test_trouble_of_one_stop_hook_keeps_no_other_from_being_called(self):
        called = []

        def fail():
            called.append("fails")
            raise AttributeError

        def cut_off():
            called.append("cuts off")

        for function in (fail, cut_off, cut_off):
            periodic.on_stop(function)
            self.addCleanup(periodic._stop_hooks.pop, function, None)

        with self.assertLogs("apps", "ERROR") as log:
            periodic.call_stop_hooks()

        self.assertEqual(called, ["fails", "cuts off"])
        self.assertIn("fail at the stop", log.output[0])
