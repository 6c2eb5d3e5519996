"""How fast photos of 1 MB are accepted, with no worker running. Processor time is that of the web server's processes
(`python`), Redis and PostgreSQL; the clients' own is not counted, but they share the cores.
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
    return [many, some]


def measure_round(stage: Stage, contender, table: Table, *, clients: int, seconds: float) -> None:
    cpu_per_photo = CpuPerItem(stage, contender.web)
    seen = contender.load(clients=clients, seconds=seconds, photo_bytes=PHOTO_BYTES)
    accepted = len(seen["milliseconds"])
    table.add("photos/s", contender.name, accepted / seen["seconds"])
    for name, milliseconds in cpu_per_photo(accepted).items():
        table.add(f"CPU ms a photo, {name}", contender.name, milliseconds)
    cuts = statistics.quantiles(seen["milliseconds"], n=100, method="inclusive")
    table.add("p50 ms", contender.name, cuts[49])
    table.add("p99 ms", contender.name, cuts[98])
    refused = {status: number for status, number in seen["answers"].items() if status != "202"}
    if refused:
        table.note(f"{contender.name} also answered (number by status): {refused}")
    contender.clear()
