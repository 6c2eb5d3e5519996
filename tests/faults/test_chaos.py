from django.test import tag

from tests.faults import books, chaos
from tests.faults.case import needs_postgres
from tests.faults.world import World
from tests.flush import FlushedTestCase


@tag("slow")
@needs_postgres
class ChaosTests(FlushedTestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.world = cls.enterClassContext(
            World(own_database=True, workers=2, staging_servers=2, environment=chaos.ENVIRONMENT)
        )

    def test_books_balance_after_everything_was_broken_under_load(self):
        report = chaos.run(
            self.world,
            seconds=15,
            seed=1,
            number_of_clients=9,
            seconds_between=0.5,
            fewest_tricks=4,
            settle=books.settle_at_once,
        )

        self.assertGreater(report.images["stored"], 0)
        self.assertGreaterEqual(sum(len(times) for times in report.recoveries.values()), 4)
        self.assertEqual({rule: wrong for rule, wrong in report.findings.items() if wrong}, {})
