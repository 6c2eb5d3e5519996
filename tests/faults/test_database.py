from concurrent.futures import ThreadPoolExecutor

from tests.faults.case import FaultsTestCase, needs_postgres
from tests.faults.clients import photo
from tests.faults.world import PATIENT


@needs_postgres
class DatabaseTests(FaultsTestCase):
    world_options = {"own_database": True, "environment": PATIENT}

    def test_photo_posted_without_a_database_is_refused_and_taken_once_it_is_back(self):
        ticket = self.open_ticket(1)
        self.world.stop_database()
        try:
            self.assert_unavailable(ticket)
        finally:
            self.world.start_database()
        self.assertEqual(self.images(), [])

        self.client.fill_ticket(ticket, [photo(1)])

        self.assert_books_balance()

    def test_poll_without_a_database_is_told_to_come_back(self):
        ticket = self.open_ticket(1)
        path = f"tickets/{ticket}/status/"
        etag = self.client.once("GET", path).headers["ETag"]
        self.world.stop_database()
        try:
            answer = self.client.once("GET", path, If_None_Match=etag)
            self.assertEqual((answer.status, answer.code), (503, "temporarily_unavailable"))
        finally:
            self.world.start_database()

        self.wait_until(lambda: self.client.once("GET", path, If_None_Match=etag).status == 304)

    def test_restart_under_posting_clients_loses_and_doubles_nothing(self):
        tickets = [self.open_ticket(12) for _ in range(4)]
        with ThreadPoolExecutor() as pool:
            work = [
                pool.submit(self.client.fill_ticket, ticket, [photo(f"{ticket} {number}") for number in range(12)])
                for ticket in tickets
            ]
            self.wait_until(lambda: len(self.diary.accepted_at) >= 10)

            self.world.stop_database()
            self.world.start_database()

            ended = [each.result()["status"] for each in work]
        self.assertEqual(ended, ["completed"] * 4)
        self.assert_books_balance()
