"""What the tests of direct uploads share: a sandbox to which photos are posted, and notifications in its name."""

import hashlib
import json
import time
from datetime import timedelta

import urllib3
from django.test import override_settings
from django.utils import timezone

from apps.sandbox.signatures import sign, sign_notification
from apps.tickets.models import Image
from tests.case import ApiTestCase, CommittingTestCase
from tests.makers import client_for, jpeg_bytes, make_ticket, make_user, running_sandbox

SECRET = "sandbox-secret"
NOTIFICATIONS = "/api/v1/cloudinary/notifications/"
FACTS = {"asset_id": "a" * 32, "version": 1735689600, "format": "jpg", "width": 16, "height": 12}
FACTS |= {"resource_type": "image", "type": "upload", "notification_type": "upload"}


class DirectUploads:
    """Mixin: DIRECT_UPLOADS is on, and the sandbox sends no notifications by itself: `notify` does."""

    photo = jpeg_bytes(1)

    def setUp(self):
        super().setUp()
        self.enterContext(override_settings(DIRECT_UPLOADS=True))
        self.sandbox = self.enterContext(running_sandbox())
        self.lost = self.sandbox.misbehave("notification_lost")
        self.owner = make_user()
        self.ticket = make_ticket(self.owner, num_images=2)
        self.client = client_for(self.owner)
        self.http = urllib3.PoolManager(retries=False, timeout=10)
        self.addCleanup(self.http.clear)

    def path(self, ticket=None, image_id=None, *, of="direct-uploads") -> str:
        path = f"/api/v1/tickets/{(ticket or self.ticket).pk}/{of}/"
        return path if image_id is None else f"{path}{image_id}/"

    def begin(self, client=None, ticket=None, **fields):
        """The response to a new direct upload."""
        headers = {f"HTTP_{name}": fields.pop(name) for name in list(fields) if name.isupper()}
        return (client or self.client).post(self.path(ticket), {"filename": "kitchen.jpg"} | fields, **headers)

    def begun(self, **fields) -> tuple[Image, dict]:
        """A new one: its image and its form."""
        response = self.begin(**fields)
        self.assertEqual(response.status_code, 201, response.content)
        return Image.objects.get(pk=response.json()["image"]["id"]), response.json()["upload"]

    def post(self, form: dict, content: bytes | None = None, **changes) -> urllib3.BaseHTTPResponse:
        """Post the form to the sandbox, as a browser does."""
        fields = list((form["fields"] | changes).items())
        fields.append(("file", ("kitchen.jpg", self.photo if content is None else content)))
        return self.http.request(form["method"], form["url"], fields=fields)

    def posted(self, form: dict, content: bytes | None = None) -> dict:
        """Cloudinary's answer to it."""
        response = self.post(form, content)
        self.assertEqual(response.status, 200, response.data)
        return response.json()

    def facts(self, image: Image, content: bytes | None = None, **facts) -> dict:
        """What Cloudinary would say of this photo."""
        content = self.photo if content is None else content
        counted = {"bytes": len(content), "etag": hashlib.md5(content).hexdigest(), "public_id": image.public_id}
        return FACTS | counted | facts

    def notify(self, told: dict, *, client=None, secret=SECRET, algorithm="sha1", age=0, timestamp=None, **headers):
        """The response to a notification of Cloudinary's."""
        body = json.dumps(told).encode()
        timestamp = str(int(time.time()) - age) if timestamp is None else timestamp
        signed = {
            "HTTP_X_CLD_TIMESTAMP": timestamp,
            "HTTP_X_CLD_SIGNATURE": sign_notification(body, timestamp, secret, algorithm=algorithm),
        }
        client = client or client_for()
        return client.generic("POST", NOTIFICATIONS, body, content_type="application/json", **signed | headers)

    def confirm(self, image: Image, client=None, *, secret=SECRET, **changes):
        """The response to Cloudinary's answer, passed on."""
        answer = {"public_id": image.public_id, "version": 1735689600} | changes
        signed = {"public_id": answer["public_id"], "version": str(answer["version"])}
        answer = {"signature": sign(signed, secret, version=1)} | answer
        return (client or self.client).post(f"{self.path(image_id=image.pk, of='images')}confirm/", answer)

    def run_out(self, *images: Image) -> None:
        """The time of these uploads has passed."""
        past = timezone.now() - timedelta(seconds=1)
        Image.objects.filter(pk__in=[image.pk for image in images]).update(upload_expires_at=past, next_check_at=past)

    def kept(self, image: Image) -> Image:
        return Image.objects.get(pk=image.pk)

    def status_of(self, image: Image) -> tuple[str, str]:
        kept = self.kept(image)
        return kept.status, kept.error_code

    def progress(self) -> dict:
        return self.client.get(f"/api/v1/tickets/{self.ticket.pk}/").json()["progress"]


class DirectTestCase(DirectUploads, ApiTestCase):
    pass


class CommittingDirectTestCase(DirectUploads, CommittingTestCase):
    pass
