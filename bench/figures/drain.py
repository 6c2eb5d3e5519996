"""How fast a backlog of photos of 1 MB reaches a Cloudinary that answers after 200 ms, by one `rqworker default`:
textbook's, hopla's, and RQ's stock worker on hopla's own jobs. CPU time is that of the worker with all it has
started (`python`), Redis and PostgreSQL; memory is the resident memory of the worker at its peak, its forks included.
"""

import time

from bench.process_tree import PeakMemory
from bench.results import Table
from bench.stage import CpuPerItem, Stage, wait_for

LATENCY_SECONDS = 0.2
PHOTO_BYTES = 1_000_000
STOCK_PER_SECOND, OURS_PER_SECOND = 5, 160  # at most: a backlog must last for the time of one measurement


def measure(stage: Stage, options) -> list[Table]:
    stage.start_cloudinary(latency_seconds=LATENCY_SECONDS)
    table = Table("One worker")
    for contender in stage.contenders:
        contender.start_web()
    runs = [
        ("textbook", stage.textbook, [], STOCK_PER_SECOND),
        ("hopla, stock worker", stage.hopla, ["--worker-class", "rq.worker.Worker"], STOCK_PER_SECOND),
        ("hopla", stage.hopla, [], OURS_PER_SECOND),
    ]
    for _ in range(options.rounds):
        for column, contender, arguments, pace in runs:
            contender.stage_backlog(int(pace * options.seconds) + 40, photo_bytes=PHOTO_BYTES)
            measure_round(stage, contender, arguments, table, column=column, seconds=options.seconds)
    return [table]


def measure_round(stage: Stage, contender, arguments, table: Table, *, column: str, seconds: float) -> None:
    backlog = contender.query(f"SELECT count(*) FROM {contender.tables['images']}")[0][0]
    worker = contender.start_worker(*arguments)
    wait_for(contender.stored, timeout_seconds=60)
    cpu_per_photo, before, started = CpuPerItem(stage, worker), contender.stored(), time.monotonic()
    with PeakMemory(worker.pid) as memory:
        wait_for(lambda: contender.stored() == backlog, timeout_seconds=seconds)
        stored, took = contender.stored() - before, time.monotonic() - started
    table.add("photos/s", column, stored / took)
    for name, milliseconds in cpu_per_photo(stored).items():
        table.add(f"CPU ms a photo, {name}", column, milliseconds)
    table.add("worker's memory, MiB", column, memory.peak / 1024**2)
    worker.kill()
    contender.clear()
