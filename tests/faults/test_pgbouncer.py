import shutil
from concurrent.futures import ThreadPoolExecutor
from unittest import skipUnless

import urllib3
from django.test import Client as Browser

from tests.faults.case import FaultsTestCase, needs_postgres
from tests.faults.clients import photo
from tests.faults.pgbouncer import CONNECTIONS, connections_used
from tests.faults.world import PATIENT
from tests.makers import make_user


@needs_postgres
@skipUnless(shutil.which("pgbouncer"), "needs PgBouncer on PATH")
class PgBouncerTests(FaultsTestCase):
    world_options = {
        "own_database": True,
        "pgbouncer": True,
        "workers": 2,
        "environment": PATIENT | {"DATABASE_PREPARED_STATEMENTS": "off"},
    }

    def test_many_clients_and_two_workers_share_a_few_connections(self):
        with ThreadPoolExecutor(12) as pool:
            tickets = list(pool.map(lambda _: self.open_ticket(6), range(12)))
            photos = [[photo(f"{ticket} {number}") for number in range(6)] for ticket in tickets]
            ended = list(pool.map(self.client.fill_ticket, tickets, photos))

        self.assertEqual({ticket["status"] for ticket in ended}, {"completed"})
        self.assertLessEqual(connections_used(self.world.database_url), CONNECTIONS)
        self.assert_books_balance()

    def test_admin_lists_what_its_forms_offer(self):
        """Django reads choices by a cursor of the server's, unless told not to."""
        user, admin = make_user(is_staff=True, is_superuser=True), Browser()
        admin.force_login(user)
        cookie = f"sessionid={admin.cookies['sessionid'].value}"
        address = f"{self.world.url}/admin/accounts/user/{user.pk}/change/"

        with ThreadPoolExecutor(12) as pool:
            pages = list(pool.map(lambda _: self.once("GET", address, cookie), range(60)))

        self.assertEqual([page.status for page in pages], [200] * 60)

    @staticmethod
    def once(method: str, address: str, cookie: str):
        return urllib3.request(method, address, headers={"Cookie": cookie}, redirect=False)
