"""Starts hopla: migrates the database, and runs the web server, a worker, and the servers that no variable names."""

import http.client
import os
import random
import socket
import sys
from pathlib import Path

import environ
from django.core.exceptions import ImproperlyConfigured

from script import servers
from script.children import Child, ChildFailed, Children, StopAsked
from script.install import ROOT, say
from script.kept_postgres import KeptPostgres, Unfit
from script.prepare import WITH_A_TICKET
from script.servers import CannotStart
from script.welcome import welcome

MANAGE = [sys.executable, "manage.py"]
READY_WITHIN_SECONDS = 60
# Allocators round up, and failed photos stay in quarantine. The spare is for the queue when those are full.
REDIS_BYTES_PER_STAGED_BYTE = 1.5
REDIS_SPARE_BYTES = 128 * 1024 * 1024


def main() -> None:
    os.chdir(ROOT)
    environ.Env.read_env(ROOT / ".env")
    os.environ.setdefault("MALLOC_ARENA_MAX", "2")  # with glibc's default, 64 uploads take half as much memory again
    port = chosen_port()
    with servers.private_folder() as folder, KeptPostgres() as postgres, Children() as children:
        in_development = environ.Env().bool("DEBUG", default=True)
        started = start_what_is_missing(children, folder=folder, postgres=postgres) if in_development else {}
        settings = valid_settings()
        # Never to an account of somebody's.
        with_a_ticket = [WITH_A_TICKET] if "CLOUDINARY_URL" in started else []
        children.run("prepare", [sys.executable, "-m", "script.prepare", *with_a_ticket])
        gunicorn = [sys.executable, "-m", "gunicorn", "--config", "hopla/gunicorn_conf.py"]
        web = children.start("web", [*gunicorn, "--bind", f"127.0.0.1:{port}", "hopla.wsgi"])
        children.start("worker", [*MANAGE, "rqworker", "default"])
        wait_until_ready(children, web, port=port, host=public_host(settings.ALLOWED_HOSTS))
        print(welcome(url=f"http://127.0.0.1:{port}", settings=settings, started=started), flush=True)
        children.echoes_output = True
        while True:
            children.watch(seconds=1)


def chosen_port() -> int:
    """PORT, or 8000; CannotStart when it is no port or is in use."""
    port = os.environ.get("PORT") or "8000"
    if not port.isdecimal() or not 0 < int(port) < 65536:
        raise CannotStart(f"PORT is {port!r}, which is not a port number from 1 to 65535.")
    if not is_free(int(port)):
        raise CannotStart(f"Port {port} is in use. Stop what listens there, or name another: PORT=8001 script/server")
    return int(port)


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as gunicorn does: a port just left counts as free
        try:
            probe.bind(("127.0.0.1", port))
        except PermissionError as error:
            raise CannotStart(f"Port {port} is not for you to open ({error}). Name one above 1023.") from error
        except OSError:
            return False
    return True


def free_port() -> int:
    """Not one of those that systems give to connections, any of which may be taken before ours is opened."""
    while not is_free(port := random.randrange(15_000, 30_000)):
        pass
    return port


def start_what_is_missing(children: Children, *, folder: Path, postgres: KeptPostgres) -> dict[str, str]:
    """Starts a PostgreSQL, a Redis and the Cloudinary sandbox where the environment names none, writes them into it,
    and returns their URLs by variable. Where no PostgreSQL fits, hopla's own default remains: SQLite."""
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
        port = free_port()  # not a fixed one: two hoplas that start together would both find it free
        url = f"http://127.0.0.1:{port}"
        os.environ["CLOUDINARY_URL"] = f"cloudinary://sandbox-key:sandbox-secret@sandbox?upload_prefix={url}"
        os.environ["CLOUDINARY_DELIVERY_URL"] = os.environ.get("CLOUDINARY_DELIVERY_URL") or url
        children.start("sandbox", [*MANAGE, "sandbox", "--host=127.0.0.1", f"--port={port}"], serves_others=True)
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


def public_host(allowed_hosts: list[str]) -> str:
    """A host name that the web server accepts."""
    named = [host.lstrip(".") for host in allowed_hosts if host != "*"]
    return named[0] if named else "localhost"


def wait_until_ready(children: Children, web: Child, *, port: int, host: str) -> None:
    last_answer = "nothing"

    def is_ready() -> bool:
        nonlocal last_answer
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
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
        main()
    except StopAsked:
        print("hopla: stopped.", file=sys.stderr)
    except (CannotStart, ChildFailed, servers.NotInstalled) as error:
        sys.exit(f"hopla: {error}")
