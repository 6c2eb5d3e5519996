import traceback
from datetime import datetime, timedelta, timezone
from unittest import mock
from urllib.parse import urlsplit

import cloudinary as sdk
from django.conf import settings
from django.test import SimpleTestCase, override_settings

from apps.common.observability import metrics
from apps.tickets.storage import cloudinary
from tests.makers import jpeg_bytes, running_sandbox

PHOTO = jpeg_bytes(1, size=4000)  # of which one half is a photo too
ID = "hopla/one"
SECRET = "sandbox-secret"


class CloudTestCase(SimpleTestCase):
    def setUp(self):
        self.sandbox = self.enterContext(running_sandbox())

    def put(self):
        return cloudinary.put(public_id=ID, content=PHOTO)

    def assert_put_fails(self, error: type[cloudinary.CloudError]) -> cloudinary.CloudError:
        """With exactly this error, whose text holds nothing secret."""
        with self.assertRaises(cloudinary.CloudError) as caught:
            self.put()
        self.assertIs(type(caught.exception), error)
        self.assertTrue(caught.exception.detail)
        for secret in (SECRET, "String to sign", "Invalid Signature"):
            self.assertNotIn(secret, caught.exception.detail)
        return caught.exception


class PutTests(CloudTestCase):
    def test_photo_is_stored_as_it_was_sent(self):
        asset = self.put()

        stored = self.sandbox.assets.find(public_id=ID)
        self.assertEqual((stored.bytes, stored.format, stored.type), (len(PHOTO), "jpg", "upload"))
        self.assertEqual((asset.asset_id, asset.version, asset.format), (stored.asset_id, stored.version, "jpg"))

    def test_repeat_replaces_and_never_doubles(self):
        self.put()
        self.put()

        self.assertEqual([asset.times_stored for asset in self.sandbox.assets], [2])

    def test_names_of_the_sdk_that_are_replaced_carry_its_requests(self):
        """They are private to the SDK. With our pool not in use no deadline would end a request."""
        pool = cloudinary._pool.connection_from_url(self.sandbox.url)
        for number in (1, 2, 3):
            self.put()
            self.assertEqual(pool.num_requests, number)
        cloudinary.find([ID])
        cloudinary.delete(ID)
        self.assertEqual((pool.num_requests, pool.num_connections), (5, 1))

    def test_pool_holds_a_connection_for_every_job_side_by_side_and_one_for_the_reconciler(self):
        pool = cloudinary._pool.connection_from_url(self.sandbox.url)

        self.assertEqual(pool.pool.maxsize, settings.WORKER_CONCURRENCY + 1)


class TroubleTests(CloudTestCase):
    def test_passing_trouble(self):
        for kind, parameters in (
            ("refuse", {"status": 500}),
            ("refuse", {"status": 502}),
            ("refuse", {"status": 503}),
            ("refuse", {"status": 504}),
            ("refuse", {"status": 423}),
            ("refuse", {"status": 400, "body": "<html>a proxy's page</html>"}),
            ("refuse", {"status": 403, "body": "<html>a proxy's page</html>"}),
            ("refuse", {"status": 404, "body": "<html>a proxy's page</html>"}),
            ("refuse", {"status": 400, "message": "Stale request - reported time is 2026-01-01 which is old"}),
            ("drop_before_reading", {}),
            ("reset_before_storing", {}),
            ("store_then_drop", {}),
            ("store_then_500", {}),
            ("cut_answer", {}),
            ("truncated_json", {}),
            ("null_body", {}),
            ("html_page", {}),
        ):
            with self.subTest(kind, **parameters):
                self.sandbox.misbehave(kind, times=1, **parameters)
                self.assert_put_fails(cloudinary.PassingError)

    def test_answer_about_something_else_than_was_sent(self):
        for kind in ("wrong_public_id", "wrong_etag", "wrong_bytes", "store_half"):
            with self.subTest(kind):
                self.sandbox.misbehave(kind, times=1)
                self.assert_put_fails(cloudinary.AnswerNotTrustedError)

    @override_settings(UPLOAD_TIMEOUT_SECONDS=0.3)
    def test_answer_that_does_not_come_or_never_ends(self):
        for kind, parameters in (
            ("hang", {}),
            ("store_then_hang", {}),
            ("drip", {"interval_seconds": 0.05}),
            ("latency", {"seconds": 600}),
        ):
            with self.subTest(kind):
                self.sandbox.misbehave(kind, times=1, **parameters)
                error = self.assert_put_fails(cloudinary.PassingError)
                self.assertIn("deadline", error.detail)

    def test_nobody_listening(self):
        self.sandbox.stop()

        self.assert_put_fails(cloudinary.PassingError)

    def test_refusal_for_good(self):
        for status, message in (
            (400, "Invalid image file"),
            (400, "File size too large. Got 9. Maximum is 8."),
            (403, "Not allowed"),
            (404, "Resource not found"),
            (409, "Already exists"),
        ):
            with self.subTest(status=status, message=message):
                self.sandbox.misbehave("refuse", status=status, message=message, times=1)
                self.assertEqual(self.assert_put_fails(cloudinary.RefusedError).detail, message)

    def test_photo_that_cloudinary_itself_finds_none(self):
        with self.assertRaises(cloudinary.RefusedError):
            cloudinary.put(public_id=ID, content=b"no photo")

    def test_limit_of_the_account_names_its_end(self):
        before = datetime.now(timezone.utc)
        self.sandbox.misbehave("refuse", status=420, reset_in_seconds=600)

        error = self.assert_put_fails(cloudinary.RateLimitedError)
        self.assertTrue(error.everyone)
        self.assertGreaterEqual(error.until, before + timedelta(seconds=598))  # a date of whole seconds

    def test_too_many_requests_name_the_wait(self):
        before = datetime.now(timezone.utc)
        self.sandbox.misbehave("refuse", status=429, retry_after=30)

        error = self.assert_put_fails(cloudinary.RateLimitedError)
        self.assertFalse(error.everyone)
        self.assertGreaterEqual(error.until, before + timedelta(seconds=30))

    def test_rate_limit_that_names_no_time(self):
        for headers in ({"Retry-After": "soon"}, {"Retry-After": ""}):
            with self.subTest(headers):
                self.sandbox.misbehave("refuse", status=429, headers=headers, retry_after=None, times=1)
                error = self.assert_put_fails(cloudinary.RateLimitedError)
                self.assertTrue(error.until is None or error.until > datetime.now(timezone.utc))

    def test_wrong_credentials_show_no_string_to_sign(self):
        self.sandbox.misbehave("wrong_credentials")

        error = self.assert_put_fails(cloudinary.CredentialsError)
        self.assertIsNone(error.__cause__)
        self.assertNotIn(SECRET, "".join(traceback.format_exception(error)))

    def test_wrong_secret_in_truth(self):
        url = self.sandbox.cloudinary_url.replace(SECRET, "another")
        with override_settings(CLOUDINARY_URL=url):
            self.assert_put_fails(cloudinary.CredentialsError)
        self.assertEqual(list(self.sandbox.assets), [])


