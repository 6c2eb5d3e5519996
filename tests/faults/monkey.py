"""What breaks a world at random while clients work in it, and how long the world takes to recover each time."""

import os
import random
import signal
import threading
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from django.db import connection
from django.db.utils import InterfaceError, OperationalError

from apps.common.redis.client import new_client
from apps.sandbox.faults import make_fault
from apps.tickets.models import Image
from tests.faults.clients import Diary
from tests.faults.world import World, wait_until

GIVE_UP_AFTER_SECONDS = 120

# What goes wrong with single requests to Cloudinary all the time: kind, rate, parameters.
EVERYDAY_TROUBLE = [
    ("latency", 1, {"seconds": 0.1}),
    ("drop_before_reading", 0.03, {}),
    ("reset_before_storing", 0.03, {}),
    ("store_then_drop", 0.03, {}),
    ("store_then_500", 0.03, {}),
    ("store_half", 0.01, {}),
    ("hang", 0.01, {}),
    ("store_then_hang", 0.01, {}),
    ("drip", 0.01, {"interval_seconds": 0.2}),
    ("cut_answer", 0.02, {}),
    ("truncated_json", 0.02, {}),
    ("null_body", 0.01, {}),
    ("html_page", 0.01, {}),
    ("wrong_public_id", 0.01, {}),
    ("wrong_etag", 0.01, {}),
    ("wrong_bytes", 0.01, {}),
    ("refuse", 0.03, {"status": 503}),
    ("refuse", 0.02, {"status": 429}),
    ("refuse", 0.01, {"status": 423}),
    ("refuse", 0.01, {"status": 400}),
    ("admin_lag", 1, {"seconds": 3}),
    ("refuse", 0.2, {"action": "admin", "status": 503}),
    ("null_body", 0.05, {"action": "admin"}),
    ("refuse", 0.1, {"action": "destroy", "status": 500}),
    ("store_then_drop", 0.1, {"action": "destroy"}),
    ("notification_lost", 0.15, {}),
    ("notification_doubled", 0.15, {}),
    ("notification_forged", 0.15, {}),
    ("notification_first", 0.1, {}),
    ("notification_delayed", 0.1, {"seconds": 3}),
    ("notification_delayed", 0.1, {"seconds": 10}),  # it comes late, or after the photo was taken back
]


def everyday_trouble() -> list:
    return [make_fault(kind, rate=rate, **parameters) for kind, rate, parameters in EVERYDAY_TROUBLE]


