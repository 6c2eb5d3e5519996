"""A worker is killed (SIGKILL, with all it has started) with photos in flight, and another one started at once: how
long until every photo of the backlog is stored. Cloudinary answers after 2 seconds.
"""

import contextlib
import os
import signal
import time

import redis

from bench import process_tree
from bench.results import Table
from bench.stage import Stage, wait_for

LATENCY_SECONDS = 2
PHOTOS, PHOTO_BYTES = {"textbook": 4, "hopla": 64}, 100_000  # some ten seconds of work each
GIVE_UP_AFTER_SECONDS = 60


def measure(stage: Stage, options) -> list[Table]:
    stage.start_cloudinary(latency_seconds=LATENCY_SECONDS)
    table = Table("From the kill to the last photo stored")
    table.note(f"Given up after {GIVE_UP_AFTER_SECONDS} seconds, which then stand for more.")
    for contender in stage.contenders:
        contender.start_web()
    measure_round(stage.textbook, table)  # once: it takes minutes, and is given up
    for _ in range(options.rounds):
        measure_round(stage.hopla, table)
    return [table]


def measure_round(contender, table: Table) -> None:
    photos = PHOTOS[contender.name]
    contender.stage_backlog(photos, photo_bytes=PHOTO_BYTES)
    worker = contender.start_worker()
    wait_for(lambda: jobs_in_flight(contender), timeout_seconds=60)
    time.sleep(LATENCY_SECONDS / 2)  # now they wait for Cloudinary
    in_flight = jobs_in_flight(contender)
    killed_at = time.monotonic()
    kill_tree(worker)
    successor = contender.start_worker()
    wait_for(lambda: contender.stored() == photos, timeout_seconds=GIVE_UP_AFTER_SECONDS)
    table.add("seconds", contender.name, time.monotonic() - killed_at)
    table.add("photos", contender.name, photos)
    table.add("in flight at the kill", contender.name, in_flight)
    table.add("not stored in the end", contender.name, photos - contender.stored())
    successor.kill()
    contender.clear()


def kill_tree(worker) -> None:
    """RQ's forks live in sessions of their own: killing the worker's process group would let them finish."""
    for pid in process_tree.tree(worker.pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    worker.wait()


def jobs_in_flight(contender) -> int:
    with redis.Redis.from_url(contender.redis_url) as client:
        return client.zcard("rq:wip:default")
