from concurrent.futures import ThreadPoolExecutor

from tests.faults.case import FaultsTestCase, needs_postgres
from tests.faults.clients import Client, new_key, photo
from tests.faults.lossy_proxy import LossyProxy
from tests.makers import make_user, token_for

PHOTOS = 12


@needs_postgres
class RepeatingClientTests(FaultsTestCase):
    def test_each_request_three_times_over_a_line_that_loses_responses_makes_each_photo_once(self):
        with LossyProxy(self.world.url, loss=0.2, seed=3) as proxy, ThreadPoolExecutor(3 * PHOTOS) as pool:
            client = Client(proxy.url, token_for(make_user()), diary=self.diary)
            ticket = client.open_ticket(PHOTOS)
            photos = {new_key(): photo(number) for number in range(PHOTOS)}

            answers = list(pool.map(lambda key: client.post_photo(ticket, photos[key], key=key), 3 * list(photos)))

        self.assertGreater(proxy.dropped, 0)
        self.assertEqual({answer.status for answer in answers}, {202})
        self.assertEqual(len({answer.body["id"] for answer in answers}), PHOTOS)
        self.meant[ticket] = PHOTOS
        self.assert_books_balance()
