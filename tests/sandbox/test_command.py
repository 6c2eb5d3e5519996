import json
import os
import re
import signal
import subprocess
import sys

from cloudinary import api
from django.conf import settings
from django.core.management import CommandError, call_command
from django.test import SimpleTestCase, override_settings

from apps.sandbox.account import AccountError, account_of, upload_prefix_of
from apps.sandbox.server import SandboxServer

UPLOAD_WITH_THE_VARIABLE_ALONE = """
import io, json
from PIL import Image
import cloudinary.uploader, cloudinary.api
photo = io.BytesIO()
Image.new("RGB", (8, 8)).save(photo, "JPEG")
stored = cloudinary.uploader.upload(photo.getvalue(), public_id="hopla/one", timeout=60)
found = cloudinary.api.resource("hopla/one")
print(json.dumps([stored["etag"], found["etag"], cloudinary.uploader.destroy("hopla/one", timeout=60)["result"]]))
"""


def environment(**variables):
    return {name: value for name, value in os.environ.items() if not name.startswith("CLOUDINARY")} | variables


class CommandTest(SimpleTestCase):
    def start(self, *arguments, **variables):
        command = [sys.executable, "manage.py", "sandbox", "--port", "0", *arguments]
        process = subprocess.Popen(
            command,
            cwd=settings.BASE_DIR,
            env=environment(DEBUG="on", **variables),
            stdout=subprocess.PIPE,
            text=True,
        )
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process, re.search(r"http://[\d.]+:\d+", process.stdout.readline()).group()

    def test_serves_the_account_of_the_environment(self):
        _, url = self.start(CLOUDINARY_URL="cloudinary://some-key:some-secret@some-cloud")

        answer = api.ping(
            cloud_name="some-cloud", api_key="some-key", api_secret="some-secret", upload_prefix=url, timeout=60
        )

        self.assertEqual(answer["status"], "ok")

    def test_signals_stop_it(self):
        for name in (signal.SIGTERM, signal.SIGINT):
            with self.subTest(name):
                process, _ = self.start(CLOUDINARY_URL="cloudinary://k:s@c")
                process.send_signal(name)
                self.assertEqual(process.wait(timeout=60), 0)

    @override_settings(DEBUG=False)
    def test_refuses_with_debug_off(self):
        with self.assertRaisesMessage(CommandError, "The sandbox is for development: it runs only with DEBUG on."):
            call_command("sandbox", port=0)

    @override_settings(DEBUG=True, CLOUDINARY_URL="cloudinary://k:s@c")
    def test_busy_port_is_named(self):
        with SandboxServer() as other:
            expected = f"Port {other.port} of 127.0.0.1 is in use. Name another one with --port"
            with self.assertRaisesMessage(CommandError, expected):
                call_command("sandbox", port=other.port)

    @override_settings(DEBUG=True, CLOUDINARY_URL="cloudinary://half-a-secret@c")
    def test_broken_address_is_refused_without_repeating_it(self):
        with self.assertRaises(CommandError) as caught:
            call_command("sandbox", port=0)
        self.assertNotIn("half-a-secret", str(caught.exception))


class SdkTest(SimpleTestCase):
    def test_official_sdk_needs_nothing_but_the_variable(self):
        with SandboxServer() as sandbox:
            done = subprocess.run(
                [sys.executable, "-c", UPLOAD_WITH_THE_VARIABLE_ALONE],
                env=environment(CLOUDINARY_URL=sandbox.cloudinary_url),
                capture_output=True,
                text=True,
                timeout=600,
            )

            self.assertEqual(done.returncode, 0, done.stderr)
            sent = sandbox.uploads[0].etag
            self.assertEqual(json.loads(done.stdout), [sent, sent, "ok"])


class AccountTest(SimpleTestCase):
    def test_address_gives_the_account(self):
        account = account_of("cloudinary://key:se%2Fcret@My-Cloud?upload_prefix=http://127.0.0.1:9")

        self.assertEqual((account.cloud_name, account.api_key, account.api_secret), ("My-Cloud", "key", "se%2Fcret"))

    def test_upload_prefix_gives_the_place_to_listen(self):
        self.assertEqual(upload_prefix_of("cloudinary://k:s@c?upload_prefix=http://127.0.0.2:9"), ("127.0.0.2", 9))
        self.assertIsNone(upload_prefix_of("cloudinary://k:s@c"))

    def test_broken_address_is_an_error(self):
        for address in ("", "http://k:s@c", "cloudinary://k@c", "cloudinary://k:s@"):
            with self.subTest(address), self.assertRaises(AccountError):
                account_of(address)

    def test_secret_is_not_shown(self):
        self.assertNotIn("hidden", repr(account_of("cloudinary://key:hidden@cloud")))
