import os
import subprocess
import sys

from django.conf import settings
from django.test import SimpleTestCase
from redis.exceptions import ConnectionError as RedisConnectionError

from apps.common.redis.client import new_client
from apps.common.redis.sentinel import MasterConnection, queue_options

SENTINELS = "redis+sentinel://user:p%40ss@one.example:26380,two.example,[::1]:26381/mymaster/3?sentinel_password=other"


class QueueOptionsTests(SimpleTestCase):
    def test_url_of_one_server_is_passed_on(self):
        for url in ("redis://:secret@redis.example:6379/1", "rediss://redis.example", "unix:///run/redis.sock?db=2"):
            with self.subTest(url):
                self.assertEqual(queue_options(url), {"URL": url})

    def test_sentinels_and_what_they_look_after_are_read(self):
        options = queue_options(SENTINELS)
        self.assertEqual(options["SENTINELS"], [("one.example", 26380), ("two.example", 26379), ("::1", 26381)])
        self.assertEqual((options["MASTER_NAME"], options["DB"]), ("mymaster", 3))
        self.assertEqual((options["CONNECTION_KWARGS"]["username"], options["PASSWORD"]), ("user", "p@ss"))
        self.assertEqual(options["SENTINEL_KWARGS"]["password"], "other")

    def test_passwords_and_database_may_be_left_out(self):
        options = queue_options("redis+sentinel://one.example/mymaster")
        self.assertEqual((options["DB"], options["PASSWORD"], options["SENTINEL_KWARGS"]["password"]), (0, None, None))

    def test_url_that_makes_no_sense_is_refused(self):
        for url in (
            "redis+sentinel://one.example",
            "redis+sentinel:///mymaster",
            "redis+sentinel://one.example,/mymaster",
            "redis+sentinel://one.example:port/mymaster",
            "redis+sentinel://one.example/mymaster/first",
            "redis+sentinel://one.example/mymaster?master=1",
        ):
            with self.subTest(url), self.assertRaises(ValueError):
                queue_options(url)

    def test_settings_refuse_it_too_and_do_not_show_its_password(self):
        for name in ("REDIS_URL", "STAGING_REDIS_URL"):
            with self.subTest(name):
                run = subprocess.run(
                    [sys.executable, "manage.py", "check"],
                    env=os.environ | {name: "redis+sentinel://:a-secret@one.example"},
                    cwd=settings.BASE_DIR,
                    capture_output=True,
                    text=True,
                )
                self.assertIn(f"{name} cannot be used: it does not have the form", run.stderr)
                self.assertNotIn("a-secret", run.stderr)


class ClientOfMasterTests(SimpleTestCase):
    def test_it_takes_account_and_options_along(self):
        pool = new_client(SENTINELS, socket_timeout=1.5).connection_pool
        expected = {"username": "user", "password": "p@ss", "db": 3, "socket_timeout": 1.5}
        self.assertEqual({name: pool.connection_kwargs[name] for name in expected}, expected)
        self.assertIs(pool.connection_class, MasterConnection)

    def test_search_for_a_master_in_vain_leaves_no_connection_behind(self):
        client = new_client("redis+sentinel://127.0.0.1:1/mymaster")
        for _ in range(3):
            with self.assertRaises(RedisConnectionError):
                client.ping()
        self.assertEqual(len(client.connection_pool._connections), 1)
