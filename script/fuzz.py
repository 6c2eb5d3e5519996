"""Compares a running hopla with its published schema: a client generated from it does the main job, then Schemathesis
sends what the schema allows and what it forbids, as a user and as staff, and expects no response outside the schema.
"""

import argparse
import os
import subprocess
import sys
import time

from script import servers
from script.children import ChildFailed, Children, StopAsked
from script.install import ROOT, VENV, install_extras
from script.run_newman import start_hopla

REQUIREMENTS = ROOT / "requirements-fuzz.txt"
CONFIG = ROOT / "tests" / "fuzz" / "schemathesis.toml"
NO_LIMITS = {f"THROTTLE_{scope}": "" for scope in ("LOGIN", "REGISTER", "VERIFICATION", "TICKETS", "UPLOADS", "GUESTS")}
ROLES = {
    "user": [],
    "staff": ["--include-tag=support", "--include-operation-id=users_list"],  # where staff have more permissions
}


def main(arguments: list[str]) -> int:
    options, passed_on = parse(arguments)
    install_extras(REQUIREMENTS)
    started = time.monotonic()
    owner = servers.unprivileged_user()
    with servers.private_folder() as folder, servers.private_folder(owner) as postgres_folder, Children() as children:
        database_url = servers.start_postgres(children, folder=postgres_folder, owner=owner)
        server, url = start_hopla(children, folder=folder, DATABASE_URL=database_url, **NO_LIMITS)
        failed = not passes(children, "client", [sys.executable, "-m", "tests.fuzz.client", url])
        print("A client generated from the schema " + ("FAILED" if failed else "did the main job"), flush=True)
        for role in options.roles or ROLES:
            print(f"--- as {role} ---", flush=True)
            environment = os.environ | {"SCHEMATHESIS_HOOKS": "tests.fuzz.hooks", "HOPLA_URL": url, "HOPLA_ROLE": role}
            command = [VENV / "bin" / "st", f"--config-file={CONFIG}", "run", f"{url}/swagger.json", *ROLES[role]]
            failed |= not passes(children, "schemathesis", [*command, *passed_on], env=environment)
        if failed:
            print("The last lines of the server:", *server.last_lines, sep="\n    ", flush=True)
    print(f"{'FAILED' if failed else 'The schema is true'} ({time.monotonic() - started:.0f} s)", flush=True)
    return int(failed)


def parse(arguments: list[str]) -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(
        prog="script/fuzz",
        description=__doc__,
        epilog="All else goes to `st run`, such as --max-examples=200, --seed=7 or --include-path=/tickets/.",
        allow_abbrev=False,
    )
    parser.add_argument("--as", action="append", choices=ROLES, dest="roles", help="as whom (default: one by one)")
    return parser.parse_known_args(arguments)


def passes(children: Children, name: str, command: list, **options) -> bool:
    return children.wait_for_end(children.start(name, command, cwd=ROOT, keeps_terminal=True, **options)) == 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except StopAsked as stop:
        print("Stopped.", file=sys.stderr)
        sys.exit(stop.exit_code)
    except (ChildFailed, servers.NotInstalled, subprocess.CalledProcessError) as error:
        sys.exit(f"script/fuzz: {error}")
