"""Several requests for one upload at once, in real threads with real commits."""

from apps.tickets.models import Image
from apps.tickets.resumable import state
from apps.tickets.staging import store
from tests.case import CommittingTestCase, at_once, default_queue, staged_photos
from tests.makers import client_for, make_ticket
from tests.tickets.resumable.case import PHOTO, TusMixin

SIZE = len(PHOTO)
TRANSIENT = (409, 503)  # overtaken, or without a database connection: as a client does, ask again


class TogetherTests(TusMixin, CommittingTestCase):
    def test_requests_that_end_an_upload_at_once_make_one_image(self):
        self.ticket = make_ticket(self.owner, num_images=20)
        clients = [client_for(self.owner) for _ in range(6)]
        for _ in range(5):
            path = self.begun(PHOTO[:50_000])

            def finish(number, path=path):
                client = clients[number]
                for _attempt in range(100):
                    offset = self.ask(path, client=client)
                    if offset.status_code == 200:
                        start = int(offset["Upload-Offset"])
                        sent = self.send(path, start, PHOTO[start:], client=client)
                        if sent.status_code == 204:
                            return sent["Content-Location"]
                return None

            locations = at_once(finish, range(len(clients)))

            self.assertEqual(len(set(locations)), 1, locations)
            image_id = path.split("/")[-2]
            self.assertIn(image_id, locations[0])
            self.assertEqual(bytes(store.read(image_id, SIZE)), PHOTO)
        self.assertEqual(Image.objects.count(), 5)
        self.assertEqual(len(default_queue().job_ids), 5)
        self.assertEqual(store.bytes_in_use(), 5 * SIZE)

    def test_upload_taken_back_while_it_ends_is_an_image_or_nothing(self):
        self.ticket = make_ticket(self.owner, num_images=20)
        clients = [client_for(self.owner) for _ in range(2)]
        for _ in range(10):
            path = self.begun(PHOTO[:99_000])

            def act(number, path=path):
                client = clients[number]
                for _attempt in range(100):
                    if number:
                        response = self.tus("DELETE", path, client=client)
                    else:
                        response = self.send(path, 99_000, PHOTO[99_000:], client=client)
                    if response.status_code not in TRANSIENT:
                        return response.status_code
                return None

            sent, taken_back = at_once(act, range(2))

            image_id = path.split("/")[-2]
            self.assertIn((sent, taken_back), [(204, 403), (404, 204)])
            self.assertEqual(Image.objects.filter(pk=image_id).exists(), sent == 204)
            self.assertEqual(image_id in staged_photos(), sent == 204)

    def test_creations_with_one_key_at_once_begin_one_upload(self):
        clients = [client_for(self.owner) for _ in range(6)]

        def begin(number):
            while True:
                response = self.begin(client=clients[number], Idempotency_Key="a")
                if response.status_code not in TRANSIENT:
                    return response["Location"]

        self.assertEqual(len(set(at_once(begin, range(6)))), 1)
        states = list(store.connection().scan_iter(f"{state.PREFIX}*", _type="hash"))
        self.assertEqual(len(states), 1)

    def test_last_place_goes_to_one_of_two_uploads(self):
        self.ticket = make_ticket(self.owner, num_images=1)
        clients = [client_for(self.owner) for _ in range(2)]
        paths = [self.begun(PHOTO[:50_000]) for _ in range(2)]

        def finish(number):
            while True:
                response = self.send(paths[number], 50_000, PHOTO[50_000:], client=clients[number])
                if response.status_code != 503:
                    return response.status_code

        self.assertCountEqual(at_once(finish, range(2)), [204, 409])
        self.assertEqual(Image.objects.count(), 1)
        self.assertEqual(store.bytes_in_use(), SIZE)
