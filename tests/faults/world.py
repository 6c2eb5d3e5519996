"""hopla as it runs in production, on servers of its own that may be killed: web server, workers, Redis, Cloudinary."""

import os
import re
import signal
import sys
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg
import redis
import urllib3
from django.db import connection
from django.test import override_settings

from apps.common.redis.address import urls_in
from apps.common.redis.client import new_client
from apps.sandbox.server import SandboxServer
from script import servers
from tests.faults.hosts import Gate, can_be_separated, on_host
from tests.faults.pgbouncer import start_pgbouncer
from tests.faults.processes import Process, Processes
from tests.faults.proxies import LossyProxy
from tests.faults.watched_redis import WatchedRedis
from tests.staging_servers import told_apart

# Short waits, so that a test sees in seconds what takes half a minute in production.
QUICK = {
    "UPLOAD_TIMEOUT_SECONDS": "2",
    "RECONCILE_AFTER_SECONDS": "2",
    "UPLOAD_MAX_ATTEMPTS": "4",
    "RESUMABLE_TTL_SECONDS": "60",
    "THROTTLE_LOGIN": "",
    "THROTTLE_REGISTER": "",
    "THROTTLE_TICKETS": "",
    "THROTTLE_UPLOADS": "",
    "THROTTLE_GUESTS": "",
    "THROTTLE_WEBHOOKS": "",
    "WEB_CONCURRENCY": "2",
    "DEBUG": "on",
    "LOG_FORMAT": "plain",
    "STAGING_MAX_BYTES": str(64 * 1024 * 1024),
}
# Instead, where Cloudinary's troubles are not what is tested: on a busy machine a slow upload is no failed one.
PATIENT = {"UPLOAD_TIMEOUT_SECONDS": "10", "UPLOAD_MAX_ATTEMPTS": "12"}

# Beside these, where the worker is what is tested: each process takes seconds of a core to start.
ONE_WEB_PROCESS = {"WEB_CONCURRENCY": "1"}

PUBLIC_LOSS = 0.05  # of answers to what comes by PUBLIC_URL, which then comes again

LISTENING = re.compile(r"Listening at: (http://(127\.0\.0\.\d+:\d+))")


