"""The receivers of docs/samples/webhooks get what hopla sends, and verify it."""

import json
import shutil
import subprocess
import sys
from datetime import timedelta
from http.client import HTTPConnection
from importlib.util import module_from_spec, spec_from_file_location
from tempfile import TemporaryDirectory
from unittest import skipUnless

from django.conf import settings
from django.core.cache import cache
from django.test import RequestFactory, override_settings
from django.utils import timezone

from apps.integrations.models import Delivery
from apps.integrations.webhooks import replays, signing
from apps.integrations.webhooks.choosing import take
from apps.integrations.webhooks.messages import body_of
from apps.integrations.webhooks.sending import attempt
from script.serve import free_port
from tests.case import ApiTestCase
from tests.integrations.webhooks.makers import make_endpoint, make_event
from tests.makers import make_user
from tests.scripts.programs import read_until, start_command

SAMPLES = settings.BASE_DIR / "docs" / "samples" / "webhooks"


class SampleTestCase(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.owner = make_user()
        self.port = free_port()
        self.endpoint = make_endpoint(self.owner, url=f"http://127.0.0.1:{self.port}/")
        (self.secret,) = signing.secrets_of(self.endpoint)

    def headers(self, body: bytes, **changes) -> dict:
        return signing.signed_headers(body, message_id="forged-1", secrets=[self.secret]) | changes

    def refused(self):
        """(body, headers) of requests that no receiver may take for hopla's."""
        body = b'{"type":"forged","timestamp":"2026-11-21T10:00:00Z","data":{}}'
        long_ago = timezone.now() - timedelta(minutes=6)
        old = signing.signature(body, message_id="forged-1", at=long_ago, secret=self.secret)
        yield body, {"webhook-id": "forged-1"}
        yield body, self.headers(body, **{"webhook-signature": "v1,AAAA"})
        yield body, self.headers(body, **{"webhook-signature": "v1"})
        yield body, self.headers(body, **{"webhook-id": "forged-2"})
        yield body + b" ", self.headers(body)
        yield body, self.headers(body, **{"webhook-timestamp": "now"})
        yield (
            body,
            self.headers(body, **{"webhook-timestamp": str(int(long_ago.timestamp())), "webhook-signature": old}),
        )


class ProgramTests(SampleTestCase):
    def assert_receives(self, *command) -> str:
        """The program takes what hopla sends, doubles as well, and nothing else. Returns what it prints."""
        environment = {"WEBHOOK_SECRET": self.secret, "PORT": str(self.port)}
        program = start_command([*map(str, command)], environment=environment, cwd=SAMPLES)
        self.addCleanup(program.stdout.close)
        self.addCleanup(program.wait)
        self.addCleanup(program.kill)
        self.wait_until(self.is_up)

        delivered = make_event(self.owner, "ticket.created").deliveries.get()
        for _ in range(2):
            self.send(delivered)
            replays.replay(delivered)
        signing.rotate(self.endpoint)  # which the program need not know yet
        self.send(delivered)

        for body, headers in self.refused():
            with self.subTest(body=body, headers=headers):
                self.assertEqual(self.post(body, headers), 400)
        self.send(make_event(self.owner, "ticket.completed").deliveries.get())
        told = read_until(program, "ticket.completed")
        self.assertNotIn("forged", told)
        return told

    def is_up(self) -> bool:
        try:
            return self.post(b"{}", {}) == 400
        except ConnectionError:
            return False

    def post(self, body: bytes, headers: dict) -> int:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
        self.addCleanup(connection.close)
        connection.request("POST", "/", body, headers)
        return connection.getresponse().status

    def send(self, delivery: Delivery) -> None:
        for begun in take(10):
            attempt(begun)
        delivery.refresh_from_db()
        self.assertEqual((delivery.status, delivery.http_status), ("delivered", 204), delivery.answer)

    def test_python(self):
        told = self.assert_receives(sys.executable, SAMPLES / "receiver.py")
        self.assertEqual(told.count("ticket.created"), 1)

    @skipUnless(shutil.which("node"), "needs Node.js")
    def test_node(self):
        told = self.assert_receives("node", SAMPLES / "receiver.mjs")
        self.assertEqual(told.count("ticket.created"), 1)

    @skipUnless(shutil.which("php"), "needs PHP")
    def test_php(self):
        self.assert_receives("php", "-S", f"127.0.0.1:{self.port}", SAMPLES / "receiver.php")

    @skipUnless(shutil.which("go"), "needs Go")
    def test_go(self):
        program = self.enterContext(TemporaryDirectory()) + "/receiver"
        subprocess.run(["go", "build", "-o", program, SAMPLES / "receiver.go"], check=True)
        told = self.assert_receives(program)
        self.assertEqual(told.count("ticket.created"), 1)


class DjangoViewTests(SampleTestCase):
    def setUp(self):
        super().setUp()
        spec = spec_from_file_location("sample_of_a_view", SAMPLES / "django_view.py")
        self.view = module_from_spec(spec)
        spec.loader.exec_module(self.view)
        self.queued = []
        self.view.enqueue = self.queued.append
        self.enterContext(override_settings(HOPLA_WEBHOOK_SECRET=self.secret))
        cache.clear()

    def post(self, body: bytes, headers: dict) -> int:
        request = RequestFactory().post("/hopla-webhook/", body, content_type="application/json", headers=headers)
        return self.view.hopla_webhook(request).status_code

    def test_takes_what_hopla_sends_once_and_nothing_else(self):
        event = make_event(self.owner, "ticket.created")
        body = body_of(event)
        signed = signing.signed_headers(body, message_id=str(event.pk), secrets=[self.secret])

        self.assertEqual([self.post(body, signed) for _ in range(2)], [204, 204])

        self.assertEqual(self.queued, [json.loads(body)])
        for forged, headers in self.refused():
            self.assertEqual(self.post(forged, headers), 400, headers)
        self.assertEqual(len(self.queued), 1)
