import contextlib
import http.client
import io
import os
import re
import shutil
import signal
import socket
import sys
import tempfile
from pathlib import Path
from unittest import mock
from urllib.parse import urlsplit

from django.conf import settings
from django.test import SimpleTestCase, tag

from script import prepare, serve
from script.servers import CannotStart
from tests.flush import FlushedTestCase
from tests.scripts.programs import output_of, pid_of_child, read_until, start_command

SERVE = [sys.executable, "-m", "script.serve"]


# As on a machine where no PostgreSQL fits.
SERVE_WITHOUT_POSTGRES = "from script import serve, servers; servers.OLDEST_POSTGRES = 1000; serve.main([])"


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

    def test_network_in_production(self):
        with self.assertRaisesMessage(CannotStart, "--lan is for development, and DEBUG is off"):
            serve.lan_address("127.0.0.1", in_development=False)

    def test_arguments_that_it_does_not_know(self):
        for arguments in (["--lna"], ["8000"], ["--lan", "192.168.1.5", "8000"]):
            printed = io.StringIO()
            with self.subTest(arguments), contextlib.redirect_stderr(printed), self.assertRaises(SystemExit):
                serve.parse(arguments)
            self.assertIn("usage: script/server [-h] [--lan [ADDRESS]]", printed.getvalue())

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

    def test_path_of_the_guests_page_is_handed_over_where_only_its_user_reads_it(self):
        file = Path(self.enterContext(tempfile.TemporaryDirectory())) / "path"
        prepare.tell("/u/token/", file=file)
        self.assertEqual((file.read_text(), file.stat().st_mode & 0o777), ("/u/token/", 0o600))

    def test_terminal_has_columns_where_it_can_show_every_character(self):
        for encoding, shows in (("utf-8", True), ("iso8859-2", False)):
            master, slave = os.openpty()
            self.addCleanup(os.close, master)
            with open(slave, "w", encoding=encoding) as terminal, contextlib.redirect_stdout(terminal):
                self.assertEqual(serve.columns_of_terminal() > 0, shows)
        with contextlib.redirect_stdout(io.StringIO()):
            self.assertEqual(serve.columns_of_terminal(), 0)

    def test_readiness_is_checked_under_an_allowed_host_name(self):
        self.assertEqual(serve.public_host([".hopla.example"]), "hopla.example")
        self.assertEqual(serve.public_host(["*"]), "localhost")


@tag("slow")
class ServerTests(FlushedTestCase):
    def start_server(self, *arguments):
        port = serve.free_port()
        environment = {"PORT": str(port), "DEBUG": "on", "WEB_CONCURRENCY": "1"}
        environment |= dict.fromkeys(["REDIS_URL", "STAGING_REDIS_URL", "CLOUDINARY_URL"], "")
        program = start_command([*SERVE, *arguments], environment=environment)
        self.addCleanup(program.stdout.close)
        self.addCleanup(program.wait)
        self.addCleanup(program.terminate)
        return program, port

    def get(self, url: str) -> tuple[int, str]:
        connection = http.client.HTTPConnection(urlsplit(url).netloc)
        with contextlib.closing(connection):
            connection.request("GET", urlsplit(url).path)
            response = connection.getresponse()
            return response.status, response.read().decode()

    def test_everything_comes_up_and_goes_down_together(self):
        """At a second address besides: one of this machine alone, as there may be no network where tests run."""
        program, port = self.start_server("--lan=127.0.0.2")
        printed = read_until(program, f"hopla is up at http://127.0.0.1:{port}")
        self.assertEqual(self.get(f"http://127.0.0.1:{port}/readyz")[0], 200)
        printed += read_until(program, "EVERYONE IN THIS NETWORK")
        self.assertIn("the sandbox at http://127.0.0.2:", printed)
        [token] = re.findall(rf"\n  http://127\.0\.0\.2:{port}/u/(.{{43}})/\n", printed)
        status, page = self.get(f"http://127.0.0.2:{port}/u/{token}/")
        self.assertEqual(status, 200)
        self.assertIn("A blue car, for a guest", page)
        program.send_signal(signal.SIGTERM)
        printed += output_of(program)
        self.assertTrue(printed.endswith("hopla: stopped.\n"))
        self.assertEqual(printed.count(token), 1)
        self.assertEqual(program.returncode, 0)
        self.assertTrue(serve.is_free(port))
        self.assertTrue(serve.is_free(port, "127.0.0.2"))

    def test_death_of_the_worker_ends_everything_with_its_name(self):
        program, port = self.start_server()
        read_until(program, "hopla is up")
        os.kill(pid_of_child(program.pid, "rqworker"), signal.SIGKILL)
        self.assertIn("hopla: worker ended with signal SIGKILL.", output_of(program))
        self.assertEqual(program.returncode, 1)
        self.assertTrue(serve.is_free(port))


@tag("slow")
class FreshCheckoutTests(SimpleTestCase):
    """script/server's program in a checkout of its own, with nothing in the environment that names a server."""

    def setUp(self):
        self.checkout = Path(self.enterContext(tempfile.TemporaryDirectory()))
        for name in ("script", "hopla", "apps"):
            shutil.copytree(settings.BASE_DIR / name, self.checkout / name)  # with what is compiled: that takes seconds
        shutil.copy(settings.BASE_DIR / "manage.py", self.checkout)

    def start_server(self, command=SERVE, **environment):
        """The program, and what it prints once it is up."""
        nothing = dict.fromkeys(["DATABASE_URL", "REDIS_URL", "STAGING_REDIS_URL", "CLOUDINARY_URL"], "")
        environment = nothing | {"PORT": str(serve.free_port()), "DEBUG": "on", "WEB_CONCURRENCY": "1"} | environment
        program = start_command(command, environment=environment, cwd=self.checkout)
        self.addCleanup(program.stdout.close)
        self.addCleanup(program.wait)
        self.addCleanup(program.terminate)
        return program, read_until(program, "  Cloudinary ")

    def stop(self, program):
        program.terminate()
        self.assertTrue(output_of(program).endswith("hopla: stopped.\n"))

    def test_starts_on_sqlite_then_on_a_postgres_of_its_own_and_again_on_the_same_data(self):
        """In one test, since each start takes seconds."""
        data = self.checkout / "var" / "postgresql"
        program, printed = self.start_server([sys.executable, "-c", SERVE_WITHOUT_POSTGRES])
        self.assertIn("hopla: There is no PostgreSQL on PATH, and no wheel of it fits this machine.", printed)
        self.assertIn(f"database       {self.checkout.resolve() / 'var' / 'db.sqlite3'}\n", printed)
        self.assertFalse(data.exists())
        program.terminate()
        output_of(program)
        guest_pages = set()
        for _ in range(2):
            program, printed = self.start_server()
            self.assertIn("a private PostgreSQL, its data in var/postgresql\n", printed)
            self.assertIn("what is in var/db.sqlite3 is still there: DATABASE_URL=sqlite:///var/db.sqlite3", printed)
            variables = read_until(program, "export ").rpartition("export ")[2]
            manage = f"{variables.strip()} {sys.executable} manage.py migrate --check"
            self.assertEqual(output_of(start_command(["sh", "-c", manage], cwd=self.checkout)), "")
            made_at = (data / "PG_VERSION").stat().st_mtime
            guest_pages |= set(re.findall("/u/.{43}/", read_until(program, "/u/")))
            self.stop(program)
        self.assertEqual(len(guest_pages), 1)
        self.assertEqual((data / "PG_VERSION").stat().st_mtime, made_at)
