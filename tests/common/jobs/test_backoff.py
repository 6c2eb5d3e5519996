from django.test import SimpleTestCase

from apps.common.jobs.backoff import Backoff


class BackoffTests(SimpleTestCase):
    def test_waits_double_up_to_the_cap_however_many_attempts_there_were(self):
        backoff = Backoff(base_seconds=10, cap_seconds=3600)

        waits = [backoff.seconds_after(attempts) for attempts in (1, 2, 3, 9, 10, 100_000)]

        self.assertEqual(waits, [10, 20, 40, 2560, 3600, 3600])
