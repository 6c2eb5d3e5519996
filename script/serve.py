"""Starts hopla: migrates the database, and runs the web server, a worker, and the servers that no variable names."""

import argparse
import http.client
import os
import random
import shutil
import socket
import sys
from pathlib import Path

import environ
from django.core.exceptions import ImproperlyConfigured

from script import servers
from script.children import Child, ChildFailed, Children, StopAsked
from script.install import ROOT, say
from script.kept_postgres import KeptPostgres, Unfit
from script.lan import FIND, LOOPBACK, address_in_network, open_to_network
from script.prepare import WITH_DEMO_TICKETS
from script.servers import CannotStart
from script.welcome import welcome

MANAGE = [sys.executable, "manage.py"]
READY_WITHIN_SECONDS = 180  # on a busy machine
# Allocators round up, and failed photos stay in quarantine. The spare is for the queue when those are full.
REDIS_BYTES_PER_STAGED_BYTE = 1.5
REDIS_SPARE_BYTES = 128 * 1024 * 1024


def main(arguments: list[str]) -> None:
    options = parse(arguments)
    os.chdir(ROOT)
    environ.Env.read_env(ROOT / ".env")
    os.environ.setdefault("MALLOC_ARENA_MAX", "2")  # with glibc's default, 64 uploads take half as much memory again
    in_development = environ.Env().bool("DEBUG", default=True)
    lan = options.lan and lan_address(options.lan, in_development=in_development)
    addresses = list(dict.fromkeys([LOOPBACK, lan or LOOPBACK]))
    port = chosen_port(addresses)
    if lan:
        open_to_network(lan, port=port)
    with servers.private_folder() as folder, KeptPostgres() as postgres, Children() as children:
        started = {}
        if in_development:
            started = start_what_is_missing(children, folder=folder, postgres=postgres, address=addresses[-1])
        settings = valid_settings()
        guest_path = prepare(children, folder=folder, started=started)
        gunicorn = [sys.executable, "-m", "gunicorn", "--config", "hopla/gunicorn_conf.py"]
        bound = [f"--bind={address}:{port}" for address in addresses]
        web = children.start("web", [*gunicorn, *bound, "hopla.wsgi"])
        children.start("worker", [*MANAGE, "rqworker", "default"])
        wait_until_ready(children, web, port=port, host=public_host(settings.ALLOWED_HOSTS))
        print(
            welcome(
                url=f"http://{LOOPBACK}:{port}",
                lan_url=f"http://{lan}:{port}" if lan else "",
                settings=settings,
                started=started,
                guest_path=guest_path,
                columns=columns_of_terminal(),
            ),
            flush=True,
        )
        children.echoes_output = True
        while True:
            children.watch(seconds=1)


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="script/server",
        description=__doc__,
        epilog="Everything else is said by variables, in the environment or in .env: see .env.example.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--lan",
        nargs="?",
        const=FIND,
        metavar="ADDRESS",
        help="also listen at this machine's address in its network, for phones: everyone there can reach it then",
    )
    return parser.parse_args(arguments)


def lan_address(named: str, *, in_development: bool) -> str:
    if not in_development:
        raise CannotStart("--lan is for development, and DEBUG is off: docs/deploying.md says how to open hopla then.")
    return address_in_network(named)


def chosen_port(addresses: list[str]) -> int:
    """PORT, or 8000; CannotStart when it is no port or is in use at one of the addresses."""
    port = os.environ.get("PORT") or "8000"
    if not port.isdecimal() or not 0 < int(port) < 65536:
        raise CannotStart(f"PORT is {port!r}, which is not a port number from 1 to 65535.")
    if not all(is_free(int(port), address) for address in addresses):
        raise CannotStart(f"Port {port} is in use. Stop what listens there, or name another: PORT=8001 script/server")
    return int(port)


def is_free(port: int, address: str = LOOPBACK) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as gunicorn does: a port just left counts as free
        try:
            probe.bind((address, port))
        except PermissionError as error:
            raise CannotStart(f"Port {port} is not for you to open ({error}). Name one above 1023.") from error
        except OSError:
            return False
    return True


