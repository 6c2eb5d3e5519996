from concurrent.futures import ThreadPoolExecutor

from tests.faults.case import FaultsTestCase, needs_postgres
from tests.faults.clients import Client, new_key, photo
from tests.faults.proxies import BadLine, LossyProxy
from tests.faults.resuming import ResumingClient
from tests.faults.world import PATIENT
from tests.makers import make_user, token_for

PHOTOS = 12


@needs_postgres
class RepeatingClientTests(FaultsTestCase):
    world_options = {"environment": PATIENT}

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

    def test_three_devices_on_each_upload_over_a_line_that_is_cut_make_each_photo_once(self):
        with BadLine(self.world.url, cut_after_bytes=200_000) as line, ThreadPoolExecutor(3 * PHOTOS) as pool:
            client = ResumingClient(line.url, token_for(make_user()), diary=self.diary)
            ticket = client.open_ticket(PHOTOS)
            photos = {new_key(): photo(number, size=60_000) for number in range(PHOTOS)}

            answers = list(pool.map(lambda key: client.post_photo(ticket, photos[key], key=key), 3 * list(photos)))

        self.assertGreater(line.cuts, 0)
        self.assertEqual({answer.code for answer in answers}, {""})
        self.meant[ticket] = PHOTOS
        self.assert_books_balance()

    def test_uploads_whose_bytes_redis_lost_in_the_middle_begin_anew(self):
        with BadLine(self.world.url, bytes_per_second=400_000) as line, ThreadPoolExecutor(4) as pool:
            client = ResumingClient(line.url, token_for(make_user()), diary=self.diary)
            ticket, photos = client.open_ticket(4), [photo(number, size=200_000) for number in range(4)]
            with self.worker_frozen():  # so that what has come whole is still in Redis, too
                sending = [pool.submit(client.post_photo, ticket, content) for content in photos]
                self.wait_until(lambda: line.sent > 300_000)

                self.world.flush_redis()

            self.assertEqual({each.result().code for each in sending}, {""})
            client.see_to_completion(ticket, {new_key(): content for content in photos})
        self.assertGreater(line.sent, sum(map(len, photos)) + 100_000)
        self.meant[ticket] = 4
        self.assert_books_balance()
