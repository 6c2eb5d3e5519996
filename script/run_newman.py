"""Runs the Postman collection with newman, against a hopla of its own or, with --url, one that runs."""

import argparse
import os
import sys
from pathlib import Path

from script import npm, servers
from script.children import Child, ChildFailed, Children, StopAsked
from script.install import ROOT
from script.make_postman import COLLECTION_FILE, ENVIRONMENT_FILE
from script.run_tests import dotenv_values
from script.serve import free_port

NEWMAN_VERSION = "6.2.2"
FOLDER = ROOT / "var" / "newman"
PROGRAM = FOLDER / "node_modules" / ".bin" / "newman"
UP_WITHIN_SECONDS = 90


def main(arguments: list[str]) -> int:
    options, passed_on = parse(arguments)
    with servers.private_folder() as folder, Children() as children:
        npm.ensure(children, FOLDER, {"newman": NEWMAN_VERSION}, oldest_node="16")
        if options.url:
            return run_collection(children, url=options.url, arguments=passed_on)
        server, url = start_hopla(children, folder=folder)
        exit_code = run_collection(children, url=url, arguments=passed_on)
        if exit_code != 0:
            print("The last lines of the server:", *server.last_lines, sep="\n    ", flush=True)
        return exit_code


def parse(arguments: list[str]) -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(
        prog="script/newman",
        description=__doc__,
        epilog="All else goes to newman, such as --verbose or --bail.",
        allow_abbrev=False,
    )
    parser.add_argument("--url", help="of a hopla that runs, such as http://127.0.0.1:8000")
    return parser.parse_known_args(arguments)


def start_hopla(children: Children, *, folder: Path, **variables: str) -> tuple[Child, str]:
    """Starts script/server's program with an empty database, and everything else as in a fresh clone, but for these
    `variables` of its environment. Returns it and its URL."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    given = {"PORT": str(port), "PUBLIC_URL": url, "DATABASE_URL": f"sqlite:///{folder / 'hopla.sqlite3'}"}
    environment = os.environ | dotenv_values(ROOT / ".env.example") | given | variables
    server = children.start("server", [sys.executable, "-m", "script.serve"], env=environment, cwd=ROOT)
    # It prints its address once everything is up.
    children.wait_until(
        lambda: any(url in line for line in server.last_lines), child=server, timeout_seconds=UP_WITHIN_SECONDS
    )
    return server, url


def run_collection(children: Children, *, url: str, arguments: list[str]) -> int:
    """newman's exit code: 0 when every test of every request passed."""
    command = [PROGRAM, "run", COLLECTION_FILE, f"--environment={ENVIRONMENT_FILE}", f"--env-var=baseUrl={url}"]
    newman = children.start("newman", [*command, *arguments], cwd=ROOT, keeps_terminal=True)
    return children.wait_for_end(newman)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except StopAsked as stop:
        print("Stopped.", file=sys.stderr)
        sys.exit(stop.exit_code)
    except (npm.NoNode, ChildFailed, servers.NotInstalled) as error:
        sys.exit(f"script/newman: {error}")
