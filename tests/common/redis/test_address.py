import os
import subprocess
import sys

from django.conf import settings
from django.test import SimpleTestCase

from apps.common.redis.address import address_of, urls_in

SENTINELS = "redis+sentinel://:a-secret@one.example:26379,two.example:26379/mymaster/0"


class UrlsInTests(SimpleTestCase):
    def test_commas_separate_servers_and_within_one_url_its_sentinels(self):
        for text, urls in (
            ("", []),
            (" , ", []),
            ("redis://one", ["redis://one"]),
            ("redis://one, rediss://two/1,", ["redis://one", "rediss://two/1"]),
            (f"{SENTINELS},unix:///run/redis.sock", [SENTINELS, "unix:///run/redis.sock"]),
        ):
            with self.subTest(text):
                self.assertEqual(urls_in(text), urls)


class AddressTests(SimpleTestCase):
    def test_it_is_the_same_however_one_logs_in(self):
        for address, urls in {
            "one.example:6379/0": ["redis://one.example", "redis://:pw@ONE.example:6379/0", "rediss://a:b@one.example"],
            "one.example:6380/3": ["redis://one.example:6380/3", "redis://one.example:6380?db=3"],
            "[::1]:6379/0": ["redis://[::1]", "redis://:pw@[::1]:6379/0"],
            "/run/redis.sock/2": ["unix:///run/redis.sock?db=2", "unix://a:b@/run/redis.sock?db=2"],
            "mymaster/0": [SENTINELS, "redis+sentinel://three.example/mymaster"],
        }.items():
            for url in urls:
                with self.subTest(url):
                    self.assertEqual(address_of(url), address)

    def test_bad_url_is_refused_without_its_password(self):
        for url in ("http://:a-secret@one", "redis://:a-secret/0@one", "redis://one?db=a-secret", SENTINELS[:40]):
            with self.subTest(url), self.assertRaises(ValueError) as refusal:
                address_of(url)
            self.assertNotIn("a-secret", str(refusal.exception))

    def test_settings_refuse_it_among_good_ones(self):
        run = subprocess.run(
            [sys.executable, "manage.py", "check"],
            env=os.environ | {"STAGING_REDIS_URL": "redis://127.0.0.1:1/0,redis://:a-secret/0@one.example"},
            cwd=settings.BASE_DIR,
            capture_output=True,
            text=True,
        )
        self.assertIn("STAGING_REDIS_URL cannot be used: it does not have the form", run.stderr)
        self.assertNotIn("a-secret", run.stderr)
