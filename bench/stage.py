"""What every figure needs: a PostgreSQL, a Redis, a Cloudinary, and the two contenders on them, hopla and textbook.

The contenders share the servers, each with a database of its own, and never work at the same time.
"""

import os
import re
import sys
import time
from contextlib import ExitStack
from functools import cached_property

import psycopg
import redis

from bench import process_tree
from bench.client import Client
from bench.load import run_load
from script import servers
from tests.faults.processes import Process, Processes

SECRET = "not-secret-" * 8
READY_WITHIN_SECONDS = 60
ROUND_PHOTOS = 1500  # of 1 MB: what 64 clients post in five seconds


class Contender:
    """One way to do the job, on its own database. Subclasses say how it is run."""

    name: str
    environment: dict[str, str]
    gunicorn: list[str]
    manage: list[str]
    tables: dict[str, str]
    redis_database: int
    is_stored: str  # an SQL condition on its images

    def __init__(self, stage: "Stage"):
        self.stage = stage
        self.redis_url = stage.redis_url.replace("db=0", f"db={self.redis_database}")
        stage.query(f"CREATE DATABASE {self.name}")
        self.environment = os.environ | self.environment
        self.environment |= {
            "SECRET_KEY": SECRET,
            "DATABASE_URL": stage.database_url.replace("/postgres", f"/{self.name}"),
            "REDIS_URL": self.redis_url,
            "STAGING_REDIS_URL": self.redis_url,
        }
        self.prepare()

    def prepare(self) -> None:
        self.stage.processes.run("migrate", [*self.manage, *self.migrate], env=self.environment)

    def query(self, text: str) -> list[tuple]:
        return self.stage.query(text, database=self.name)

    # --- Its processes ---

    def start_web(self, *, port: int = 0, processes: int = 2) -> Process:
        """`port` 0: a free one. `processes`: as many as its environment has it start."""
        command = [sys.executable, "-m", "gunicorn", "--bind", f"127.0.0.1:{port}", *self.gunicorn]
        self.web = self.stage.processes.start(f"{self.name}-web", command, env=self.environment)
        listening = r"Listening at: http://127\.0\.0\.1:(\d+)"
        self.wait_until(lambda: re.search(listening, self.web.output), self.web)
        self.port = int(re.search(listening, self.web.output)[1])
        # Each process has imported its code once it has had a connection to serve.
        self.wait_until(lambda: self.web.output.count("Booting worker") >= processes, self.web)
        return self.web

    def start_worker(self, *arguments: str) -> Process:
        command = [*self.manage, "rqworker", "default", *arguments]
        environment = self.environment | {"CLOUDINARY_URL": self.stage.cloudinary_url}
        return self.stage.processes.start(f"{self.name}-worker", command, env=environment)

    def wait_until(self, condition, process: Process, timeout_seconds: float = READY_WITHIN_SECONDS) -> None:
        self.stage.processes.wait_until(condition, child=process, timeout_seconds=timeout_seconds)

    # --- Its data ---

    @cached_property
    def token(self) -> str:
        """The token of the one user, who is created at the first call; the web server must be running."""
        return Client(f"http://127.0.0.1:{self.port}").registered().token

    def open_tickets(self, number: int, *, places: int) -> list[int]:
        """The ids of new tickets, each for that many photos, written straight into the database."""
        columns = {"owner_id": f"(SELECT max(id) FROM {self.tables['users']})", "title": "''", "status": "'pending'"}
        columns |= {"num_images": str(places), "created_at": "now()"} | self.other_ticket_columns
        rows = self.query(
            f"INSERT INTO {self.tables['tickets']} ({', '.join(columns)}) SELECT {', '.join(columns.values())} "
            f"FROM generate_series(1, {number}) RETURNING id"
        )
        return [row[0] for row in rows]

    def stored(self) -> int:
        return self.query(f"SELECT count(*) FROM {self.tables['images']} WHERE {self.is_stored}")[0][0]

    def clear(self) -> None:
        """No photo, no job and no ticket is left."""
        with redis.Redis.from_url(self.redis_url) as client:
            client.flushdb()
        truncate = f"TRUNCATE {self.tables['tickets']} CASCADE"
        try:
            self.query(truncate)
        except psycopg.errors.DeadlockDetected:  # with the last statement of a worker that was killed
            self.query(truncate)

    # --- Work for it ---

    def load(self, **work) -> dict:
        """What the clients of bench/load.py saw. They fill new tickets of 20 photos, unless they are to poll a path."""
        token = self.token
        if not work.get("get"):
            places = work.setdefault("places", 20)
            photos = work.get("requests") or int(1000 * work["seconds"])
            work["tickets"] = self.open_tickets(photos // places + work["clients"] + 1, places=places)
        return run_load(port=self.port, token=token, **work)

    def stage_backlog(self, photos: int, *, photo_bytes: int) -> None:
        """Photos accepted and waiting, with no worker running."""
        self.load(clients=8, requests=photos, photo_bytes=photo_bytes)


class Hopla(Contender):
    """As its Procfile runs it."""

    name = "hopla"
    environment = {
        "DEBUG": "off",
        "ALLOWED_HOSTS": "127.0.0.1",
        "SECURE_SSL_REDIRECT": "off",
        "STAGING_MAX_BYTES": str(8 * 1024**3),
        **dict.fromkeys(("THROTTLE_LOGIN", "THROTTLE_REGISTER", "THROTTLE_TICKETS", "THROTTLE_UPLOADS"), ""),
        "MALLOC_ARENA_MAX": "2",
        "DJANGO_SETTINGS_MODULE": "hopla.settings",
        "CLOUDINARY_URL": "cloudinary://key:secret@sandbox",
    }
    gunicorn = ["--config", "hopla/gunicorn_conf.py", "hopla.wsgi"]
    manage = [sys.executable, "manage.py"]
    migrate = ["migrate", "--no-input", "--verbosity=0"]
    tables = {"users": "accounts_user", "tickets": "tickets_ticket", "images": "tickets_image"}
    other_ticket_columns = {"description": "''", "updated_at": "now()", "version": "1"}
    redis_database = 0
    is_stored = "status = 'stored'"


class Textbook(Contender):
    """Two processes of gunicorn with 32 threads each, so that 64 uploads find a thread, and defaults for the rest."""

    name = "textbook"
    environment = {"DJANGO_SETTINGS_MODULE": "bench.textbook.settings"}
    gunicorn = ["--workers", "2", "--threads", "32", "bench.textbook.wsgi"]
    manage = [sys.executable, "-m", "django"]
    migrate = ["migrate", "--no-input", "--verbosity=0"]
    tables = {"users": "auth_user", "tickets": "textbook_ticket", "images": "textbook_image"}
    other_ticket_columns = {}
    redis_database = 1
    is_stored = "url <> ''"


class Stage:
    """Use as a context manager: inside, the servers run and both contenders are migrated; nothing is left behind.

    `postgres`: whose, one of servers.POSTGRES_SOURCES.
    """

    def __init__(self, *, postgres: str | None = None):
        self._postgres = postgres

    def __enter__(self) -> "Stage":
        with ExitStack() as stack:
            self.folder = folder = stack.enter_context(servers.private_folder())
            owner = servers.unprivileged_user()
            home = stack.enter_context(servers.private_folder(owner))
            self.processes = stack.enter_context(Processes(folder))
            # As one that has run for a while. Each page that a process gets anew may be one that a virtual machine's
            # host has taken back: rounds which followed a larger one were a tenth slower, and their p99 twice as long.
            self.redis_url = servers.start_redis(self.processes, folder=folder, max_bytes=0, keeps_memory=True)
            fill_once(self.redis_url)
            self.database_url = servers.start_postgres(
                self.processes, folder=home, owner=owner, source=self._postgres, is_durable=True
            )
            self._database_folder, self._connections = home, {}
            stack.callback(lambda: [connection.close() for connection in self._connections.values()])
            self.postgres_version = self.query("SHOW server_version")[0][0]
            self.textbook, self.hopla = Textbook(self), Hopla(self)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exc_info) -> None:
        self._stack.close()

    @property
    def contenders(self) -> list[Contender]:
        return [self.textbook, self.hopla]

    def start_cloudinary(self, *, latency_seconds: float) -> None:
        command = [sys.executable, "-m", "bench.stand_in", f"--latency={latency_seconds}"]
        stand_in = self.processes.start("stand-in", command)
        self.processes.wait_until(lambda: "port " in stand_in.output, child=stand_in, timeout_seconds=10)
        prefix = f"http://127.0.0.1:{stand_in.output.split()[1]}"
        self.cloudinary_url = f"cloudinary://key:secret@sandbox?upload_prefix={prefix}"

    def query(self, text: str, *, database: str = "postgres") -> list[tuple]:
        if database not in self._connections:  # kept: a new one for each query would show in PostgreSQL's statistics
            address = {"host": str(self._database_folder), "user": "hopla", "dbname": database}
            self._connections[database] = psycopg.connect(**address, autocommit=True)
        cursor = self._connections[database].execute(text)
        return cursor.fetchall() if cursor.description else []

    def cpu(self, process: Process) -> dict[str, float]:
        """Seconds of CPU time so far, of that process and of the servers behind it, with their descendants."""
        trees = {"python": process, "redis": self.processes["redis"], "postgres": self.processes["postgres"]}
        return {name: process_tree.cpu_seconds(each.pid) for name, each in trees.items()}


class CpuPerItem:
    """Milliseconds of CPU time since it was created, per item."""

    def __init__(self, stage: Stage, process: Process):
        self._stage, self._process = stage, process
        self._before = stage.cpu(process)

    def __call__(self, items: int) -> dict[str, float]:
        """By process, and in `all`."""
        after = self._stage.cpu(self._process)
        each = {name: 1000 * (after[name] - self._before[name]) / items for name in after}
        return each | {"all": sum(each.values())}


def fill_once(redis_url: str) -> None:
    """Have this Redis ask the system for as much memory as a round of 64 clients fills."""
    with redis.Redis.from_url(redis_url) as client:
        for number in range(ROUND_PHOTOS):
            client.setrange(f"filling:{number}", 1_000_000, b"\0")
        client.flushall()


def wait_for(condition, *, timeout_seconds: float, every_seconds: float = 0.1) -> bool:
    ends_at = time.monotonic() + timeout_seconds
    while not (value := condition()) and time.monotonic() < ends_at:
        time.sleep(every_seconds)
    return bool(value)
