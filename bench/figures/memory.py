"""How far the web server's processes grow while 64 clients post photos of 5 MB at once (two each), from a fresh start,
and what they write to disks meanwhile.
"""

from bench import process_tree
from bench.results import Table
from bench.stage import Stage

CLIENTS, PHOTO_BYTES = 64, 5_000_000


def measure(stage: Stage, options) -> list[Table]:
    table = Table(f"{CLIENTS} uploads of 5 MB")
    for _ in range(options.rounds):
        for contender in stage.contenders:
            measure_round(contender, table)
    return [table]


def measure_round(contender, table: Table) -> None:
    web = contender.start_web()
    contender.load(clients=4, requests=40, photo_bytes=10_000)  # loads what is imported late
    written = process_tree.written_bytes(web.pid)
    with process_tree.PeakMemory(web.pid) as memory:
        contender.load(clients=CLIENTS, requests=2 * CLIENTS, photo_bytes=PHOTO_BYTES)
    table.add("before, MiB", contender.name, memory.before / 1024**2)
    table.add("growth at the peak, MiB", contender.name, (memory.peak - memory.before) / 1024**2)
    table.add("written to disks, MiB", contender.name, (process_tree.written_bytes(web.pid) - written) / 1024**2)
    web.stop()
    contender.clear()
