"""The PostgreSQL of script/server: as private as that of the tests, but its data stay, in var/postgresql, and are as
safe there as in production.

It reaches them through its working directory, never by their path: so the checkout may lie where the user that it runs
as cannot enter, below /root for instance, and its path may have any length.
"""

import fcntl
import os
import pwd
import shutil
import signal
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from script import servers
from script.children import ChildFailed, Children
from script.install import ROOT
from script.servers import CannotStart

VAR = ROOT / "var"
DATA = VAR / "postgresql"
# Made under such a name and renamed once complete, so that a start which is cut off leaves no half of it.
UNFINISHED = "postgresql-unfinished-"
HERE = "/proc/self/cwd" if os.path.exists("/proc/self/cwd") else "."
SQLITE = "DATABASE_URL=sqlite:///var/db.sqlite3 script/server"
READY_WITHIN_SECONDS = 120  # after a crash it reads its log first, up to a gigabyte
ENDS_WITHIN_SECONDS = 30
SETTINGS = {
    "listen_addresses": "",
    "max_connections": 300,
    "log_checkpoints": "off",
}


class Unfit(Exception):
    """No PostgreSQL runs here, and there are no data that need one; the text says why."""


class KeptPostgres:
    """As a context manager it is entered before the Children that it is started among, and so left after their end."""

    def __enter__(self) -> "KeptPostgres":
        self._stack = ExitStack()
        return self

    def __exit__(self, *exc_info) -> None:
        self._stack.close()

    def start(self, children: Children) -> str:
        """Starts it, with an empty database if there is none yet, and returns the database's URL. Raises Unfit, or
        CannotStart; in both cases the data are as they were."""
        try:
            return self._start(children)
        except (ChildFailed, OSError) as error:
            raise CannotStart(f"{error}\nWithout PostgreSQL, on SQLite, hopla starts by {SQLITE}") from error

    def _start(self, children: Children) -> str:
        self._stack.enter_context(sole_use_of_var())
        owner = user_to_run_as()
        if DATA.exists():
            give_data_to(owner)
        folder = self._folder_of(owner)
        programs = programs_for_the_data(owner, folder=folder)
        if not DATA.exists():
            make_data(children, programs=programs, owner=owner)
        wait_for_the_one_before(children)
        command = [programs / "postgres", "-D", HERE]
        for name, value in (SETTINGS | {"unix_socket_directories": folder, "cluster_name": mark()}).items():
            command += ["-c", f"{name}={value}"]
        fast_shutdown = signal.SIGINT
        child = children.start("postgres", command, cwd=DATA, user=owner, stop_signal=fast_shutdown, serves_others=True)
        children.wait_until(lambda: servers.accepts(folder), child=child, timeout_seconds=READY_WITHIN_SECONDS)
        return servers.postgres_url(folder)

    def _folder_of(self, owner: pwd.struct_passwd | None) -> Path:
        try:
            return self._stack.enter_context(servers.private_folder(owner))
        except OSError as error:
            if not owner:
                raise
            raise Unfit(f"PostgreSQL refuses to run as root, and root may not act as {owner.pw_name} here.") from error


def sole_use_of_var() -> ExitStack:
    """A lock that keeps other script/servers from the data until it is closed or we exit. CannotStart if it is held."""
    if not VAR.exists():
        VAR.mkdir()
        if os.geteuid() == 0:
            shutil.chown(VAR, ROOT.stat().st_uid, ROOT.stat().st_gid)  # whose owner may start it next, without root
    held = ExitStack()
    handle = os.open(VAR, os.O_RDONLY)
    held.callback(os.close, handle)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        held.close()
        raise CannotStart(
            "Another script/server is running in this folder, with its data in var/postgresql. Stop it first, "
            f"or give this one a database of its own: {SQLITE}"
        ) from error
    return held


def user_to_run_as() -> pwd.struct_passwd | None:
    """The user to run as, because PostgreSQL refuses root: the owner of the data or the checkout. None: the current
    one.
    """
    if os.geteuid() != 0:
        return None
    if DATA.exists() and (uid := DATA.stat().st_uid) != 0:
        return _passwd(uid) or pwd.struct_passwd((str(uid), "", uid, DATA.stat().st_gid, "", "/", ""))
    checkout_uid = ROOT.stat().st_uid
    return (checkout_uid != 0 and _passwd(checkout_uid)) or servers.unprivileged_user()


