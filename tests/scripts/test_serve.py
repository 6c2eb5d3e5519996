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
class FreshCheckoutTests(SimpleTestCase):
    """script/server's program in a checkout of its own, with nothing in the environment that names a server."""

    def setUp(self):
        self.checkout = Path(self.enterContext(tempfile.TemporaryDirectory()))
        for name in ("script", "hopla", "apps"):
            shutil.copytree(settings.BASE_DIR / name, self.checkout / name)  # with what is compiled: that takes seconds
        shutil.copy(settings.BASE_DIR / "manage.py", self.checkout)
        self.port = serve.free_port()

    def start_server(self, *command, until: str):
        """The program, and what it prints until then."""
        environment = dict.fromkeys(["DATABASE_URL", "REDIS_URL", "STAGING_REDIS_URL", "CLOUDINARY_URL"], "")
        environment |= {"PORT": str(self.port), "DEBUG": "on", "WEB_CONCURRENCY": "1"}
        program = start_command(command, environment=environment, cwd=self.checkout)
        self.addCleanup(program.stdout.close)
        self.addCleanup(program.wait)
        self.addCleanup(program.terminate)
        return program, read_until(program, until)

    def get(self, url: str) -> tuple[int, str]:
        connection = http.client.HTTPConnection(urlsplit(url).netloc)
        with contextlib.closing(connection):
            connection.request("GET", urlsplit(url).path)
            response = connection.getresponse()
            return response.status, response.read().decode()

    def manage(self, variables: str, *command: str) -> str:
        """What manage.py prints in another terminal."""
        line = f"{variables} {sys.executable} manage.py {' '.join(command)}"
        return output_of(start_command(["sh", "-c", line], cwd=self.checkout))

    def test_three_starts_in_the_same_folder(self):
        """One test, since each of them takes seconds."""
        self.check_start_without_a_postgres_that_fits()
        token = self.check_start_on_a_postgres_of_its_own_beside_what_is_in_sqlite()
        self.check_start_on_the_same_data_also_for_the_network(token)

    def check_start_without_a_postgres_that_fits(self):
        program, printed = self.start_server(sys.executable, "-c", SERVE_WITHOUT_POSTGRES, until="  Cloudinary ")
        self.assertIn("hopla: There is no PostgreSQL on PATH, and no wheel of it fits this machine.", printed)
        self.assertIn(f"database       {self.checkout.resolve() / 'var' / 'db.sqlite3'}\n", printed)
        program.terminate()
        output_of(program)

    def check_start_on_a_postgres_of_its_own_beside_what_is_in_sqlite(self) -> str:
        """Everything comes up and goes down together. Returns the token of the guests' page."""
        program, printed = self.start_server(*SERVE, until="/u/")
        self.assertIn("a private PostgreSQL, its data in var/postgresql\n", printed)
        self.assertIn("what is in var/db.sqlite3 is still there: DATABASE_URL=sqlite:///var/db.sqlite3", printed)
        self.assertIn(f"hopla is up at http://127.0.0.1:{self.port} ", printed)
        self.assertEqual(self.get(f"http://127.0.0.1:{self.port}/readyz")[0], 200)
        [variables] = re.findall("^export (.*)$", printed, re.MULTILINE)
        self.assertEqual(self.manage(variables, "migrate", "--check"), "")
        [token] = re.findall("/u/(.{43})/", printed)
        program.terminate()
        printed += output_of(program)
        self.assertRegex(printed, r"hopla: stopped\.\n\Z")
        self.assertEqual(printed.count(token), 1)
        self.assertEqual(program.returncode, 0)
        self.assertTrue(serve.is_free(self.port))
        return token

    def check_start_on_the_same_data_also_for_the_network(self, token: str):
        """At a second address of this machine alone, as there may be no network here. The death of the worker ends
        everything, with its name."""
        program, printed = self.start_server(*SERVE, "--lan=127.0.0.2", until="EVERYONE IN THIS NETWORK")
        self.assertIn("the sandbox at http://127.0.0.2:", printed)
        self.assertIn(f"\n  http://127.0.0.2:{self.port}/u/{token}/\n", printed)  # the page of the start before
        status, page = self.get(f"http://127.0.0.2:{self.port}/u/{token}/")
        self.assertEqual(status, 200)
        self.assertIn("A blue car, for a guest", page)
        os.kill(pid_of_child(program.pid, "rqworker"), signal.SIGKILL)
        self.assertIn("hopla: worker ended with signal SIGKILL.", output_of(program))
        self.assertEqual(program.returncode, 1)
        self.assertTrue(serve.is_free(self.port))
        self.assertTrue(serve.is_free(self.port, "127.0.0.2"))
