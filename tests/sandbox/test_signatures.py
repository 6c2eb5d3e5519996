import hashlib
import json
import time

import cloudinary.exceptions
from urllib3.util import make_headers

from tests.sandbox.case import SandboxTestCase
from tests.sandbox.photos import photo


class SignatureTest(SandboxTestCase):
    def assert_refused(self, response, status, message):
        self.assertEqual(response.status, status)
        self.assertRegex(response.json()["error"]["message"], message)
        self.assertEqual(len(self.sandbox.assets), 0)

    def test_both_versions_and_algorithms_are_good(self):
        for version in (1, 2):
            for algorithm in ("sha1", "sha256"):
                with self.subTest(version=version, algorithm=algorithm):
                    self.upload(signature_version=version, signature_algorithm=algorithm, context={"a": "b&c"})

    def test_parameters_cannot_be_smuggled_through_version_2(self):
        # Signed: one tag "a&type=private". Sent: the tag "a" and the type "private".
        timestamp = str(int(time.time()))
        signed = f"tags=a%26type=private&timestamp={timestamp}"
        fields = {
            "tags": "a",
            "type": "private",
            "timestamp": timestamp,
            "api_key": "sandbox-key",
            "signature": hashlib.sha1(f"{signed}sandbox-secret".encode()).hexdigest(),
            "file": ("photo.jpg", photo()),
        }

        response = self.http.request("POST", f"{self.sandbox.url}/v1_1/sandbox/image/upload", fields=fields)

        self.assert_refused(response, 401, "^Invalid Signature")

    def test_wrong_secret_is_refused_with_the_string_to_sign(self):
        timestamp = int(time.time())

        response = self.post_signed(secret="other", timestamp=timestamp)

        to_sign = f"public_id=hopla/one&timestamp={timestamp}"
        self.assert_refused(response, 401, rf"^Invalid Signature [0-9a-f]{{40}}\. String to sign - '{to_sign}'\.$")

    def test_wrong_key_is_refused(self):
        with self.assertRaisesRegex(cloudinary.exceptions.AuthorizationRequired, "Unknown API key other"):
            self.upload(api_key="other")

    def test_wrong_cloud_is_refused(self):
        with self.assertRaisesRegex(cloudinary.exceptions.AuthorizationRequired, "Invalid cloud_name other"):
            self.upload(cloud_name="other")

    def test_cloud_name_may_be_written_in_capitals(self):
        self.upload(cloud_name="SANDBOX")

    def test_parameter_changed_after_signing_is_refused(self):
        params = {"timestamp": str(int(time.time())), "public_id": "a"}
        to_sign = f"public_id=a&timestamp={params['timestamp']}sandbox-secret"
        fields = params | {
            "public_id": "b",
            "signature": hashlib.sha1(to_sign.encode()).hexdigest(),
            "api_key": "sandbox-key",
            "file": ("photo.jpg", photo()),
        }

        response = self.http.request("POST", f"{self.sandbox.url}/v1_1/sandbox/image/upload", fields=fields)

        self.assert_refused(response, 401, "^Invalid Signature")

    def test_timestamp_is_good_for_an_hour(self):
        self.assertEqual(self.post_signed(timestamp=int(time.time()) - 3500).status, 200)

    def test_older_timestamp_is_stale(self):
        response = self.post_signed(timestamp=1481774573)

        self.assert_refused(
            response,
            400,
            r"^Stale request - reported time is 2016-12-15 04:02:53 \+0000 which is more than 1 hour ago$",
        )

    def test_missing_timestamp_is_refused(self):
        self.assert_refused(self.post_signed(timestamp=""), 400, "Missing required parameter - timestamp")

    def test_nonsense_timestamp_is_refused(self):
        self.assert_refused(self.post_signed(timestamp="soon"), 400, "Invalid timestamp")

    def test_unsigned_upload_is_refused(self):
        response = self.http.request(
            "POST", f"{self.sandbox.url}/v1_1/sandbox/image/upload", fields={"file": ("photo.jpg", photo())}
        )

        self.assert_refused(response, 400, "Upload preset must be specified")

    def test_basic_credentials_stand_in_for_a_signature(self):
        fields, url = {"file": ("photo.jpg", photo())}, f"{self.sandbox.url}/v1_1/sandbox/image/upload"
        right, wrong = self.basic("sandbox-secret"), self.basic("other")

        self.assertEqual(self.http.request("POST", url, fields=fields, headers=right).status, 200)
        self.assertEqual(self.http.request("POST", url, fields=fields, headers=wrong).status, 401)

    def test_secret_is_in_no_refusal(self):
        response = self.post_signed(secret="other")

        self.assertNotIn("sandbox-secret", json.dumps(response.json()) + str(response.headers))

    @staticmethod
    def basic(secret):
        return make_headers(basic_auth=f"sandbox-key:{secret}")
