import os
import signal
from urllib.parse import urlsplit

from tests.case import staged_photos
from tests.faults.case import FaultsTestCase
from tests.faults.clients import CutUpload, photo
from tests.makers import make_ticket, make_user, token_for
from tests.web_server import RawClient

PHOTO = photo(1, size=2_000_000)


class StoppedWebTests(FaultsTestCase):
    world_options = {"environment": {"STOP_TIMEOUT_SECONDS": "12"}}

    def setUp(self):
        super().setUp()
        if not self.world.web.is_alive():
            self.world.restart_web()

    # gunicorn keeps its socket open while it finishes: who connects then is cut off at the end, and comes again.

    def test_upload_that_is_under_way_is_finished(self):
        owner = make_user()
        url = f"/api/v1/tickets/{make_ticket(owner, num_images=1).pk}/images/"
        token = f"Token {token_for(owner)}"
        client = RawClient(self.address)
        self.addCleanup(client.close)
        client.send_head("POST", url, Authorization=token, Content_Type="image/jpeg", Content_Length=len(PHOTO))
        client.send(PHOTO[:1_000_000])
        self.wait_until(staged_photos)

        os.kill(self.world.web.pid, signal.SIGTERM)
        self.wait_until(lambda: "Handling signal: term" in self.world.web.output)
        client.send(PHOTO[1_000_000:])

        self.assertEqual(client.answer().status, 202)
        self.assertEqual(self.world.web.wait(60), 0, self.world.web.output)
        self.wait_until_settled()
        self.assertEqual([image.status for image in self.images()], ["stored"])

    def test_upload_that_stalls_does_not_keep_it_from_ending_and_takes_no_place(self):
        ticket = self.open_ticket(1)
        with CutUpload(self.client, ticket, PHOTO):
            self.wait_until(staged_photos)

            os.kill(self.world.web.pid, signal.SIGTERM)

            self.assertEqual(self.world.web.wait(60), 0, self.world.web.output)
        self.assertEqual(self.images(), [])
        self.world.restart_web()
        self.client.fill_ticket(ticket, [PHOTO])
        self.assert_books_balance()

    @property
    def address(self) -> tuple[str, int]:
        url = urlsplit(self.world.url)
        return url.hostname, url.port
