"""Runs the suite on a real PostgreSQL and once more on SQLite, both with a real Redis of its own."""

import argparse
import json
import os
import sys
from pathlib import Path
from unittest import mock

import environ

from script import browser, servers
from script.children import Child, ChildFailed, Children, StopAsked
from script.install import ROOT

NOT_EVERYWHERE = (browser.NEEDED, "needs promtool", "needs requirements-observability.txt")
EXPECTED_SKIPS = {
    "postgres": ("needs SQLite", "needs PgBouncer", "needs network namespaces", "needs pg_trgm", *NOT_EVERYWHERE),
    "sqlite": ("needs PostgreSQL", "Database doesn't support feature", *NOT_EVERYWHERE),
}

# The sandbox's account where nothing listens: a test that wants Cloudinary starts a sandbox of its own.
NO_CLOUDINARY = "cloudinary://sandbox-key:sandbox-secret@sandbox?upload_prefix=http://127.0.0.1:9"


def main(arguments: list[str]) -> int:
    options, passed_on = parse(arguments)
    runs = []
    owner = servers.unprivileged_user()
    with servers.private_folder() as folder, servers.private_folder(owner) as postgres_folder, Children() as children:
        redis_url = servers.start_redis(children, folder=folder, max_bytes=0)
        for database in options.databases or ["postgres", "sqlite"]:
            if database == "sqlite":
                database_url = f"sqlite:///{folder / 'hopla.sqlite3'}"
            elif os.environ.get("DATABASE_URL", "").startswith("postgres"):
                database_url = os.environ["DATABASE_URL"]
            else:
                database_url = servers.start_postgres(children, folder=postgres_folder, owner=owner)
            print(f"--- on {database} ---", flush=True)
            report = folder / f"{database}.json"
            given = {"DATABASE_URL": database_url, "REDIS_URL": redis_url, "HOPLA_TEST_REPORT": str(report)}
            given["TMPDIR"] = str(folder)  # what tests leave in files when they are stopped goes with our folder
            suite = start_suite(children, environment=test_environment(given), arguments=passed_on)
            runs.append((database, report_after(children, suite, report=report)))
    surprises = list(unexpected_skips(runs)) if options.strict_skips else []
    for surprise in surprises:
        print(f"Skipped for a reason that script/run_tests.py does not list: {surprise}")
    passed, failed, skipped = (sum(report[count] for _, report in runs) for count in ("passed", "failed", "skipped"))
    print(f"{passed} passed, {failed} failed, {skipped} skipped", flush=True)
    return int(failed > 0 or passed == 0 or bool(surprises))


def parse(arguments: list[str]) -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(
        prog="script/test",
        description=__doc__,
        epilog="All else goes to `manage.py test`: labels such as tests.tickets, options such as -k or -v 2.",
        allow_abbrev=False,
    )
    choice = parser.add_argument_group("which databases (default: both)")
    choice.add_argument("--postgres", action="append_const", dest="databases", const="postgres")
    choice.add_argument("--sqlite", action="append_const", dest="databases", const="sqlite")
    parser.add_argument("--strict-skips", action="store_true", help="fail when a test is skipped for an unknown reason")
    return parser.parse_known_args(arguments)


def test_environment(given: dict[str, str]) -> dict[str, str]:
    """The environment, with `given`, and every other variable of hopla at the default that `.env.example` names: what a
    developer keeps in `.env`, a real Cloudinary account perhaps, stays out of the tests."""
    return os.environ | dotenv_values(ROOT / ".env.example") | {"CLOUDINARY_URL": NO_CLOUDINARY} | given


def dotenv_values(path: Path) -> dict[str, str]:
    with mock.patch.dict(os.environ, clear=True):
        environ.Env.read_env(path)
        return dict(os.environ)


def start_suite(children: Children, *, environment: dict, arguments: list[str]) -> Child:
    at_once = 2 * cores()  # a test that breaks things mostly waits for what it broke
    command = [sys.executable, "manage.py", "test", "--no-input", f"--parallel={at_once}", *arguments]
    return children.start("tests", command, env=environment, cwd=ROOT, keeps_terminal=True)


def report_after(children: Children, suite: Child, *, report: Path) -> dict:
    """Waits for the suite's end and returns what tests/runner.py wrote: `{passed, failed, skipped, skips}`."""
    exit_code = children.wait_for_end(suite)
    if report.exists():
        return json.loads(report.read_text())
    print(f"The run ended with exit code {exit_code} before it could count its tests: it counts as one failed test.")
    return {"passed": 0, "failed": 1, "skipped": 0, "skips": {}}


def unexpected_skips(runs: list[tuple[str, dict]]):
    for database, report in runs:
        for test, reason in report["skips"].items():
            if not reason.startswith(EXPECTED_SKIPS[database]):
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
