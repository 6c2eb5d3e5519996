import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import psycopg
from django.conf import settings
from django.test import SimpleTestCase, tag

from tests.scripts.programs import is_running, output_of, read_until, start_command, wait_until

# Starts it as script/server does, prints where its socket lies, and stays until it is asked to stop.
PROGRAM = """
from script import servers
from script.children import Children, StopAsked
from script.kept_postgres import KeptPostgres, Unfit
from script.servers import CannotStart

servers.OLDEST_POSTGRES = {oldest}
try:
    with KeptPostgres() as postgres, Children() as children:
        print("up", postgres.start(children), flush=True)
        while True:
            children.watch(seconds=1)
except StopAsked:
    print("stopped")
except (CannotStart, Unfit) as error:
    print(type(error).__name__, error)
"""
COUNT = "SELECT count(*) FROM kept"


@tag("slow")
class KeptPostgresTests(SimpleTestCase):
    """Each in a checkout of its own, below a folder that only we may enter: whom PostgreSQL runs as may not, for root.
    Its path has spaces and is longer than a socket's may be."""

    def setUp(self):
        parent = Path(tempfile.mkdtemp(prefix="a folder "))
        self.addCleanup(shutil.rmtree, parent)
        self.checkout = self.new_checkout(parent / ("far down " * 12))

    def new_checkout(self, folder):
        shutil.copytree(settings.BASE_DIR / "script", folder / "script", ignore=shutil.ignore_patterns("__pycache__"))
        return folder

    def launch(self, checkout=None, oldest=14):
        program = start_command([sys.executable, "-c", PROGRAM.format(oldest=oldest)], cwd=checkout or self.checkout)
        self.addCleanup(program.stdout.close)
        self.addCleanup(program.wait)
        self.addCleanup(program.terminate)
        return program

    def start(self, checkout=None):
        """The program, once PostgreSQL is up, and a connection to its database."""
        program = self.launch(checkout)
        folder = read_until(program, "up ").split("@/")[1].rpartition("/")[0]
        database = psycopg.connect(host=folder, user="hopla", dbname="postgres", autocommit=True)
        self.addCleanup(database.close)
        return program, database

    def stop(self, program):
        program.terminate()
        self.assertTrue(output_of(program).endswith("stopped\n"))

    def start_and_keep_a_row(self):
        program, database = self.start()
        database.execute("CREATE TABLE kept AS SELECT 1")
        return program

    def assert_kept(self, checkout=None):
        program, database = self.start(checkout)
        self.assertEqual(database.execute(COUNT).fetchone(), (1,))
        self.stop(program)

    def refusal(self, **options):
        return output_of(self.launch(**options))

    @property
    def data(self):
        return self.checkout / "var" / "postgresql"

    def test_data_outlive_a_stop(self):
        self.stop(self.start_and_keep_a_row())
        self.assert_kept()

    def test_data_outlive_a_kill_and_are_written_as_safely_as_in_production(self):
        program, database = self.start()
        for setting in ("fsync", "full_page_writes", "synchronous_commit"):
            self.assertEqual(database.execute(f"SHOW {setting}").fetchone(), ("on",))
        database.execute("CREATE TABLE kept AS SELECT 1")
        program.kill()
        self.assert_kept()  # at once: the one before may not have ended yet

    def test_postgres_ends_with_a_script_server_that_is_killed(self):
        program = self.start_and_keep_a_row()
        pid = int((self.data / "postmaster.pid").read_text().partition("\n")[0])
        program.kill()
        wait_until(lambda: not is_running(pid))

    def test_killed_postgres_ends_script_server_and_its_data_are_kept(self):
        program = self.start_and_keep_a_row()
        os.kill(int((self.data / "postmaster.pid").read_text().partition("\n")[0]), signal.SIGKILL)
        self.assertIn("postgres ended with signal SIGKILL", output_of(program))
        self.assert_kept()

    def test_second_one_in_the_same_folder_is_refused(self):
        program = self.start_and_keep_a_row()
        self.assertIn("CannotStart Another script/server is running in this folder", self.refusal())
        self.stop(program)
        self.assert_kept()

    def test_pid_file_left_by_a_crash_that_names_another_living_process(self):
        self.stop(self.start_and_keep_a_row())
        other = subprocess.Popen(["sleep", "600"])
        self.addCleanup(other.wait)
        self.addCleanup(other.kill)
        (self.data / "postmaster.pid").write_text(f"{other.pid}\n{self.data}\n0\n5432\n\n\n\n")
        self.assert_kept()

    def test_start_that_was_cut_off_leaves_no_half_made_database(self):
        program = self.launch()
        wait_until(lambda: list(self.data.parent.glob("postgresql-unfinished-*/PG_VERSION")) or self.data.exists())
        program.kill()
        program.wait()
        self.stop(self.start_and_keep_a_row())
        self.assertEqual([path.name for path in self.data.parent.iterdir()], ["postgresql"])

    def test_data_of_another_version_are_left_alone(self):
        self.stop(self.start_and_keep_a_row())
        version = (self.data / "PG_VERSION").read_text()
        (self.data / "PG_VERSION").write_text("9\n")
        refusal = self.refusal()
        self.assertIn("CannotStart var/postgresql holds data of PostgreSQL 9; the versions found here are [", refusal)
        self.assertIn("mv var/postgresql var/postgresql-9", refusal)
        (self.data / "PG_VERSION").write_text(version)
        self.assert_kept()

    def test_copied_checkout_has_a_copy_of_the_data(self):
        program = self.start_and_keep_a_row()
        self.stop(program)
        copy = self.checkout.with_name("copy")
        shutil.copytree(self.checkout, copy)  # all of it is ours then, whosever it was
        (copy / "var" / "postgresql").chmod(0o755)
        program, _ = self.start()
        self.assert_kept(copy)
        self.stop(program)

    def test_data_belong_to_the_owner_of_the_checkout(self):
        """So that who started it as root once can go on without."""
        if os.geteuid() == 0:
            os.chown(self.checkout, 1, 1)  # daemon, on every Linux
        self.stop(self.start_and_keep_a_row())
        self.assertEqual(self.data.stat().st_uid, self.checkout.stat().st_uid)
        self.assertEqual(self.data.parent.stat().st_uid, self.checkout.stat().st_uid)
        self.assert_kept()

    def test_no_postgres_that_fits(self):
        self.assertIn("Unfit There is no PostgreSQL on PATH", self.refusal(oldest=1000))
        self.assertFalse(self.data.exists())
        self.stop(self.start_and_keep_a_row())
        self.assertIn("CannotStart var/postgresql holds data of PostgreSQL", self.refusal(oldest=1000))