class World:
    """Use as a context manager. Inside, settings of this process point at the same servers as hopla's processes do.

    `own_database`: a PostgreSQL that may be killed too; else the database of the tests serves. `pgbouncer`: hopla's
    processes reach that one through a PgBouncer. `staging_servers`: so many Redis servers for the photos alone; with 0
    they are on that of the queue. `sentinel`: a Redis with a replica and a Sentinel, `watched_redis`. `environment`:
    variables beside or instead of QUICK. `workers`: how many `rqworker default` run; with `hosts` each on a host of its
    own, where the system permits that.

    Cloudinary reaches hopla by its PUBLIC_URL, `public_url`, on a line that loses some answers.
    """

    def __init__(
        self,
        *,
        workers: int = 1,
        own_database: bool = False,
        pgbouncer: bool = False,
        staging_servers: int = 0,
        sentinel: bool = False,
        hosts: bool = False,
        environment: dict | None = None,
    ):
        self._number_of_workers = workers
        self._own_database = own_database
        self._pgbouncer = pgbouncer
        self._number_of_staging_servers = staging_servers
        self._sentinel = sentinel
        self._hosts = hosts and can_be_separated()
        self._given = environment or {}
        self._stack = ExitStack()

    def __enter__(self) -> "World":
        with ExitStack() as stack:
            self._start(stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exc_info) -> None:
        self._stack.close()

    def _start(self, stack: ExitStack) -> None:
        folder = stack.enter_context(servers.private_folder())
        self.processes = stack.enter_context(Processes(folder))
        self.redis_url = self.staging_url = self._start_redis(folder)
        self.staging_servers = [f"staging-{number + 1}" for number in range(self._number_of_staging_servers)]
        if self.staging_servers:
            urls = [
                servers.start_redis(self.processes, folder=folder, name=name, max_bytes=0)
                for name in self.staging_servers
            ]
            self.staging_url = ",".join(told_apart(urls))
        stack.enter_context(override_settings(REDIS_URL=self.redis_url, STAGING_REDIS_URL=self.staging_url))
        self.database_url = os.environ["DATABASE_URL"]
        if self._own_database:
            owner = servers.unprivileged_user()
            home = stack.enter_context(servers.private_folder(owner))
            # Its processes end before its folder goes.
            database = stack.enter_context(Processes(folder))
            self.database_url = servers.start_postgres(database, folder=home, owner=owner)
            self._database_process, self._database_folder = database["postgres"], home
            keep_what_is_committed(home)
            if self._pgbouncer:
                self.database_url = start_pgbouncer(self.processes, folder=home, owner=owner)
            stack.enter_context(connected_to(home))
        self.sandbox = stack.enter_context(SandboxServer())
        stack.enter_context(override_settings(CLOUDINARY_URL=self.sandbox.cloudinary_url))
        if self._hosts:
            self._gate = stack.enter_context(Gate(folder / "sandbox.sock", port=self.sandbox.port))
        self._public = stack.enter_context(LossyProxy(loss=PUBLIC_LOSS))
        self.public_url = self._public.url
        stack.enter_context(override_settings(PUBLIC_URL=self.public_url))
        self.environment = self._environment()
        stack.enter_context(override_settings(**_as_settings(self.environment)))
        if self._own_database:
            migrate = [sys.executable, "manage.py", "migrate", "--no-input", "--verbosity=0"]
            self.processes.run("migrate", migrate, env=self.environment)
        # Started side by side: each takes a second or two to import Django.
        self._bind = "127.0.0.1:0"
        self._start_web()
        self.workers = []
        for _ in range(self._number_of_workers):
            self.workers.append(self.start_worker())
        self._wait_for_web()
        for worker in self.workers:
            self.wait_for_worker(worker)

    def _start_redis(self, folder: Path) -> str:
        if not self._sentinel:
            return servers.start_redis(self.processes, folder=folder, max_bytes=0)
        self.watched_redis = WatchedRedis(self.processes)
        return self.watched_redis.url

    def _environment(self) -> dict[str, str]:
        servers_here = {
            "DATABASE_URL": self.database_url,
            "REDIS_URL": self.redis_url,
            "STAGING_REDIS_URL": self.staging_url,
            "CLOUDINARY_URL": self.sandbox.cloudinary_url,
            "PUBLIC_URL": self.public_url,
        }
        return os.environ | QUICK | servers_here | self._given

    # --- hopla's processes ---

    def _start_web(self) -> None:
        gunicorn = [sys.executable, "-m", "gunicorn", "--config", "hopla/gunicorn_conf.py", "--bind", self._bind]
        self.web = self.processes.start("web", [*gunicorn, "hopla.wsgi"], env=self.environment)

    def _wait_for_web(self) -> None:
        self.processes.wait_until(lambda: LISTENING.search(self.web.output), child=self.web)
        self.url, self._bind = LISTENING.search(self.web.output).groups()
        self._public.target = self.url
        self.processes.wait_until(self._web_answers, child=self.web)

    def _web_answers(self) -> bool:
        try:
            return urllib3.request("GET", f"{self.url}/healthz", retries=False, timeout=5).status == 200
        except urllib3.exceptions.HTTPError:
            return False

    def restart_web(self) -> None:
        """A fresh web server at the same address; the old one must have ended."""
        self._start_web()
        self._wait_for_web()

    def start_another_web(self, host: str) -> str:
        """A web server beside the first, on another address of this machine, 127.0.0.2 or so. Returns its URL."""
        gunicorn = [sys.executable, "-m", "gunicorn", "--config", "hopla/gunicorn_conf.py", "--bind", f"{host}:0"]
        web = self.processes.start(f"web-{host}", [*gunicorn, "hopla.wsgi"], env=self.environment)
        self.processes.wait_until(lambda: LISTENING.search(web.output), child=web)
        return LISTENING.search(web.output)[1]

    def start_worker(self) -> Process:
        command = [sys.executable, "manage.py", "rqworker", "default"]
        if self._hosts:
            name = f"host-{len(self.workers) + 1}"
            command = on_host(name, command, gate=self._gate.path, port=self.sandbox.port)
        return self.processes.start("worker", command, env=self.environment)

    def wait_for_worker(self, worker: Process) -> None:
        self.processes.wait_until(lambda: "Listening on default" in worker.output, child=worker)

    # --- Its servers ---

    @property
    def redis(self) -> Process:
        return self.processes["redis"]

    def restart_redis(self) -> None:
        """Killed outright, and started empty on the same socket."""
        self.redis.kill()
        self.start_redis(self.redis, url=self.redis_url)

    def start_redis(self, process: Process, *, url: str) -> None:
        process.start()
        with redis.Redis.from_url(url) as client:
            self.processes.wait_until(lambda: servers.is_answering(client), child=process)

    def flush_redis(self) -> None:
        for url in {self.redis_url, *urls_in(self.staging_url)}:
            with new_client(url) as client:
                client.flushall()

    def staging_server(self, number: int) -> tuple[Process, str]:
        """The process and the URL of one of the servers for the photos alone, from 0 on."""
        return self.processes[self.staging_servers[number]], urls_in(self.staging_url)[number]

    def stop_database(self) -> None:
        """As `pg_ctl stop -m immediate`: every connection is cut, nothing is written down."""
        os.kill(self._database_process.pid, signal.SIGQUIT)
        self._database_process.wait()
        connection.close()  # this process's own is cut as well

    def start_database(self) -> None:
        self._database_process.start()
        self.processes.wait_until(self._database_answers, child=self._database_process)

    def _database_answers(self) -> bool:
        try:
            psycopg.connect(host=str(self._database_folder), user="hopla", dbname="postgres").close()
        except psycopg.OperationalError:
            return False
        return True


