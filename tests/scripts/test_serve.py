import contextlib
import http.client
import os
import signal
import socket
import sys
from unittest import mock

from django.test import SimpleTestCase, TransactionTestCase, tag

from script import serve
from tests.scripts.programs import output_of, pid_of_child, read_until, start_command

SERVE = [sys.executable, "-m", "script.serve"]


class RefusalTests(SimpleTestCase):
    """Each starts script/server's program where it cannot come up: one sentence, a failure, nothing left running."""

    def assert_refuses(self, sentence, **environment):
        program = start_command(SERVE, environment=environment)
        self.assertIn(sentence, output_of(program))
        self.assertEqual(program.returncode, 1)

    def test_busy_port(self):
        with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as other:
            port = other.getsockname()[1]
            self.assert_refuses(f"hopla: Port {port} is in use. Stop what listens there", PORT=str(port))

    def test_port_that_is_none(self):
        self.assert_refuses("hopla: PORT is 'http', which is not a port number", PORT="http")

    def test_production_without_a_secret_key(self):
        port = str(serve.free_port())
        self.assert_refuses("hopla: SECRET_KEY is not set, and DEBUG is off.", PORT=port, DEBUG="off", SECRET_KEY="")


class MissingServicesTests(SimpleTestCase):
    def test_nothing_is_started_that_the_environment_names(self):
        named = {
            "DATABASE_URL": "postgres://hopla@db.example/hopla",
            "REDIS_URL": "redis://redis.example/0",
            "CLOUDINARY_URL": "cloudinary://key:secret@cloud",
        }
        with mock.patch.dict(os.environ, named):
            self.assertEqual(serve.start_what_is_missing(children=None, folder=None, postgres=None), {})
            self.assertEqual({name: os.environ[name] for name in named}, named)

    def test_readiness_is_asked_under_a_name_that_is_answered(self):
        self.assertEqual(serve.public_host([".hopla.example"]), "hopla.example")
        self.assertEqual(serve.public_host(["*"]), "localhost")


@tag("slow")
class ServerTests(TransactionTestCase):
    def start_server(self):
        port = serve.free_port()
        environment = {"PORT": str(port), "DEBUG": "on", "REDIS_URL": "", "STAGING_REDIS_URL": "", "CLOUDINARY_URL": ""}
        program = start_command(SERVE, environment=environment)
        self.addCleanup(program.stdout.close)
        self.addCleanup(program.wait)
        self.addCleanup(program.terminate)
        return program, port

    def test_everything_comes_up_and_goes_down_together(self):
        program, port = self.start_server()
        read_until(program, f"hopla is up at http://127.0.0.1:{port}")
        connection = http.client.HTTPConnection("127.0.0.1", port)
        connection.request("GET", "/readyz")
        self.assertEqual(connection.getresponse().status, 200)
        connection.close()
        program.send_signal(signal.SIGTERM)
        self.assertTrue(output_of(program).endswith("hopla: stopped.\n"))
        self.assertEqual(program.returncode, 0)
        self.assertTrue(serve.is_free(port))

    def test_death_of_the_worker_ends_everything_with_its_name(self):
        program, port = self.start_server()
        read_until(program, "hopla is up")
        os.kill(pid_of_child(program.pid, "rqworker"), signal.SIGKILL)
        self.assertIn("hopla: worker ended with signal SIGKILL.", output_of(program))
        self.assertEqual(program.returncode, 1)
        self.assertTrue(serve.is_free(port))
