"""A worker is killed (SIGKILL, with all it has started) with photos in flight, and another one started at once: how
long until every photo of the backlog is stored. And with a long backlog, of which all is due as well: how long until
the photos that were in flight are taken up again, and until they are stored. Cloudinary answers after 2 seconds.
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
BACKLOG, BACKLOG_PHOTO_BYTES = 10_000, 1_000
GIVE_UP_BACKLOG_AFTER_SECONDS = 180


def measure(stage: Stage, options) -> list[Table]:
    stage.start_cloudinary(latency_seconds=LATENCY_SECONDS)
    table = Table("From the kill to the last photo stored")
    table.note(f"Given up after {GIVE_UP_AFTER_SECONDS} seconds, which then stand for more.")
    for contender in stage.contenders:
        contender.start_web()
    measure_round(stage.textbook, table)  # once: it takes minutes, and is given up
    for _ in range(options.rounds):
        measure_round(stage.hopla, table)
    behind = Table(f"From the kill, with {BACKLOG:,} photos waiting and due")
    behind.note(f"Given up after {GIVE_UP_BACKLOG_AFTER_SECONDS} seconds, which then stand for more.")
    measure_with_backlog(stage.hopla, behind)  # once: accepting the backlog takes long
    return [table, behind]


def measure_round(contender, table: Table) -> None:
    photos = PHOTOS[contender.name]
    contender.stage_backlog(photos, photo_bytes=PHOTO_BYTES)
    worker = start_worker_and_keep_it_busy(contender)
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


def measure_with_backlog(contender, table: Table) -> None:
    contender.stage_backlog(BACKLOG, photo_bytes=BACKLOG_PHOTO_BYTES)
    worker = start_worker_and_keep_it_busy(contender)
    contender.query("UPDATE tickets_image SET next_check_at = now() - interval '1 minute' WHERE status = 'queued'")
    killed_at = time.monotonic()
    kill_tree(worker)
    in_flight = contender.query("SELECT id, attempts FROM tickets_image WHERE status = 'uploading'")
    successor = contender.start_worker()

    def waiting_for(change: str) -> int:
        rows = ", ".join(f"('{image_id}'::uuid, {attempts})" for image_id, attempts in in_flight)
        those = f"FROM tickets_image JOIN (VALUES {rows}) AS before (id, attempt) USING (id)"
        return contender.query(f"SELECT count(*) {those} WHERE NOT ({change})")[0][0]

    for row, change in (
        ("seconds until all are taken up again", "status <> 'uploading' OR attempts > attempt"),
        ("seconds until all are stored", "status = 'stored'"),
    ):
        left = GIVE_UP_BACKLOG_AFTER_SECONDS - (time.monotonic() - killed_at)
        wait_for(lambda change=change: waiting_for(change) == 0, timeout_seconds=left)
        table.add(row, contender.name, time.monotonic() - killed_at)
    table.add("in flight at the kill", contender.name, len(in_flight))
    table.add("not stored in the end", contender.name, waiting_for("status = 'stored'"))
    successor.kill()
    contender.clear()


def start_worker_and_keep_it_busy(contender):
    """The worker, with photos that wait for Cloudinary."""
    worker = contender.start_worker()
    wait_for(lambda: jobs_in_flight(contender), timeout_seconds=60)
    time.sleep(LATENCY_SECONDS / 2)
    return worker


def kill_tree(worker) -> None:
    """RQ's forks live in sessions of their own: killing the worker's process group would let them finish."""
    for pid in process_tree.tree(worker.pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    worker.wait()


def jobs_in_flight(contender) -> int:
    with redis.Redis.from_url(contender.redis_url) as client:
        return client.zcard("rq:wip:default")
