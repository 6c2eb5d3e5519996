"""Runs the suite with servers of its own: on a real PostgreSQL, and on SQLite what depends on the database.

The parts run in parallel, each with databases and a Redis of its own. Tests tagged `slow` kill processes and wait for
them to come back; they mostly sleep, so that --all takes little more time.
"""

import argparse
import json
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from unittest import mock
from urllib.parse import urlsplit

import environ

from script import browser, clients, servers
from script.children import Child, ChildFailed, Children, StopAsked
from script.install import ROOT

NOT_EVERYWHERE = (
    *(browser.NEEDED, clients.NEEDED, clients.NODE_NEEDED),
    *("needs axe", "needs promtool", "needs Go", "needs PHP", "needs requirements-observability.txt"),
)
EXPECTED_SKIPS = {
    "postgres": ("needs SQLite", "needs PgBouncer", "needs network namespaces", "needs pg_trgm", *NOT_EVERYWHERE),
    "sqlite": ("needs PostgreSQL", "Database doesn't support feature", *NOT_EVERYWHERE),
}

# What may differ between databases: locks, constraints, queries of lists, statements of our own, migrations. And
# test_access, which asks every route once.
DEPENDS_ON_DATABASE = [
    *("tests.accounts", "tests.integrations.events"),
    *(f"tests.tickets.{part}" for part in ("api", "delivery", "direct", "intake", "kinds", "lifecycle", "models")),
    *("tests.tickets.resumable", "tests.tickets.upkeep", "tests.tickets.test_stats"),
    *(
        "tests.test_access",
        "tests.common.db.test_compiled_queries",
        "tests.operations.test_dashboard",
        "tests.common.db.test_pool",
    ),
    *(
        "tests.operations.test_metrics_page",
        "tests.common.db.test_migrations",
        "tests.common.api.test_pagination",
        "tests.common.jobs.test_worker",
    ),
]
# Left out there, for they have run on PostgreSQL: those that reach no database, and those that tell by a tag that what
# they are about is above it.
LIKE_ON_POSTGRES = ["--with-database-only", "--exclude-tag=any_database"]

# The sandbox's account, where nothing listens: a test that needs Cloudinary starts a sandbox of its own.
NO_CLOUDINARY = "cloudinary://sandbox-key:sandbox-secret@sandbox?upload_prefix=http://127.0.0.1:9"
PROGRESS_EVERY_SECONDS = {True: 0.5, False: 20}  # on a terminal, where a line replaces the last one, and elsewhere


@dataclass
class Part:
    """A run of `manage.py test` on one database. `processes`: how many share its tests."""

    name: str
    database: str  # "postgres" or "sqlite"
    options: list[str]
    processes: int


@dataclass
class Run:
    """A part that is running. Its report, its progress and its output are files in a folder of ours."""

    part: Part
    child: Child
    folder: Path

    def progress(self) -> str:
        try:
            done, total, failed = self.path("progress").read_text().split()
        except (OSError, ValueError):  # not started, or being written
            return f"{self.part.name} starting"
        return f"{self.part.name} {done}/{total}" + (f", {failed} failed" if failed != "0" else "")

    def report(self) -> dict:
        """What tests/runner.py wrote: `{passed, failed, skipped, skips}`."""
        if self.path("json").exists():
            return json.loads(self.path("json").read_text())
        print(f"The tests of {self.part.name} ended before they could be counted: that counts as one failed test.")
        return {"passed": 0, "failed": 1, "skipped": 0, "skips": {}}

    def output(self) -> str:
        return self.path("log").read_text(errors="replace")

    def path(self, suffix: str) -> Path:
        return self.folder / f"{self.part.name}.{suffix}"


def main(arguments: list[str]) -> int:
    options, passed_on = parse(arguments)
    started = time.monotonic()
    owner = servers.unprivileged_user()
    with servers.private_folder() as folder, servers.private_folder(owner) as postgres_folder, Children() as children:
        parts = parts_of(options, passed_on)
        postgres_url = None
        if any(part.database == "postgres" for part in parts):
            postgres_url = given_postgres() or servers.start_postgres(children, folder=postgres_folder, owner=owner)
        runs = [start(part, children, folder=folder, postgres_url=postgres_url) for part in parts]
        children.wait_for_end(*(run.child for run in runs), meanwhile=Progress(runs, started).show)
        reports = [(run, run.report()) for run in runs]
        for run in runs:
            print(f"--- {run.part.name}: on {run.part.database} ---\n{run.output()}", flush=True)
    surprises = list(unexpected_skips(reports)) if options.strict_skips else []
    for surprise in surprises:
        print(f"Skipped for a reason that script/run_tests.py does not list: {surprise}")
    passed, failed, skipped = (sum(report[count] for _, report in reports) for count in ("passed", "failed", "skipped"))
    print(f"Took {time.monotonic() - started:.0f} s.")
    print(f"{passed} passed, {failed} failed, {skipped} skipped", flush=True)
    return int(failed > 0 or passed == 0 or bool(surprises))


