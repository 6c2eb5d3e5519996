import base64
from datetime import timedelta
from unittest import mock

from django.utils import timezone
from standardwebhooks import Webhook, WebhookVerificationError

from apps.integrations.models import Endpoint
from apps.integrations.webhooks import signing
from tests.case import ApiTestCase
from tests.integrations.webhooks.makers import make_endpoint

BODY = b'{"type":"ping","timestamp":"2026-11-26T10:00:00Z","data":{}}'


class SigningTests(ApiTestCase):
    def headers(self, endpoint: Endpoint) -> dict:
        return signing.signed_headers(BODY, message_id="0f4b", secrets=signing.secrets_of(endpoint))

    def test_secret_is_32_random_bytes(self):
        one, other = signing.new_secret(), signing.new_secret()

        self.assertTrue(one.startswith("whsec_"))
        self.assertEqual(len(base64.b64decode(one.removeprefix("whsec_"), validate=True)), 32)
        self.assertNotEqual(one, other)

    def test_reference_library_verifies_it(self):
        secret = signing.new_secret()
        endpoint = make_endpoint(secret_encrypted=signing.encrypted(secret))

        self.assertEqual(Webhook(secret).verify(BODY, self.headers(endpoint))["type"], "ping")

        with self.assertRaises(WebhookVerificationError):
            Webhook(secret).verify(BODY + b" ", self.headers(endpoint))
        with self.assertRaises(WebhookVerificationError):
            Webhook(signing.new_secret()).verify(BODY, self.headers(endpoint))

    def test_secret_is_not_readable_in_the_database(self):
        secret = signing.new_secret()
        self.assertNotIn(
            secret.removeprefix("whsec_"), make_endpoint(secret_encrypted=signing.encrypted(secret)).secret_encrypted
        )

    def test_old_secret_signs_beside_the_new_one_for_a_day(self):
        old = signing.new_secret()
        endpoint = make_endpoint(secret_encrypted=signing.encrypted(old))

        new = signing.rotate(endpoint)

        endpoint.refresh_from_db()
        headers = self.headers(endpoint)
        self.assertEqual(len(headers["webhook-signature"].split()), 2)
        for secret in (new, old):
            Webhook(secret).verify(BODY, headers)
        later = timezone.now() + timedelta(hours=24, seconds=1)
        with mock.patch("django.utils.timezone.now", return_value=later):
            self.assertEqual(signing.secrets_of(endpoint), [new])

    def test_secret_before_the_old_one_signs_no_longer(self):
        first = signing.new_secret()
        endpoint = make_endpoint(secret_encrypted=signing.encrypted(first))

        signing.rotate(endpoint)
        signing.rotate(endpoint)

        with self.assertRaises(WebhookVerificationError):
            Webhook(first).verify(BODY, self.headers(endpoint))
