import contextlib
import json
import os
import socket
import socketserver
import subprocess
import sys
import threading
from datetime import timedelta
from unittest import mock

import redis
from django.conf import settings
from django.core.management import call_command
from django.test import override_settings
from django.utils.timezone import now
from rq import Queue, SimpleWorker
from rq.utils import utcformat

from apps.common.redis.address import address_of
from apps.operations import health
from tests.case import HoplaAssertions
from tests.flush import FlushedTestCase

NOBODY_LISTENS = "redis://127.0.0.1:1/0"


class RefusesWrites(socketserver.StreamRequestHandler):
    """A Redis that says of all but the greeting and PING that it takes no writes."""

    def handle(self):
        while line := self.rfile.readline():
            if not line.startswith(b"*"):
                continue
            words = []
            for _ in range(int(line[1:])):
                length = int(self.rfile.readline()[1:])
                words.append(self.rfile.read(length + 2)[:-2])
            answers = {b"HELLO": b"%1\r\n+proto\r\n:3\r\n", b"PING": b"+PONG\r\n", b"CLIENT": b"+OK\r\n"}
            self.wfile.write(answers.get(words[0]) or f"-{self.server.refusal}\r\n".encode())


@contextlib.contextmanager
def running_redis_that_refuses_writes(refusal: str):
    """Yields its URL."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), RefusesWrites) as server:
        server.daemon_threads, server.refusal = True, refusal
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"redis://127.0.0.1:{server.server_address[1]}/0"
        finally:
            server.shutdown()


class HealthzTests(FlushedTestCase):
    def test_responds_without_checking_anything(self):
        with self.assertNumQueries(0), override_settings(REDIS_URL=NOBODY_LISTENS):
            response = self.client.get("/healthz")
        self.assertEqual((response.status_code, response.content), (200, b"ok\n"))
        self.assertIn("no-store", response["Cache-Control"])

    def test_only_reading_is_allowed(self):
        self.assertEqual(self.client.post("/healthz").status_code, 405)


class ReadyzTests(HoplaAssertions, FlushedTestCase):
    def setUp(self):
        super().setUp()
        self.within = health.DEADLINE_SECONDS
        self.enterContext(mock.patch.object(health, "DEADLINE_SECONDS", 60))  # on a busy machine all take longer
        self.redis = redis.Redis.from_url(settings.REDIS_URL)
        self.addCleanup(self.redis.close)
        self.redis.flushdb()
        self.worker = SimpleWorker([Queue("default", connection=self.redis)], connection=self.redis)
        self.worker.register_birth()

    def assert_missing(self, *names):
        response = self.client.get("/readyz")
        self.assertEqual((response.status_code, self.missing_in(response)), (503, set(names)))
        self.assertTrue(response["Retry-After"].isdecimal())

    def missing(self) -> set[str]:
        return self.missing_in(self.client.get("/readyz"))

    @staticmethod
    def missing_in(response) -> set[str]:
        return {name for name, outcome in response.json()["checks"].items() if outcome != "ok"}

    def test_ready_with_database_redis_and_a_worker(self):
        response = self.client.get("/readyz")
        checks = {"database": "ok", "redis": "ok", "staging": "ok", "worker": "ok", "cloudinary": "ok"}
        self.assertEqual((response.status_code, response.json()), (200, {"status": "ready", "checks": checks}))
        self.assertIn("no-store", response["Cache-Control"])

    def test_probe_by_ip_address_gets_a_response(self):
        with override_settings(ALLOWED_HOSTS=["hopla.example"]):
            self.assertEqual(self.client.get("/readyz", headers={"host": "10.1.2.3"}).status_code, 200)
            self.assertEqual(self.client.get("/healthz", headers={"host": "10.1.2.3"}).status_code, 200)

    def test_without_a_worker_it_is_not_ready(self):
        self.worker.register_death()
        self.assert_missing("worker")

    def test_worker_of_another_queue_does_not_count(self):
        self.worker.register_death()
        SimpleWorker([Queue("other", connection=self.redis)], connection=self.redis).register_birth()
        self.assert_missing("worker")

    def test_registration_without_a_recent_heartbeat_does_not_count(self):
        self.redis.hset(self.worker.key, "last_heartbeat", utcformat(now() - timedelta(minutes=1)))
        self.assert_missing("worker")

    def test_suspended_workers_are_named(self):
        call_command("rqsuspend")

        self.assert_missing("worker")
        self.assertIn("suspended", self.client.get("/readyz").json()["checks"]["worker"])

        call_command("rqresume")
        self.assertEqual(self.client.get("/readyz").status_code, 200)

    def test_unavailable_queue_is_named(self):
        with override_settings(REDIS_URL=NOBODY_LISTENS), self.assertLogs("apps.operations.health", "WARNING"):
            self.assert_missing("redis", "worker")

    def test_unavailable_staging_is_named(self):
        with override_settings(STAGING_REDIS_URL=NOBODY_LISTENS), self.assertLogs("apps.operations.health", "WARNING"):
            self.assert_missing("staging")

    def test_one_of_several_staging_servers_is_enough_and_the_others_are_named(self):
        urls = f"{settings.REDIS_URL},redis://ann:a-secret@127.0.0.1:1/0"
        with override_settings(STAGING_REDIS_URL=urls), self.assertLogs("apps.operations.health", "WARNING") as log:
            response = self.client.get("/readyz")

        there = address_of(settings.REDIS_URL)
        self.assertEqual(response.status_code, 200)
        self.assertEqual(response.json()["checks"]["staging"], "ok")
        self.assertEqual(response.json()["staging_servers"], {there: "ok", "127.0.0.1:1/0": "cannot be reached"})
        self.assertNotIn("a-secret", f"{response.content}{log.output}")

    def test_none_of_several_staging_servers_is_too_few(self):
        urls = f"{NOBODY_LISTENS},redis://127.0.0.1:1/1"
        with override_settings(STAGING_REDIS_URL=urls), self.assertLogs("apps.operations.health", "WARNING"):
            self.assert_missing("staging")

    def test_redis_that_never_responds_is_named(self):
        with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as silent:
            url = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
            within = mock.patch.object(health, "DEADLINE_SECONDS", self.within)
            with override_settings(STAGING_REDIS_URL=url), within:
                self.wait_until(lambda: self.missing() == {"staging"})

    def test_redis_that_takes_no_writes_is_named(self):
        for refusal, said in (("OOM command not allowed", "out of memory"), ("READONLY a replica", "read-only")):
            with self.subTest(said), running_redis_that_refuses_writes(refusal) as url:
                at_that = override_settings(REDIS_URL=url, STAGING_REDIS_URL=url)
                with at_that, self.assertLogs("apps.operations.health", "WARNING"):
                    checks = self.client.get("/readyz").json()["checks"]
                self.assertEqual((checks["redis"], checks["staging"]), (said, said))

    def test_checks_leave_no_key_behind(self):
        self.client.get("/readyz")
        self.assertFalse(self.redis.exists("hopla:probe"))

    def test_unavailable_database_is_named(self):
        source = (
            "from django.test import Client; response = Client(HTTP_HOST='localhost').get('/readyz');"
            "print(response.status_code, response.content.decode())"
        )
        environment = os.environ | {"DATABASE_URL": "postgres://nobody@127.0.0.1:1/nothing"}
        command = [sys.executable, "manage.py", "shell", "--no-imports", "-c", source]
        run = subprocess.run(
            command, env=environment, cwd=settings.BASE_DIR, capture_output=True, text=True, check=True
        )
        status, _, body = run.stdout.partition(" ")
        self.assertEqual(status, "503")
        # How it is named, and whether others are named too, depends on how busy the machine is.
        self.assertNotEqual(json.loads(body)["checks"]["database"], "ok")

    def test_responses_do_not_say_why(self):
        secret = "redis://:a-secret@127.0.0.1:1/0"
        with override_settings(STAGING_REDIS_URL=secret), self.assertLogs("apps.operations.health", "WARNING"):
            self.assertEqual(self.client.get("/readyz").json()["checks"]["staging"], "cannot be reached")
