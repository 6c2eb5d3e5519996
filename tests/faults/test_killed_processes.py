from tests.faults.case import FaultsTestCase, needs_postgres
from tests.faults.clients import photo


class KilledWorkerTests(FaultsTestCase):
    def test_fresh_worker_takes_up_what_a_killed_one_had_in_flight(self):
        self.sandbox.misbehave("hang", times=2)
        ticket = self.open_ticket(4)
        for seed in range(4):
            self.client.post_photo(ticket, photo(seed))
        self.wait_until(lambda: len(self.images("uploading")) == 2 and len(self.images("stored")) == 2)

        self.world.workers[0].kill()
        self.world.workers[0].start()

        self.wait_until_settled()
        self.assertEqual([image.status for image in self.images()], ["stored"] * 4)
        self.assert_books_balance()
