"""How fast photos of 1 MB are accepted, with no worker running. CPU time is that of the web server's processes
(`python`), Redis and PostgreSQL; the clients' own is not counted, but they share the cores. "With keys": each request
has an Idempotency-Key of its own, which the textbook way knows nothing of.
"""

import statistics

from bench.results import Table
from bench.stage import CpuPerItem, Stage

PHOTO_BYTES = 1_000_000
MANY, SOME = 64, 16


def measure(stage: Stage, options) -> list[Table]:
    many, some = Table(f"{MANY} clients"), Table(f"{SOME} clients")
    for contender in stage.contenders:
        contender.start_web()
        contender.load(clients=SOME, requests=4 * SOME, photo_bytes=PHOTO_BYTES)
        contender.clear()
    for _ in range(options.rounds):
        for contender in stage.contenders:
            for table, clients in ((many, MANY), (some, SOME)):
                measure_round(stage, contender, table, clients=clients, seconds=options.seconds)
        measure_round(stage, stage.hopla, some, clients=SOME, seconds=options.seconds, keys=True)
    return [many, some]


def measure_round(stage: Stage, contender, table: Table, *, clients: int, seconds: float, keys: bool = False) -> None:
    column = f"{contender.name}, with keys" if keys else contender.name
    cpu_per_photo = CpuPerItem(stage, contender.web)
    seen = contender.load(clients=clients, seconds=seconds, photo_bytes=PHOTO_BYTES, keys=keys)
    accepted = len(seen["milliseconds"])
    table.add("photos/s", column, accepted / seen["seconds"])
    for name, milliseconds in cpu_per_photo(accepted).items():
        table.add(f"CPU ms a photo, {name}", column, milliseconds)
    cuts = statistics.quantiles(seen["milliseconds"], n=100, method="inclusive")
    table.add("p50 ms", column, cuts[49])
    table.add("p99 ms", column, cuts[98])
    refused = {status: number for status, number in seen["answers"].items() if status != "202"}
    if refused:
        table.note(f"{column} also answered (number by status): {refused}")
    contender.clear()
