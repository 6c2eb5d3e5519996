"""`manage.py listen`: the receiver that verifies and tells, and the command around it."""

import json
import re
import signal
import sys
from datetime import timedelta
from http.client import HTTPConnection
from urllib.request import Request, urlopen

from django.core.management import CommandError, call_command
from django.test import override_settings
from django.utils import timezone

from apps.integrations.management.commands.listen import endpoint_of
from apps.integrations.management.receiver import Receiver
from apps.integrations.models import Endpoint
from apps.integrations.webhooks import signing
from apps.integrations.webhooks.choosing import take
from apps.integrations.webhooks.messages import body_of
from apps.integrations.webhooks.sending import attempt
from tests.case import ApiTestCase
from tests.integrations.webhooks.makers import make_endpoint, make_event
from tests.makers import make_user
from tests.scripts.programs import DEADLINE_SECONDS, read_until, start_command


class ReceiverTestCase(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.told, self.shown = [], []
        self.owner = make_user()
        self.endpoint = make_endpoint(self.owner)
        self.event = make_event(self.owner, "ping", data={"webhook": {"id": 7, "url": "http://127.0.0.1/"}})
        self.body = body_of(self.event)
        (self.secret,) = signing.secrets_of(self.endpoint)
        self.receiver = Receiver(("127.0.0.1", 0), tell=self.told.append, show=self.shown.append)
        self.receiver.secrets = [self.secret]
        self.addCleanup(self.receiver.server_close)

    def headers(self, body: bytes | None = None, *, secret: str = "", **changes) -> dict:
        headers = signing.signed_headers(
            self.body if body is None else body, message_id=str(self.event.pk), secrets=[secret or self.secret]
        )
        return headers | {name.replace("_", "-"): value for name, value in changes.items()}

    def receive(self, body: bytes | None = None, headers: dict | None = None) -> int:
        """The status of the answer, of a request in this thread: so it reads what the test wrote."""
        return self.receiver.receive(self.body if body is None else body, headers or self.headers())

    def assert_not_verified(self, status: int, *words: str) -> None:
        self.assertEqual(status, 401)
        for word in ("NOT VERIFIED", *words):
            self.assertIn(word, self.told[-1])
        self.assertEqual(self.shown, [])


class VerificationTests(ReceiverTestCase):
    def test_what_hopla_signs_is_verified_and_told_in_a_line(self):
        self.assertEqual(self.receive(), 200)
        line = rf"\d\d:\d\d:\d\d  ping  webhook 7 http://127\.0\.0\.1/  {self.event.pk}"
        self.assertRegex(self.told[0], f"^{line}$")
        self.assertEqual(self.shown, [self.body])

    def test_double_is_told_from_another(self):
        self.receive()
        self.receive()
        self.assertTrue(self.told[1].endswith("  (again)"), self.told[1])

    def test_either_secret_of_a_rotation_will_do(self):
        new = signing.rotate(self.endpoint)
        both = signing.signed_headers(self.body, message_id=str(self.event.pk), secrets=[new, self.secret])
        for secrets in ([self.secret], [new], [signing.new_secret(), new]):
            self.receiver.secrets = secrets
            self.assertEqual(self.receive(headers=both), 200)

    def test_secret_of_another_webhook_is_named(self):
        self.receiver.secrets = [signing.new_secret()]
        self.assert_not_verified(
            self.receive(), f"the secret of webhook {self.endpoint.pk}, and the one given is another"
        )

    def test_secret_that_no_webhook_has(self):
        headers = self.headers(secret=signing.new_secret())
        self.assert_not_verified(self.receive(headers=headers), "a secret that no webhook of this hopla has")

    def test_changed_body(self):
        changed = self.body.replace(b'"id":7', b'"id":8')
        self.assert_not_verified(self.receive(changed, self.headers()), "body was changed", "is not what hopla sent")

    def test_body_that_was_parsed_and_written_anew(self):
        anew = json.dumps(json.loads(self.body)).encode()
        self.assert_not_verified(self.receive(anew, self.headers()), "the same JSON, written anew")

    def test_event_of_another_hopla(self):
        headers = self.headers(secret=signing.new_secret(), webhook_id="msg_1")
        self.assert_not_verified(self.receive(headers=headers), "has no event msg_1")

    def test_old_timestamp(self):
        for seconds, told in ((301, "old"), (-320, "in the future")):
            at = timezone.now() - timedelta(seconds=seconds)
            signature = signing.signature(self.body, message_id=str(self.event.pk), at=at, secret=self.secret)
            stamp = str(int(at.timestamp()))
            headers = self.headers(webhook_timestamp=stamp, webhook_signature=signature)
            self.assert_not_verified(self.receive(headers=headers), "its timestamp is 3", told, "clocks")

    def test_incomplete_and_broken_headers(self):
        for changes, told in (
            ({"webhook_signature": ""}, "no webhook-signature"),
            ({"webhook_timestamp": "now"}, "no number"),
            ({"webhook_signature": "v1"}, "secret"),
            ({"webhook_signature": "v1,é"}, "secret"),
        ):
            self.assert_not_verified(self.receive(headers=self.headers(**changes)), told)
        self.assert_not_verified(self.receive(b"\xff", self.headers(webhook_id="")), "a request that is no event")

    def test_asked_for_status_answers_what_is_verified(self):
        self.receiver.status = 503
        self.assertEqual(self.receive(), 503)
        self.assertIn("→ 503", self.told[0])
        self.assertEqual(self.receive(b"{}", self.headers()), 401)


class DeliveredTests(ReceiverTestCase):
    """The receiver as a server that hopla posts to."""

    def setUp(self):
        super().setUp()
        self.enterContext(self.receiver.serving())
        Endpoint.objects.update(url=self.receiver.url + "in?a=1")

    def test_it_verifies_what_hopla_posts(self):
        (begun,) = take(10)
        attempt(begun)
        delivery = self.event.deliveries.get()
        self.assertEqual((delivery.status, delivery.http_status), ("delivered", 200), delivery.answer)
        self.assertIn(str(delivery.event_id), self.told[0])

    def test_what_is_no_post_or_has_no_length(self):
        connection = HTTPConnection(*self.receiver.server_address, timeout=30)
        self.addCleanup(connection.close)
        connection.request("GET", "/")
        self.assertEqual(connection.getresponse().status, 501)
        connection = HTTPConnection(*self.receiver.server_address, timeout=30)
        self.addCleanup(connection.close)
        connection.request("POST", "/", headers={"Content-Length": str(2**40)})
        self.assertEqual(connection.getresponse().status, 413)


class CommandTests(ApiTestCase):
    SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"

    def refuse(self, *arguments: str, told: str) -> None:
        with self.assertRaisesMessage(CommandError, told):
            call_command("listen", *arguments)

    def test_address_that_others_reach_takes_a_word_more(self):
        self.refuse("--host=0.0.0.0", f"--secret={self.SECRET}", told="add --not-loopback")
        self.refuse("--host=::", f"--secret={self.SECRET}", told="add --not-loopback")
        self.refuse("--host=example.com", f"--secret={self.SECRET}", told="example.com is no address.")

    def test_wrong_options(self):
        self.refuse("--secret=whsec_x", told="--secret is what the answer to POST webhooks/ has")
        self.refuse("--user=nobody", told="There is no user nobody.")
        self.refuse("--user=nobody", "--events", "ticket.done", told="There is no event ticket.done. Known events are ")
        self.refuse("--user=nobody", "--status=99", told="--status is a status of HTTP")
        self.refuse(told="one of the arguments --secret --user is required")

    def test_busy_port(self):
        with Receiver(("127.0.0.1", 0), tell=print) as other:
            port = other.server_address[1]
            self.refuse(
                f"--port={port}", f"--secret={self.SECRET}", told=f"Nothing can listen on port {port} of 127.0.0.1"
            )

    def test_webhook_of_its_own_is_there_while_it_listens(self):
        owner = make_user("ana")
        with endpoint_of("ana", "http://127.0.0.1:8021/", ["ping"]) as endpoint:
            self.assertEqual(Endpoint.objects.get(), endpoint)
            self.assertEqual((endpoint.owner, endpoint.events), (owner, ["ping"]))
        self.assertEqual(Endpoint.objects.count(), 0)

    @override_settings(WEBHOOK_ALLOWED_NETWORKS=[])
    def test_where_loopback_is_refused_so_is_a_webhook_of_its_own(self):
        make_user("ana")
        self.refuse("--user=ana", told="hopla makes no webhook for http://127.0.0.1:")
        self.assertEqual(Endpoint.objects.count(), 0)

    def test_as_a_program_it_prints_bodies_and_ends_by_a_signal(self):
        command = [sys.executable, "manage.py", "listen", f"--secret={self.SECRET}", "--json"]
        program = start_command(command, environment={"DEBUG": "on"})
        self.addCleanup(program.stdout.close)
        self.addCleanup(program.wait)
        self.addCleanup(program.kill)
        url = re.search(r"http://\S+", read_until(program, "Listening at")).group()
        body = b'{"type":"ping","data":{}}'
        headers = signing.signed_headers(body, message_id="msg_1", secrets=[self.SECRET])

        with urlopen(Request(url, body, headers), timeout=30) as response:
            self.assertEqual(response.status, 200)

        read_until(program, '{"type":"ping","data":{}}')
        program.send_signal(signal.SIGTERM)
        self.assertEqual(program.wait(timeout=DEADLINE_SECONDS), 0)
