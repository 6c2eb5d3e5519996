import signal
import threading

from django.test import SimpleTestCase

from apps.common.stop_signals import StopSignals


class StopSignalsTests(SimpleTestCase):
    def setUp(self):
        for name in (signal.SIGTERM, signal.SIGINT):
            self.addCleanup(signal.signal, name, signal.getsignal(name))

    def test_either_signal_ends_the_wait_whichever_thread_gets_it(self):
        for name in (signal.SIGTERM, signal.SIGINT):
            for thread in (threading.main_thread(), None):
                with self.subTest(name, thread=thread):
                    stop = StopSignals()
                    sender = threading.Timer(0.05, self.send, args=[name, thread])
                    sender.start()
                    stop.wait()
                    sender.join()

    def send(self, name, thread) -> None:
        signal.pthread_kill((thread or threading.current_thread()).ident, name)

    def test_signal_that_came_before_the_wait_ends_it(self):
        stop = StopSignals()
        signal.raise_signal(signal.SIGTERM)
        stop.wait()
