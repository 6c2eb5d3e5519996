import threading
from unittest import mock

from django.test import SimpleTestCase

from apps.common.jobs import concurrency_limit
from apps.common.jobs.concurrency_limit import ConcurrencyLimit

LIMIT_SECONDS = 60


class TurnsTests(SimpleTestCase):
    def setUp(self):
        self.turns = ConcurrencyLimit(1)
        self.order = []
        # Longer than any test lasts, except those of this limit.
        patience = mock.patch.object(concurrency_limit, "LONGEST_WAIT_SECONDS", LIMIT_SECONDS)
        patience.start()
        self.addCleanup(patience.stop)

    def start(self, work) -> threading.Thread:
        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        self.addCleanup(thread.join, LIMIT_SECONDS)
        return thread

    def start_and_queue(self, name: str) -> threading.Thread:
        """Start a thread that records its name in its turn. It is waiting in the queue when this returns."""
        before = self.turns.waiting

        def work():
            with self.turns.turn():
                self.order.append(name)

        thread = self.start(work)
        self.wait_until(lambda: self.turns.waiting > before)
        return thread

    def wait_until(self, condition) -> None:
        pause, tries = threading.Event(), 0
        while not condition():
            tries += 1
            self.assertLess(tries, LIMIT_SECONDS * 1000)
            pause.wait(0.001)

    def test_who_came_first_goes_first(self):
        with self.turns.turn():
            threads = [self.start_and_queue(name) for name in "abc"]
            self.assertEqual(self.order, [])
        for thread in threads:
            thread.join(LIMIT_SECONDS)

        self.assertEqual(self.order, ["a", "b", "c"])

    def test_as_many_work_at_a_time_as_there_are_turns(self):
        self.turns = ConcurrencyLimit(2)
        both_in = threading.Barrier(3)
        leave = threading.Event()

        def work():
            with self.turns.turn():
                both_in.wait(LIMIT_SECONDS)
                leave.wait(LIMIT_SECONDS)

        self.start(work), self.start(work)
        both_in.wait(LIMIT_SECONDS)
        third = self.start_and_queue("third")

        self.assertEqual(self.order, [])
        leave.set()
        third.join(LIMIT_SECONDS)
        self.assertEqual(self.order, ["third"])

    def test_another_works_while_one_is_away_and_who_returns_goes_before_who_arrives(self):
        other_in, come_back = threading.Event(), threading.Event()

        def traveller():
            with self.turns.turn():
                with self.turns.away():
                    come_back.wait(LIMIT_SECONDS)
                self.order.append("returned")

        def other():
            with self.turns.turn():
                other_in.set()
                self.wait_until(lambda: self.turns.waiting == 2)

        returning = self.start(traveller)
        self.start(other)
        self.assertTrue(other_in.wait(LIMIT_SECONDS))
        arriving = self.start_and_queue("arrived")
        come_back.set()
        returning.join(LIMIT_SECONDS)
        arriving.join(LIMIT_SECONDS)

        self.assertEqual(self.order, ["returned", "arrived"])

    def test_error_gives_the_turn_back(self):
        with self.assertRaises(ZeroDivisionError), self.turns.turn():
            raise ZeroDivisionError

        self.start_and_join()
        self.assertEqual(self.order, ["next"])

    def start_and_join(self) -> None:
        def work():
            with self.turns.turn() as has_turn:
                self.order.append("next" if has_turn else "without")

        self.start(work).join(LIMIT_SECONDS)

    def test_who_waits_too_long_goes_on_without_a_turn(self):
        with self.turns.turn(), mock.patch.object(concurrency_limit, "LONGEST_WAIT_SECONDS", 0.01):
            self.start_and_join()
            self.start_and_join()

            self.assertEqual(self.order, ["without", "without"])
            self.assertEqual(self.turns.waiting, 0)

        # Neither thread gave back a turn it never had: there is still one turn.
        with self.turns.turn():
            self.start_and_queue("waits")
            self.assertEqual(self.order, ["without", "without"])

    def test_away_without_a_turn_is_nothing(self):
        with self.turns.away(), self.turns.turn():
            self.start_and_queue("waits")
            self.assertEqual(self.order, [])
