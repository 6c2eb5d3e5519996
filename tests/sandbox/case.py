import time

import cloudinary.uploader
import urllib3
from cloudinary import utils
from django.test import SimpleTestCase

from apps.sandbox.server import SandboxServer
from tests.sandbox.photos import photo

PATIENCE_SECONDS = 60  # only what hangs takes so long


class SandboxTestCase(SimpleTestCase):
    """A sandbox of its own for each test, and the official SDK pointed at it call by call."""

    server_options = {}

    def setUp(self):
        self.sandbox = SandboxServer(**self.server_options).start()
        self.addCleanup(self.sandbox.stop)
        self.sdk = {
            "cloud_name": "sandbox",
            "api_key": "sandbox-key",
            "api_secret": "sandbox-secret",
            "upload_prefix": self.sandbox.url,
            "timeout": PATIENCE_SECONDS,
        }
        self.http = urllib3.PoolManager(retries=False, timeout=PATIENCE_SECONDS)
        self.addCleanup(self.http.clear)

    def upload(self, data=None, **options):
        data = photo() if data is None else data
        return cloudinary.uploader.upload(data, **(self.sdk | {"public_id": "hopla/one"} | options))

    def post_signed(self, data=None, *, secret="sandbox-secret", algorithm="sha1", version=2, **params):
        """A signed upload without the SDK's uploader, for parameters that it would not send."""
        params = {"timestamp": utils.now(), "public_id": "hopla/one"} | params
        params["signature"] = utils.api_sign_request(params, secret, algorithm, version)
        fields = list((params | {"api_key": "sandbox-key"}).items())
        fields.append(("file", ("photo.jpg", photo() if data is None else data)))
        return self.http.request("POST", f"{self.sandbox.url}/v1_1/sandbox/image/upload", fields=fields)

    def wait_until(self, condition):
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            self.assertLess(time.monotonic(), deadline, "it never came true")
            time.sleep(0.01)

    def get(self, url, **headers):
        return self.http.request("GET", url, headers=headers)
