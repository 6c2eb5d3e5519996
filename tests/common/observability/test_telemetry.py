"""What hopla sends to Sentry and OpenTelemetry, as received by servers in their place."""

import gzip
import http.client
import json
import subprocess
import sys
import threading
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from unittest import skipUnless
from urllib.parse import urlsplit

from django.conf import settings
from django.test import SimpleTestCase

from apps.accounts.models import User
from tests.faults.case import FaultsTestCase, needs_postgres
from tests.faults.clients import photo
from tests.faults.world import ONE_WEB_PROCESS, PATIENT
from tests.makers import token_for
from tests.scripts.programs import output_of, start_command

INSTALLED = find_spec("sentry_sdk") and find_spec("opentelemetry")
needs_packages = skipUnless(INSTALLED, "needs requirements-observability.txt")
NO_SERVER = "http://127.0.0.1:1"
SECRET = "never-to-leave-1"


class Receiver:
    """An HTTP server that accepts every POST. Use as a context manager; `bodies` has the received bodies, unpacked."""

    def __init__(self):
        self.bodies = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), partial(ReceiverHandler, self))
        self.address = f"127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *exc_info):
        self._server.shutdown()
        self._server.server_close()


class ReceiverHandler(BaseHTTPRequestHandler):
    def __init__(self, receiver: Receiver, *args):
        self.receiver = receiver
        super().__init__(*args)

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.receiver.bodies.append(gzip.decompress(body) if self.headers["Content-Encoding"] == "gzip" else body)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args):
        pass


def run(code: str, **environment: str) -> subprocess.CompletedProcess:
    """Run Python code in its own process, with Django set up, and with a database without tables."""
    program = start_command(
        [sys.executable, "-c", f"import sys\n{code}"],
        environment={"DJANGO_SETTINGS_MODULE": "hopla.settings", "DATABASE_URL": "sqlite://:memory:"} | environment,
    )
    output = output_of(program)
    return subprocess.CompletedProcess(program.args, program.returncode, output)


class AskedForTests(SimpleTestCase):
    def test_nothing_is_loaded_that_nobody_asked_for(self):
        code = "import django; django.setup(); print(*sys.modules, sep='\\n')"
        ran = run(code, SENTRY_DSN="", OTEL_EXPORTER_OTLP_ENDPOINT="")
        self.assertEqual(ran.returncode, 0, ran.stdout)
        loaded = ran.stdout.splitlines()
        self.assertNotIn("sentry_sdk", loaded)
        self.assertNotIn("opentelemetry.exporter", loaded)  # redis-py loads other parts wherever they are installed

    def test_missing_package_stops_the_start_with_a_sentence(self):
        for name, value, package in (
            ("SENTRY_DSN", "http://key@127.0.0.1:1/1", "sentry_sdk"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", NO_SERVER, "opentelemetry"),
        ):
            with self.subTest(name):
                ran = run(f"sys.modules['{package}'] = None; import django; django.setup()", **{name: value})
                self.assertEqual(ran.returncode, 1)
                said = ran.stdout.strip().rpartition("\n")[2]
                self.assertIn(f"{name} is set, but {package}", said)
                self.assertIn("pip install -r requirements-observability.txt", said)


@needs_packages
class SentryTests(SimpleTestCase):
    def test_unhandled_error_is_reported_with_its_request_id_and_nothing_secret(self):
        code = (
            "import django; django.setup()\n"
            "from django.urls import path\n"
            "from hopla.urls import urlpatterns\n"
            "urlpatterns.insert(0, path('crash/', lambda request: 1 / 0))\n"
            "from django.test import Client\n"
            "client = Client(raise_request_exception=False, headers={'Host': 'localhost'})\n"
            f"client.cookies['sessionid'] = '{SECRET}'\n"
            f"headers = {{'Authorization': 'Token {SECRET}', 'X-Request-ID': 'report-me-1', 'Referer': '{SECRET}'}}\n"
            f"assert client.post('/crash/?token={SECRET}', {{'a': '{SECRET}'}}, headers=headers).status_code == 500\n"
            "import sentry_sdk; sentry_sdk.flush(timeout=60)\n"
        )
        with Receiver() as receiver:
            ran = run(code, SENTRY_DSN=f"http://key@{receiver.address}/1", DEBUG="on", OTEL_EXPORTER_OTLP_ENDPOINT="")
            self.assertEqual(ran.returncode, 0, ran.stdout)

        (envelope,) = receiver.bodies
        event = json.loads(envelope.splitlines()[2])
        self.assertEqual(event["tags"]["request_id"], "report-me-1")
        self.assertEqual(event["exception"]["values"][-1]["type"], "ZeroDivisionError")
        self.assertEqual(event.keys() & {"request", "user", "breadcrumbs"}, set())
        self.assertNotIn(SECRET.encode(), envelope)


@needs_packages
@needs_postgres
class OpenTelemetryTests(FaultsTestCase):
    @classmethod
    def setUpClass(cls):
        cls.receiver = Receiver()
        cls.enterClassContext(cls.receiver)
        endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{cls.receiver.address}", "OTEL_BSP_SCHEDULE_DELAY": "100"}
        cls.world_options = {"environment": ONE_WEB_PROCESS | PATIENT | endpoint}
        super().setUpClass()

    def spans(self) -> list[dict]:
        """Name, attributes and trace of each span that was received."""
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

        spans = []
        for body in list(self.receiver.bodies):
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                for scope in resource.scope_spans:
                    for span in scope.spans:
                        attributes = {each.key: each.value.string_value for each in span.attributes}
                        spans.append({"name": span.name, "trace": span.trace_id, **attributes})
        return spans

    def find_span(self, **expected: str) -> dict:
        return self.wait_until(lambda: next((each for each in self.spans() if expected.items() <= each.items()), None))

    def test_request_and_upload_share_its_id_and_nothing_secret_leaves(self):
        ticket = self.open_ticket(1)
        token = token_for(User.objects.get())
        address = urlsplit(self.world.url)
        connection = http.client.HTTPConnection(address.hostname, address.port, timeout=60)
        self.addCleanup(connection.close)
        headers = {
            "Authorization": f"Token {token}",
            "Content-Type": "image/jpeg",
            "Content-Disposition": f'attachment; filename="{SECRET}.jpg"',
            "X-Request-ID": "trace-me-1",
        }
        connection.request("POST", f"/api/v1/tickets/{ticket}/images/?secret={SECRET}", photo(1), headers)
        self.assertEqual(connection.getresponse().status, 202)

        self.find_span(name="POST ticket-images", request_id="trace-me-1", **{"http.route": "ticket-images"})
        upload = self.find_span(name="POST", request_id="trace-me-1")
        job = self.find_span(name="deliver_photo")

        self.assertEqual(upload["trace"], job["trace"])
        received = b"".join(self.receiver.bodies)
        cloudinary_secret = urlsplit(self.sandbox.cloudinary_url).password
        for value in (token, SECRET, cloudinary_secret, User.objects.get().email):
            self.assertNotIn(value.encode(), received)


class InstalledTests(SimpleTestCase):
    def test_packages_are_in_requirements_for_those_who_ask_alone(self):
        optional = (settings.BASE_DIR / "requirements-observability.txt").read_text()
        required = (settings.BASE_DIR / "requirements.txt").read_text()
        for package in ("sentry-sdk", "opentelemetry-sdk"):
            self.assertIn(f"\n{package}==", optional)
            self.assertNotIn(package, required)
