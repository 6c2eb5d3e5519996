"""`manage.py check` knows hopla's own settings."""

import os
import subprocess
import sys
from itertools import combinations

from django.conf import settings
from django.core.checks import run_checks
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.test import SimpleTestCase, override_settings

from apps.common.redis.address import address_of
from apps.tickets.checks import POSITIVE
from apps.tickets.staging.servers import address_code


class CheckTests(SimpleTestCase):
    def errors(self, **settings) -> list:
        with override_settings(**settings):
            return [error for error in run_checks() if error.id.startswith("hopla.")]

    def assert_error(self, id: str, *parts: str, **settings) -> None:
        [error] = self.errors(**settings)
        self.assertEqual(error.id, id)
        self.assertTrue(error.hint)
        for part in parts:
            self.assertIn(part, error.msg)

    def test_command_makes_them(self):
        """In a process of its own: this one has imported them."""
        check = subprocess.run(
            [sys.executable, "manage.py", "check"],
            env=os.environ | {"WORKER_CONCURRENCY": "0"},
            cwd=settings.BASE_DIR,
            capture_output=True,
            text=True,
        )
        self.assertIn("hopla.E001", check.stderr)

    def test_defaults_are_sound(self):
        self.assertEqual(self.errors(), [])

    def test_place_of_a_direct_upload_that_outlives_its_signature(self):
        self.assert_error("hopla.E008", "3601", DIRECT_UPLOAD_TTL_SECONDS=3601)

    def test_direct_uploads_of_which_cloudinary_cannot_tell(self):
        self.assert_error("hopla.E009", "PUBLIC_URL", DIRECT_UPLOADS=True, DEBUG=False, PUBLIC_URL_IS_SET=False)
        self.assertEqual(self.errors(DIRECT_UPLOADS=True, DEBUG=False, PUBLIC_URL_IS_SET=True), [])

    def test_limit_that_is_not_positive(self):
        for name in POSITIVE:
            for value in (0, -1):
                with self.subTest(name, value=value):
                    found = self.errors(**{name: value})
                    self.assertIn(("hopla.E001", f"{name} is {value}."), [(error.id, error.msg) for error in found])

    def test_budget_into_which_no_photo_fits(self):
        self.assert_error("hopla.E002", "STAGING_MAX_BYTES", STAGING_MAX_BYTES=999, IMAGE_MAX_BYTES=1000)
        self.assertEqual(self.errors(STAGING_MAX_BYTES=1000, IMAGE_MAX_BYTES=1000), [])

    def test_share_of_the_budget_that_is_none(self):
        for share in (0, -0.5, 1.01, 12.5):
            self.assert_error("hopla.E006", "STAGING_USER_SHARE", STAGING_USER_SHARE=share)
        self.assertEqual(self.errors(STAGING_USER_SHARE=1), [])

    def test_cloudinary_url_that_lacks_something(self):
        for url in (
            "",
            "https://key:secret@cloud",
            "cloudinary://key@cloud",
            "cloudinary://:secret@cloud",
            "cloudinary://key:secret@",
            "key:secret@cloud",
        ):
            with self.subTest(url):
                self.assert_error("hopla.E003", "cloudinary://KEY:SECRET@CLOUD", CLOUDINARY_URL=url)

    def test_secret_of_the_cloudinary_url_is_not_shown(self):
        [error] = self.errors(CLOUDINARY_URL="https://key:a-real-secret@cloud")

        self.assertNotIn("a-real-secret", f"{error.msg} {error.hint}")

    def test_staged_bytes_that_expire_before_the_last_attempt(self):
        self.assert_error("hopla.E004", "STAGING_TTL_SECONDS is 60", STAGING_TTL_SECONDS=60)

    def test_error_stops_the_start(self):
        with override_settings(WORKER_CONCURRENCY=0), self.assertRaisesMessage(SystemCheckError, "hopla.E001"):
            call_command("check")

    def test_daily_quota_that_one_photo_could_break(self):
        self.assert_error("hopla.E005", "UPLOAD_BYTES_PER_DAY", UPLOAD_BYTES_PER_DAY=1024)

    def test_staging_server_that_is_named_twice(self):
        urls = "redis://:a-secret@one.example:6379/0,redis://one.example"
        self.assert_error("hopla.E007", "one.example:6379/0 twice", STAGING_REDIS_URL=urls)

    def test_staging_servers_of_the_same_hash(self):
        names = [f"redis://:a-secret@one.example/{database}" for database in range(500)]
        codes = {url: address_code(address_of(url)) for url in names}
        one, other = next(pair for pair in combinations(names, 2) if codes[pair[0]] == codes[pair[1]])

        with override_settings(STAGING_REDIS_URL=f"{one},{other}"):
            [error] = [error for error in run_checks() if error.id == "hopla.E007"]

        self.assertIn(f"{address_of(one)} and {address_of(other)}", error.msg)
        self.assertNotIn("a-secret", f"{error.msg} {error.hint}")