class Monkey:
    """Breaks one thing after another, by dice that its seed makes repeatable, from `start` until `stop`.

    `recoveries`: by what was done, the seconds from its beginning until work went on after its end. A killed worker
    has recovered once all that it had in flight has moved on; everything else once the next photo is accepted or, for
    Cloudinary, stored.
    """

    def __init__(self, world: World, diary: Diary, *, seed: int, seconds_between: float = 4):
        self.world, self.diary = world, diary
        self.recoveries: dict[str, list[float]] = defaultdict(list)
        self._dice = random.Random(seed)
        self._seconds_between = seconds_between
        self._stop = threading.Event()
        self._tricks_done = threading.Semaphore(0)
        self._watchers = ThreadPoolExecutor(thread_name_prefix="watcher")
        self._cage = ThreadPoolExecutor(1, thread_name_prefix="monkey")

    def start(self) -> None:
        self._at_work = self._cage.submit(self._run)

    def wait_for_tricks(self, number: int) -> None:
        """Returns once so many tricks were done, or when the monkey has stopped for a reason that `stop` raises."""
        while number and not self._at_work.done():
            number -= self._tricks_done.acquire(timeout=1)

    def stop(self) -> None:
        """Let things heal. Raises what kept the monkey from its work, if anything did."""
        self._stop.set()
        self._at_work.result()
        self._watchers.shutdown()

    def _run(self) -> None:
        tricks = []
        while not self._stop.wait(self._seconds_between * self._dice.uniform(0.5, 1.5)):
            tricks = tricks or TRICKS + (STAGING_TRICKS if self.world.staging_servers else [])
            trick = tricks.pop(self._dice.randrange(len(tricks)))  # each has its turn
            trick(self)
            self._tricks_done.release()

    # --- Recovery ---

    @contextmanager
    def _timed(self, what: str, count):
        """From the beginning of the block until, after its end, `count()` has grown."""
        started = time.monotonic()
        yield
        before = count()
        self._watch(what, lambda: count() > before, started=started)

    def _watch(self, what: str, has_recovered, *, started: float) -> None:
        def watch():
            recovered = wait_until(has_recovered, timeout_seconds=GIVE_UP_AFTER_SECONDS)
            self.recoveries[what].append(time.monotonic() - started if recovered else float("inf"))

        self._watchers.submit(watch)

    def _accepted(self) -> int:
        return len(self.diary.accepted_at)

    @staticmethod
    def _stored() -> int:
        return from_database(lambda: Image.objects.filter(status="stored").count())

    # --- Tricks ---

    def kill_worker(self) -> None:
        worker = self._dice.choice(self.world.workers)
        uploading = from_database(lambda: list(Image.objects.filter(status="uploading").values_list("pk", "attempts")))
        started = time.monotonic()
        worker.kill()
        worker.start()
        moved_on = lambda: not any(_is_still_at(*attempt) for attempt in uploading)  # noqa: E731
        self._watch("kill -9 of a worker", moved_on, started=started)

    def kill_web_process(self) -> None:
        with self._timed("kill -9 of a web process", self._accepted):
            if processes := self.world.web.children():
                os.kill(self._dice.choice(processes), signal.SIGKILL)

    def kill_web_server(self) -> None:
        with self._timed("kill -9 of the web server", self._accepted):
            self.world.web.kill()
            self.world.restart_web()

    def flush_redis(self) -> None:
        with self._timed("flush of Redis", self._accepted):
            self.world.flush_redis()

    def restart_redis(self) -> None:
        with self._timed("kill -9 and restart of Redis", self._accepted):
            self.world.restart_redis()

    def freeze_redis(self) -> None:
        with self._timed("2 seconds without an answer of Redis", self._accepted):
            self.world.redis.freeze()
            self._stop.wait(2)
            self.world.redis.thaw()

    def flush_one_staging_server(self) -> None:
        _, url = self._one_staging_server()
        with self._timed("flush of one of the staging servers", self._accepted), new_client(url) as client:
            client.flushall()

    def restart_one_staging_server(self) -> None:
        process, url = self._one_staging_server()
        with self._timed("2 seconds without one of the staging servers, then empty", self._accepted):
            process.kill()
            self._stop.wait(2)
            self.world.start_redis(process, url=url)

    def freeze_one_staging_server(self) -> None:
        process, _ = self._one_staging_server()
        with self._timed("2 seconds without an answer of one of the staging servers", self._accepted):
            process.freeze()
            self._stop.wait(2)
            process.thaw()

    def _one_staging_server(self):
        return self.world.staging_server(self._dice.randrange(len(self.world.staging_servers)))

    def restart_database(self) -> None:
        with self._timed("immediate restart of PostgreSQL", self._accepted):
            self.world.stop_database()
            self.world.start_database()

    def limit_account(self) -> None:
        self._while_all_uploads("3 seconds of 420 by Cloudinary", "refuse", status=420, reset_in_seconds=3)

    def refuse_credentials(self) -> None:
        self._while_all_uploads("3 seconds of 401 by Cloudinary", "wrong_credentials")

    def let_cloudinary_hang(self) -> None:
        self._while_all_uploads("3 seconds without an answer of Cloudinary", "hang")

    def lose_answers(self) -> None:
        self._while_all_uploads("3 seconds of lost answers of Cloudinary", "store_then_drop")

    def _while_all_uploads(self, what: str, kind: str, **parameters) -> None:
        faults = self.world.sandbox.cloud.faults
        rule = make_fault(kind, **parameters)
        with self._timed(what, self._stored):
            faults.rules.insert(0, rule)  # before the everyday trouble: the first that fires decides
            self._stop.wait(3)
            faults.lift(rule)


TRICKS = [
    Monkey.kill_worker,
    Monkey.kill_worker,
    Monkey.kill_web_process,
    Monkey.kill_web_process,
    Monkey.kill_web_server,
    Monkey.flush_redis,
    Monkey.restart_redis,
    Monkey.freeze_redis,
    Monkey.restart_database,
    Monkey.limit_account,
    Monkey.refuse_credentials,
    Monkey.let_cloudinary_hang,
    Monkey.lose_answers,
]

# Of a world that has servers for the photos alone.
STAGING_TRICKS = [
    Monkey.flush_one_staging_server,
    Monkey.restart_one_staging_server,
    Monkey.freeze_one_staging_server,
]


def _is_still_at(image_id, attempt: int) -> bool:
    attempts = Image.objects.filter(pk=image_id, status="uploading", attempts=attempt)
    return from_database(attempts.exists)


def from_database(query):
    """What the query returns, even when the database is unavailable for a while. No connection is kept afterwards."""
    give_up_at = time.monotonic() + GIVE_UP_AFTER_SECONDS
    while True:
        try:
            return query()
        except (OperationalError, InterfaceError):
            if time.monotonic() > give_up_at:
                raise
        finally:
            connection.close()
        time.sleep(0.2)
