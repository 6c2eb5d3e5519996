"""A healthy client posts photos of 100 KB, five a second, while 200 others post one of 500 KB each at 50 KB/s."""

import json
import statistics
import subprocess
import sys

from bench.results import Table
from bench.stage import Stage
from tests.faults.processes import ROOT

SLOW_CLIENTS, SLOW_PHOTO_BYTES, BYTES_PER_SECOND = 200, 500_000, 50_000
SLOW_SECONDS = SLOW_PHOTO_BYTES / BYTES_PER_SECOND
HEALTHY_PHOTO_BYTES = 100_000


def measure(stage: Stage, options) -> list[Table]:
    table = Table("One healthy client among 200 slow ones")
    for contender in stage.contenders:
        contender.start_web()
        contender.load(clients=4, requests=40, photo_bytes=HEALTHY_PHOTO_BYTES)
    for _ in range(options.rounds):
        for contender in stage.contenders:
            measure_round(contender, table)
    return [table]


def measure_round(contender, table: Table) -> None:
    alone = healthy_client(contender, seconds=2)
    slow = start_slow_clients(contender)
    beside = healthy_client(contender, seconds=SLOW_SECONDS - 1)
    seen = json.loads(slow.communicate()[0])
    table.add("healthy alone, median ms", contender.name, statistics.median(alone))
    table.add("healthy among them, median ms", contender.name, statistics.median(beside))
    table.add("healthy among them, longest ms", contender.name, max(beside))
    table.add(f"slow ones accepted, of {SLOW_CLIENTS}", contender.name, seen["answers"].get("202", 0))
    table.add("the last slow one, seconds", contender.name, max(seen["seconds"], default=0))
    if others := {status: number for status, number in seen["answers"].items() if status != "202"}:
        table.note(f"{contender.name} also answered (number by status, 0: cut off): {others}")
    contender.clear()


def healthy_client(contender, *, seconds: float) -> list[float]:
    """The milliseconds of its requests; each begins a fifth of a second after the last answer."""
    load = {"clients": 1, "pause_seconds": 0.2, "photo_bytes": HEALTHY_PHOTO_BYTES}
    return contender.load(seconds=seconds, **load)["milliseconds"]


def start_slow_clients(contender) -> subprocess.Popen:
    work = {
        "port": contender.port,
        "token": contender.token,
        "tickets": contender.open_tickets(SLOW_CLIENTS, places=1),
        "photo_bytes": SLOW_PHOTO_BYTES,
        "bytes_per_second": BYTES_PER_SECOND,
    }
    command = [sys.executable, "-m", "bench.slow_load"]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    process.stdin.write(json.dumps(work))
    process.stdin.flush()
    process.stdin.close()
    process.stdin = None  # for communicate, which would close it again
    return process