def _passwd(uid: int) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwuid(uid)
    except KeyError:
        return None


def programs_for_the_data(owner: pwd.struct_passwd | None, *, folder: Path) -> Path:
    """The folder of programs of the version that made the data; with no data yet the wheel's, the same everywhere."""
    wanted = int((DATA / "PG_VERSION").read_text()) if DATA.exists() else None
    there = set()
    for programs in (*servers.postgres_of_the_wheel(), *servers.postgres_of_the_system()):
        if (version := servers.major_version(programs)) < servers.OLDEST_POSTGRES:
            continue
        there.add(version)
        if wanted in (None, version) and (usable := servers.usable_by(owner, programs, folder=folder)):
            return usable
    if wanted is None:
        raise Unfit("There is no PostgreSQL on PATH, and no wheel of it fits this machine.")
    raise CannotStart(
        f"var/postgresql holds data of PostgreSQL {wanted}; the versions found here are {sorted(there) or 'none'}. "
        f"Install version {wanted}, or start with an empty database: mv var/postgresql var/postgresql-{wanted}"
    )


def give_data_to(owner: pwd.struct_passwd | None) -> None:
    """What a `cp -r` by root made root's goes to `owner`. CannotStart if the data are another's and we are not root."""
    uid = DATA.stat().st_uid
    if not owner and uid != os.geteuid():
        name = user.pw_name if (user := _passwd(uid)) else uid
        raise CannotStart(
            f"var/postgresql belongs to {name}: script/server was started by another user before, or as root. Start it "
            f"so again, or hand the data over: sudo chown -R {os.geteuid()} var"
        )
    if owner and uid != owner.pw_uid:
        for path in (DATA, *DATA.rglob("*")):
            os.chown(path, owner.pw_uid, owner.pw_gid, follow_symlinks=False)
    DATA.chmod(0o700)  # it refuses to work on data that others may read, as a copy's may be


def make_data(children: Children, *, programs: Path, owner: pwd.struct_passwd | None) -> None:
    if not owner and not _passwd(os.geteuid()):
        raise Unfit(f"PostgreSQL wants a user with a name, and user {os.geteuid()} has none.")
    if not os.access(VAR, os.W_OK):
        raise CannotStart(f"var/ is not yours to write into. Hand it over: sudo chown -R {os.geteuid()} var")
    for cut_off in VAR.glob(f"{UNFINISHED}*"):
        shutil.rmtree(cut_off, ignore_errors=True)
    made = Path(tempfile.mkdtemp(prefix=UNFINISHED, dir=VAR))
    if owner:
        os.chown(made, owner.pw_uid, owner.pw_gid)
    children.run("initdb", [*servers.initdb(programs), f"--pgdata={HERE}"], cwd=made, user=owner)
    made.rename(DATA)


def mark() -> str:
    """What the command line of a PostgreSQL on these data holds, and of no other: not of one on a copy of them."""
    data = DATA.stat()
    return f"hopla-{data.st_dev:x}-{data.st_ino:x}"


def wait_for_the_one_before(children: Children) -> None:
    """Waits for the PostgreSQL of a script/server that was killed, which takes a moment to end; then removes its pid
    file: another process may have that number now, after a reboot for instance, and be taken for it."""
    deadline = time.monotonic() + ENDS_WITHIN_SECONDS
    pid_file = DATA / "postmaster.pid"
    while Path("/proc/self").exists():
        try:
            pid = pid_file.read_text().partition("\n")[0]
        except FileNotFoundError:  # it has removed it as it ended, perhaps just now
            return
        if not works_on_the_data(pid):
            pid_file.unlink(missing_ok=True)
        elif time.monotonic() > deadline:
            raise CannotStart(f"A PostgreSQL from before, process {pid}, does not end. End it by kill -QUIT {pid}")
        else:
            children.watch(seconds=0.05)


def works_on_the_data(pid: str) -> bool:
    try:
        return f"cluster_name={mark()}".encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