def keep_what_is_committed(folder: Path) -> None:
    """Also over a kill; what script/servers.py starts for other tests would forget the last half second."""
    with psycopg.connect(host=str(folder), user="hopla", dbname="postgres", autocommit=True) as database:
        database.execute("ALTER SYSTEM SET synchronous_commit = on")
        database.execute("SELECT pg_reload_conf()")


@contextmanager
def connected_to(folder: Path):
    """Inside, the default database of this process is the PostgreSQL whose socket lies in that folder."""
    connection.close()
    connection.close_pool()
    usual = connection.settings_dict.copy()
    connection.settings_dict.update(HOST=str(folder), NAME="postgres", USER="hopla", PASSWORD="", PORT="")
    try:
        yield
    finally:
        connection.close()
        connection.close_pool()
        connection.settings_dict.update(usual)


def _as_settings(environment: dict[str, str]) -> dict[str, int]:
    """The numbers among them that this process reads too."""
    names = (
        *("UPLOAD_TIMEOUT_SECONDS", "RECONCILE_AFTER_SECONDS", "UPLOAD_MAX_ATTEMPTS"),
        *("STAGING_MAX_BYTES", "RESUMABLE_TTL_SECONDS", "DIRECT_UPLOAD_TTL_SECONDS"),
    )
    return {name: int(environment[name]) for name in names if name in environment}


def wait_until(condition, *, timeout_seconds: float, every_seconds: float = 0.05):
    """The first true value of `condition()`, or its last false one when none has come in that time."""
    deadline = time.monotonic() + timeout_seconds
    while not (value := condition()) and time.monotonic() < deadline:
        time.sleep(every_seconds)
    return value
