"""How fast photos of 1 MB are accepted, with no worker running. CPU time is that of the web server's processes
(`python`), Redis and PostgreSQL; the clients' own is not counted, but they share the cores. "With keys": each request
has an Idempotency-Key of its own, which the textbook way knows nothing of. "On one ticket": the clients fill one ticket
of 500 photos after the other, together, where otherwise each fills its own of 20. Redis has had as much in memory
before, as one that has run for a while.

tus-node, with `--peer tus-node`: tus-node-server as its README starts it, which knows no accounts and no database and
keeps the files on disk; each photo is one request, the protocol's creation with upload. Its `python` is Node.js. The
system finds memory for its files anew in each round, which on a virtual machine may cost it something.
"""

import os
import statistics

from bench.peers.tus_node import TusNode
from bench.results import Table
from bench.stage import CpuPerItem, Stage

PHOTO_BYTES = 1_000_000
MANY, SOME = 64, 16
TOGETHER = {"places": 500, "together": True}


def measure(stage: Stage, options) -> list[Table]:
    many, some = Table(f"{MANY} clients"), Table(f"{SOME} clients")
    together = Table(f"{SOME} clients on one ticket")
    contenders = [*stage.contenders, *([TusNode(stage)] if options.peer else [])]
    for contender in contenders:
        contender.start_web()
        contender.load(clients=SOME, requests=4 * SOME, photo_bytes=PHOTO_BYTES)
        contender.clear()
    for number in range(options.rounds):
        turn = number % len(contenders)  # none is always the first, when the machine may be quieter
        for contender in contenders[turn:] + contenders[:turn]:
            os.sync()  # or a database would wait for the disk that another contender has filled
            load = {"seconds": options.seconds, "photo_bytes": PHOTO_BYTES}
            measure_round(stage, contender, many, clients=MANY, **load)
            measure_round(stage, contender, some, clients=SOME, **load)
            if contender in stage.contenders:
                measure_round(stage, contender, together, clients=SOME, **load, **TOGETHER)
            if contender is stage.hopla:
                measure_round(stage, contender, some, clients=SOME, keys=True, **load)
    for table in (many, some):
        table.in_this_order([contender.name for contender in contenders])
        for contender in contenders:
            if contender is not stage.hopla:
                table.note_ratios("photos/s", stage.hopla.name, contender.name)
                table.note_ratios("p99 ms", stage.hopla.name, contender.name)
    return [many, some, together]


def measure_round(stage: Stage, contender, table: Table, **load) -> None:
    column = f"{contender.name}, with keys" if load.get("keys") else contender.name
    cpu_per_photo = CpuPerItem(stage, contender.web)
    seen = contender.load(**load)
    accepted = len(seen["milliseconds"])
    table.add("photos/s", column, accepted / seen["seconds"])
    for name, milliseconds in cpu_per_photo(accepted).items():
        table.add(f"CPU ms a photo, {name}", column, milliseconds)
    cuts = statistics.quantiles(seen["milliseconds"], n=100, method="inclusive")
    table.add("p50 ms", column, cuts[49])
    table.add("p99 ms", column, cuts[98])
    refused = {status: number for status, number in seen["answers"].items() if status not in ("201", "202")}
    if refused:
        table.note(f"{column} also answered (number by status): {refused}")
    contender.clear()