class UnforeseenTests(CloudTestCase):
    """An error of hopla itself, or of the SDK, is not reported as a network error."""

    def break_the_account(self):
        """hopla's own line fails, or the SDK's: an account that is not what its code expects."""
        self.enterContext(mock.patch.object(cloudinary._pool, "pool_classes_by_scheme", None))

    def test_it_is_told_with_its_traceback_and_counted(self):
        self.break_the_account()
        before = metrics.totals().get(("hopla_unforeseen_errors", ("cloudinary",), ""), 0)

        with self.assertLogs("apps.common.observability.unforeseen", "ERROR") as log:
            error = self.assert_put_fails(cloudinary.OwnError)

        self.assertIsInstance(error.__cause__, TypeError)
        self.assertIn("Traceback", log.output[0])
        self.assertEqual(metrics.totals()["hopla_unforeseen_errors", ("cloudinary",), ""], before + 1)
        self.assertNotIn("connection", error.detail)

    def test_trouble_that_is_foreseen_is_not_reported(self):
        for kind, parameters in (
            ("null_body", {}),
            ("html_page", {}),
            ("drop_before_reading", {}),
            ("refuse", {"status": 502}),
            ("refuse", {"status": 200, "body": "[]"}),
            ("refuse", {"status": 200, "body": '"words"'}),
            ("refuse", {"status": 200, "body": '{"error": "words"}'}),
            ("refuse", {"status": 200, "body": '{"error": {}}'}),
            ("refuse", {"status": 200, "body": '["error"]'}),
        ):
            for call in (self.put, lambda: cloudinary.find([ID]), lambda: cloudinary.delete(ID), self.list_assets):
                with self.subTest(kind, **parameters), self.assertNoLogs("apps.common.observability.unforeseen"):
                    self.sandbox.misbehave(kind, action="any", **parameters)
                    with self.assertRaises(cloudinary.PassingError) as caught:
                        call()
                    self.assertNotIsInstance(caught.exception, cloudinary.OwnError)
                    self.sandbox.behave()

    def list_assets(self):
        return list(cloudinary.list_assets())

    def test_cause_of_a_refusal_is_kept(self):
        self.sandbox.misbehave("refuse", action="any", status=404, message="Resource not found")
        with self.assertRaises(cloudinary.RefusedError) as caught:
            cloudinary.find([ID])
        self.assertIsNotNone(caught.exception.__cause__)

    def test_refused_credentials_of_an_admin_call_show_no_cause(self):
        self.sandbox.misbehave("wrong_credentials", action="any")
        with self.assertRaises(cloudinary.CredentialsError) as caught:
            cloudinary.find([ID])
        self.assertTrue(caught.exception.__suppress_context__)


class AccountTests(SimpleTestCase):
    def url_of(self, account: str) -> str:
        with override_settings(CLOUDINARY_URL=account, CLOUDINARY_DELIVERY_URL=""):
            return cloudinary.delivery_url(public_id=ID, version=7, format="jpg")

    def test_cloud_name_keeps_its_case(self):
        self.assertEqual(urlsplit(self.url_of("cloudinary://k:s@MyCloud")).path.split("/")[1], "MyCloud")

    def test_upload_prefix_may_end_with_a_slash(self):
        with running_sandbox() as sandbox, override_settings(CLOUDINARY_URL=sandbox.cloudinary_url + "/"):
            self.assertEqual(cloudinary.put(public_id=ID, content=PHOTO).public_id, ID)

    def test_environment_of_the_sdk_is_not_read(self):
        theirs = {"CLOUDINARY_CLOUD_NAME": "another", "CLOUDINARY_API_SECRET": "wrong"}
        with running_sandbox() as sandbox, mock.patch.dict("os.environ", theirs):
            sdk.reset_config()
            self.addCleanup(sdk.reset_config)
            cloudinary.put(public_id=ID, content=PHOTO)
            self.assertEqual(len(list(sandbox.assets)), 1)
