"""The whole way on real connections: hopla's own web server, a client, and the sandbox with its notifications."""

import hashlib
import json

import urllib3
from django.test import override_settings

from apps.sandbox.server import SandboxServer
from apps.tickets.models import Image, Ticket
from apps.tickets.models.transition import Transition
from apps.tickets.upkeep.reconcile import reconcile
from script.serve import free_port
from tests.case import CommittingTestCase
from tests.makers import jpeg_bytes, make_ticket, make_user, token_for
from tests.tickets.direct.case import SECRET
from tests.web_server import running_web_server

PHOTO = jpeg_bytes(1, size=300_000)
MD5 = hashlib.md5(PHOTO).hexdigest()


class WireTests(CommittingTestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.sandbox = cls.enterClassContext(SandboxServer())
        cls.url = f"http://127.0.0.1:{free_port()}"
        environment = {"DIRECT_UPLOADS": "on", "PUBLIC_URL": cls.url, "CLOUDINARY_URL": cls.sandbox.cloudinary_url}
        cls.enterClassContext(running_web_server(port=int(cls.url.rpartition(":")[2]), **environment))
        cls.enterClassContext(override_settings(CLOUDINARY_URL=cls.sandbox.cloudinary_url))

    def setUp(self):
        super().setUp()
        self.sandbox.behave()
        self.sandbox.assets.clear()
        self.sandbox.cloud.notification_pauses = (0.1,) * 50
        owner = make_user()
        self.ticket = make_ticket(owner, num_images=1)
        self.headers = {"Authorization": f"Token {token_for(owner)}"}
        self.http = urllib3.PoolManager(retries=False, timeout=30)
        self.addCleanup(self.http.clear)
        self.api = f"{self.url}/api/v1/tickets/{self.ticket.pk}/"

    def begun(self, **fields) -> dict:
        body = {"filename": "kitchen.jpg", "size": len(PHOTO), "md5": MD5} | fields
        response = self.http.request("POST", f"{self.api}direct-uploads/", json=body, headers=self.headers)
        self.assertEqual(response.status, 201, response.data)
        return response.json()

    def posted(self, begun: dict) -> dict:
        form = begun["upload"]
        fields = [*form["fields"].items(), ("file", ("kitchen.jpg", PHOTO))]
        response = self.http.request(form["method"], form["url"], fields=fields)
        self.assertEqual(response.status, 200, response.data)
        self.assertEqual(response.headers["Access-Control-Allow-Origin"], "*")
        return response.json()

    def status_of(self, begun: dict) -> str:
        path = f"{self.api}images/{begun['image']['id']}/"
        return self.http.request("GET", path, headers=self.headers).json()["status"]

    def assert_stored_once(self, begun: dict) -> None:
        self.wait_until(lambda: self.status_of(begun) == "stored")
        self.assertEqual(Ticket.objects.get().status, "completed")
        self.assertEqual(Transition.objects.filter(to_status="stored").count(), 1)
        self.assertEqual((Image.objects.get().size, Image.objects.get().md5), (len(PHOTO), MD5))

    def test_notification_completes_the_ticket(self):
        begun = self.begun()
        self.posted(begun)

        self.assert_stored_once(begun)

    def test_notifications_with_faults_count_it_once(self):
        for kind in ("notification_doubled", "notification_forged", "notification_first"):
            with self.subTest(kind):
                self.sandbox.behave()
                self.sandbox.misbehave(kind)
                self.use_another_ticket()
                begun = self.begun()
                before = len(self.sandbox.notices)
                self.posted(begun)

                self.wait_until(lambda b=begun: self.status_of(b) == "stored")
                self.wait_until(lambda n=before: [each.status for each in self.sandbox.notices[n:]].count(200))
                stored = Transition.objects.filter(image_id=begun["image"]["id"], to_status="stored")
                self.assertEqual(stored.count(), 1)

    def test_cloudinary_that_holds_other_bytes_than_were_announced(self):
        self.sandbox.misbehave("store_half")
        for announced, code in (({"md5": None}, "size"), ({"size": None}, "md5")):
            with self.subTest(code):
                self.use_another_ticket()
                begun = self.begun(**announced)
                self.posted(begun)

                self.wait_until(lambda b=begun: self.status_of(b) == "failed")
                failed = Image.objects.get(pk=begun["image"]["id"])
                self.assertEqual(failed.error_code, f"direct_upload_{code}_mismatch")
        reconcile()
        self.assertEqual(list(self.sandbox.assets), [])

    def use_another_ticket(self) -> None:
        ticket = make_ticket(self.ticket.owner, num_images=1)
        self.api = f"{self.url}/api/v1/tickets/{ticket.pk}/"

    def test_lost_notification_is_made_up_for_by_the_answer_that_the_client_passes_on(self):
        self.sandbox.misbehave("notification_lost")
        begun = self.begun()
        answer = self.posted(begun)

        path = f"{self.api}images/{begun['image']['id']}/confirm/"
        response = self.http.request("POST", path, json=answer, headers=self.headers)
        self.assertEqual((response.status, response.json()["status"]), (202, "awaiting_upload"))
        reconcile()

        self.assert_stored_once(begun)

    def test_notification_in_chunks_is_verified_and_bounded(self):
        begun = self.begun()
        self.sandbox.misbehave("notification_lost")
        self.posted(begun)
        asset = self.sandbox.assets.find(public_id=f"hopla/{begun['image']['id']}")
        told = {name: getattr(asset, name) for name in ("public_id", "asset_id", "version", "bytes", "etag")}
        told |= {name: getattr(asset, name) for name in ("width", "height", "format", "type")}
        told |= {"notification_type": "upload", "resource_type": "image"}

        def notify(body: bytes):
            moment = str(asset.version)
            signature = hashlib.sha1(body + f"{moment}{SECRET}".encode()).hexdigest()
            headers = {"X-Cld-Timestamp": moment, "X-Cld-Signature": signature, "Content-Type": "application/json"}
            pieces = (body[start : start + 50_000] for start in range(0, len(body), 50_000))
            url = f"{self.url}/api/v1/cloudinary/notifications/"
            return self.http.request("POST", url, body=pieces, headers=headers)

        self.assertEqual(notify(json.dumps(told | {"context": "x" * 300_000}).encode()).status, 413)
        self.assertEqual(notify(json.dumps(told).encode()).json(), {"outcome": "stored"})
        self.assert_stored_once(begun)
