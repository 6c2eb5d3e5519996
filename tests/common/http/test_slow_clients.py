import socket
from unittest import mock

from django.test import SimpleTestCase

from apps.common.http import slow_clients
from apps.common.http.slow_clients import Brief, forget, watch
from tests.case import HoplaAssertions


class Client:
    """A client that is overdue at once. `broken`: checking it raises."""

    def __init__(self, broken=False):
        self.broken, self.looks, self.cuts = broken, 0, 0

    def is_overdue(self) -> bool:
        self.looks += 1
        if self.broken:
            raise AttributeError("nobody has foreseen this")
        return True

    def cut(self) -> None:
        self.cuts += 1


class WatcherTests(HoplaAssertions, SimpleTestCase):
    def watch(self, client: Client) -> None:
        watch(client)
        self.addCleanup(forget, client)

    def test_it_outlives_an_error_that_nobody_has_foreseen(self):
        broken, other = Client(broken=True), Client()
        with self.assertLogs("apps.common.observability.unforeseen", "ERROR") as logs:
            self.watch(broken)
            self.wait_until(lambda: broken.looks > 1)
            self.watch(other)
            self.wait_until(lambda: other.cuts)
            forget(broken)  # or it would be logged further on
        self.assertIn("nobody has foreseen this", logs.output[0])


class BriefTests(HoplaAssertions, SimpleTestCase):
    def begin(self, *, seconds: float) -> tuple[Brief, socket.socket, socket.socket]:
        ours, theirs = socket.socketpair()
        self.addCleanup(ours.close)
        self.addCleanup(theirs.close)
        brief = Brief(ours, seconds=seconds)
        brief.begin()
        self.addCleanup(brief.end)
        return brief, ours, theirs

    def test_read_ends_when_its_time_is_over_and_an_answer_can_be_written(self):
        brief, ours, theirs = self.begin(seconds=0.01)

        self.assertEqual(ours.recv(10), b"")
        self.assertTrue(brief.was_cut)
        ours.send(b"answer")
        self.assertEqual(theirs.recv(10), b"answer")

    def test_each_has_less_time_when_they_are_many(self):
        self.enterContext(mock.patch.multiple(slow_clients, CROWD=2, CROWD_SECONDS=0.01))
        first, second = self.begin(seconds=1000)[0], self.begin(seconds=1000)[0]
        self.assertFalse(first.is_overdue() or second.is_overdue())

        *_, ours, _ = self.begin(seconds=1000)

        self.assertEqual(ours.recv(10), b"")