def parse(arguments: list[str]) -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(
        prog="script/test",
        description=__doc__,
        epilog="All else goes to `manage.py test`: labels such as tests.tickets, options such as -k or -v 2. With any, "
        "exactly these tests run, on PostgreSQL unless --sqlite says otherwise.",
        allow_abbrev=False,
    )
    parser.add_argument("--all", action="store_true", help="also the tests that kill processes and wait")
    parser.add_argument("--postgres", action="append_const", dest="databases", const="postgres", help="only there")
    parser.add_argument("--sqlite", action="append_const", dest="databases", const="sqlite", help="only there")
    parser.add_argument("--strict-skips", action="store_true", help="fail when a test is skipped for an unknown reason")
    return parser.parse_known_args(arguments)


def parts_of(options: argparse.Namespace, passed_on: list[str]) -> list[Part]:
    databases = options.databases or ["postgres", "sqlite"]
    if passed_on:
        return [Part(name, name, passed_on, processes=2 * cores()) for name in options.databases or ["postgres"]]
    parts, on_sqlite = [], DEPENDS_ON_DATABASE
    if "postgres" in databases:
        on_sqlite = [*LIKE_ON_POSTGRES, *on_sqlite]
        parts.append(Part("postgres", "postgres", ["--exclude-tag=slow"], processes=2 * cores()))
    if "sqlite" in databases:
        parts.append(Part("sqlite", "sqlite", ["--exclude-tag=slow", *on_sqlite], processes=cores()))
    if options.all:
        parts.append(Part("slow", databases[0], ["--tag=slow"], processes=2 * cores()))
    return parts


def given_postgres() -> str | None:
    url = os.environ.get("DATABASE_URL", "")
    return url if url.startswith("postgres") else None


def start(part: Part, children: Children, *, folder: Path, postgres_url: str | None) -> Run:
    if part.database == "sqlite":
        database_url = f"sqlite:///{folder / part.name}.sqlite3"
    else:
        database_url = postgres_url if part.name == "postgres" else named(postgres_url, f"hopla_{part.name}")
    run = Run(part, None, folder)
    given = {
        "DATABASE_URL": database_url,
        "REDIS_URL": servers.start_redis(children, folder=folder, max_bytes=0, name=f"redis-{part.name}"),
        "HOPLA_TEST_REPORT": str(run.path("json")),
        "HOPLA_TEST_PROGRESS": str(run.path("progress")),
        "TMPDIR": str(folder),  # what tests leave in files when they are stopped goes with our folder
    }
    command = [sys.executable, "manage.py", "test", "--no-input", f"--parallel={part.processes}", *part.options]
    with run.path("log").open("wb") as log:
        run.child = children.start(part.name, command, env=test_environment(given), cwd=ROOT, output_to=log)
    return run


def named(database_url: str, name: str) -> str:
    """The URL of a database of that name on the same server."""
    parts = urlsplit(database_url)
    return parts._replace(path=f"{parts.path.rpartition('/')[0]}/{name}").geturl()


class Progress:
    """Prints the progress of the runs now and then."""

    def __init__(self, runs: list[Run], started: float):
        self._runs, self._started = runs, started
        self._on_terminal = sys.stdout.isatty()
        self._shown_at = started

    def show(self) -> None:
        now = time.monotonic()
        if now - self._shown_at < PROGRESS_EVERY_SECONDS[self._on_terminal]:
            return
        self._shown_at = now
        line = f"{now - self._started:4.0f} s: " + "; ".join(run.progress() for run in self._runs)
        print(f"\r\033[K{line}" if self._on_terminal else line, end="" if self._on_terminal else "\n", flush=True)


def test_environment(given: dict[str, str]) -> dict[str, str]:
    """The environment, with `given`, and every other variable of hopla at the default that `.env.example` names: what a
    developer keeps in `.env`, a real Cloudinary account perhaps, stays out of the tests."""
    return os.environ | dotenv_values(ROOT / ".env.example") | {"CLOUDINARY_URL": NO_CLOUDINARY} | given


def dotenv_values(path: Path) -> dict[str, str]:
    with mock.patch.dict(os.environ, clear=True):
        environ.Env.read_env(path)
        return dict(os.environ)


def unexpected_skips(reports: list[tuple[Run, dict]]):
    for run, report in reports:
        for test, reason in report["skips"].items():
            if not reason.startswith(EXPECTED_SKIPS[run.part.database]):
                yield f"{test}: {reason}"


def cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except StopAsked as stop:
        print("Stopped.", file=sys.stderr)
        sys.exit(stop.exit_code)
    except (ChildFailed, servers.NotInstalled) as error:
        sys.exit(str(error))