def free_port(address: str = LOOPBACK) -> int:
    """Not one of those that systems give to connections, any of which may be taken before ours is opened."""
    while not is_free(port := random.randrange(15_000, 30_000), address):
        pass
    return port


def start_what_is_missing(
    children: Children, *, folder: Path, postgres: KeptPostgres, address: str = LOOPBACK
) -> dict[str, str]:
    """Starts a PostgreSQL, a Redis and the Cloudinary sandbox where the environment names none, writes them into it,
    and returns their URLs by variable. Where no PostgreSQL fits, hopla's own default remains: SQLite. The sandbox
    listens at `address`, as browsers load the photos from it."""
    started = {}
    if not os.environ.get("DATABASE_URL"):
        try:
            os.environ["DATABASE_URL"] = started["DATABASE_URL"] = postgres.start(children)
        except Unfit as error:
            say(f"hopla: {error} It starts on SQLite.")
    if not os.environ.get("REDIS_URL"):
        staged = environ.Env().int("STAGING_MAX_BYTES", default=256 * 1024 * 1024)
        max_bytes = int(staged * REDIS_BYTES_PER_STAGED_BYTE) + REDIS_SPARE_BYTES
        url = servers.start_redis(children, folder=folder, max_bytes=max_bytes)
        os.environ["REDIS_URL"] = started["REDIS_URL"] = url
    if not os.environ.get("CLOUDINARY_URL"):
        port = free_port(address)  # not a fixed one: two hoplas that start together would both find it free
        url = f"http://{address}:{port}"
        os.environ["CLOUDINARY_URL"] = f"cloudinary://sandbox-key:sandbox-secret@sandbox?upload_prefix={url}"
        os.environ["CLOUDINARY_DELIVERY_URL"] = os.environ.get("CLOUDINARY_DELIVERY_URL") or url
        command = [*MANAGE, "sandbox", f"--host={address}", f"--port={port}", f"--notify={address}"]
        children.start("sandbox", command, serves_others=True)
        started["CLOUDINARY_URL"] = url
    return started


def valid_settings():
    """hopla's settings; CannotStart with their own message when a variable is missing or makes no sense."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hopla.settings")
    from django.conf import settings

    try:
        settings.DEBUG  # noqa: B018 (reading one loads them all)
    except (ImproperlyConfigured, ValueError) as error:
        raise CannotStart(str(error)) from error
    return settings


def prepare(children: Children, *, folder: Path, started: dict[str, str]) -> str:
    """Migrates, and makes what there is to try. Returns the path of a page for guests; empty: there is none."""
    told = folder / "guest-path"  # it holds a token, which is for no log
    # Never to an account of somebody's.
    demo_tickets = [WITH_DEMO_TICKETS, told] if "CLOUDINARY_URL" in started else []
    children.run("prepare", [sys.executable, "-m", "script.prepare", *demo_tickets])
    if not told.exists():
        return ""
    path = told.read_text()
    told.unlink()
    return path


def public_host(allowed_hosts: list[str]) -> str:
    """A host name that the web server accepts."""
    named = [host.lstrip(".") for host in allowed_hosts if host != "*"]
    return named[0] if named else "localhost"


def columns_of_terminal() -> int:
    """0 when the output goes elsewhere, or to a terminal that cannot show every character."""
    if not sys.stdout.isatty() or sys.stdout.encoding.lower() != "utf-8":
        return 0
    return shutil.get_terminal_size().columns


def wait_until_ready(children: Children, web: Child, *, port: int, host: str) -> None:
    last_answer = "nothing"

    def is_ready() -> bool:
        nonlocal last_answer
        connection = http.client.HTTPConnection(LOOPBACK, port, timeout=5)
        try:
            connection.request("GET", "/readyz", headers={"Host": host})
            response = connection.getresponse()
            last_answer = f"{response.status} {response.read().decode(errors='replace')}"
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
        return response.status == 200

    try:
        children.wait_until(is_ready, child=web, timeout_seconds=READY_WITHIN_SECONDS)
    except ChildFailed as error:
        raise CannotStart(f"{error}\n/readyz answered last: {last_answer}") from error


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except StopAsked:
        print("hopla: stopped.", file=sys.stderr)
    except (CannotStart, ChildFailed, servers.NotInstalled) as error:
        sys.exit(f"hopla: {error}")
