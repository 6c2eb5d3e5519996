"""How many photos of 1 MB a second complete by direct uploads through one web process: the client has the form signed,
posts the photo to a Cloudinary that answers at once and notifies hopla, and hopla counts it. From the first form until
the last photo is counted. Beside it, in the same run, how many the same process accepts that come through hopla, which
then still have to be sent on by a worker. CPU time is that of the web process (`python`), Redis and PostgreSQL; that of
the clients and of the stand-in for Cloudinary is not counted, but they share the cores.
"""

import statistics
import time

from bench.direct_load import run_direct_load
from bench.results import Table
from bench.stage import CpuPerItem, Stage, wait_for
from script.serve import free_port

PHOTO_BYTES = 1_000_000
MANY, SOME = 64, 16
PLACES = 20
COUNTED_WITHIN_SECONDS = 60


def measure(stage: Stage, options) -> list[Table]:
    stage.start_cloudinary(latency_seconds=0)
    port = free_port()
    stage.hopla.environment |= {
        "CLOUDINARY_URL": stage.cloudinary_url,
        "DIRECT_UPLOADS": "on",
        "PUBLIC_URL": f"http://127.0.0.1:{port}",
        "WEB_CONCURRENCY": "1",
    }
    stage.hopla.start_web(port=port, processes=1)
    load_direct(stage, clients=SOME, requests=4 * SOME)
    stage.hopla.clear()
    tables = {number: Table(f"{number} clients") for number in (MANY, SOME)}
    for turn in range(options.rounds):
        for clients, table in tables.items():
            rounds = [measure_direct, measure_accepted]
            for measure_one in rounds[turn % 2 :] + rounds[: turn % 2]:
                measure_one(stage, table, clients=clients, seconds=options.seconds)
    return list(tables.values())


def measure_direct(stage: Stage, table: Table, *, clients: int, seconds: float) -> None:
    cpu_per_photo, started = CpuPerItem(stage, stage.hopla.web), time.monotonic()
    seen = load_direct(stage, clients=clients, seconds=seconds)
    posted = len(seen["milliseconds"])
    wait_for(lambda: stage.hopla.stored() >= posted, timeout_seconds=COUNTED_WITHIN_SECONDS, every_seconds=0.02)
    took, stored = time.monotonic() - started - seen["began_after"], stage.hopla.stored()
    add(table, "direct", stored / took, cpu_per_photo(stored), seen)
    table.add("photos not counted", "direct", posted - stored)
    stage.hopla.clear()


def measure_accepted(stage: Stage, table: Table, *, clients: int, seconds: float) -> None:
    cpu_per_photo = CpuPerItem(stage, stage.hopla.web)
    seen = stage.hopla.load(clients=clients, seconds=seconds, photo_bytes=PHOTO_BYTES)
    accepted = len(seen["milliseconds"])
    add(table, "accepted, through hopla", accepted / seen["seconds"], cpu_per_photo(accepted), seen)
    stage.hopla.clear()


def add(table: Table, column: str, photos_a_second: float, cpu: dict[str, float], seen: dict) -> None:
    table.add("photos/s", column, photos_a_second)
    for name, milliseconds in cpu.items():
        table.add(f"CPU ms a photo, {name}", column, milliseconds)
    cuts = statistics.quantiles(seen["milliseconds"], n=100, method="inclusive")
    table.add("p50 ms", column, cuts[49])
    table.add("p99 ms", column, cuts[98])
    refused = {status: number for status, number in seen["answers"].items() if status not in ("200", "202")}
    if refused:
        table.note(f"{column} also answered (number by status): {refused}")


def load_direct(stage: Stage, **work) -> dict:
    """What the clients saw, and `began_after`: for how many seconds they were being started."""
    token = stage.hopla.token
    photos = work.get("requests") or int(1000 * work["seconds"])
    tickets = stage.hopla.open_tickets(photos // PLACES + work["clients"] + 1, places=PLACES)
    work |= {"tickets": tickets, "places": PLACES, "photo_bytes": PHOTO_BYTES}
    cloud_port = int(stage.cloudinary_url.rpartition(":")[2])
    asked_at = time.monotonic()
    seen = run_direct_load(port=stage.hopla.port, cloud_port=cloud_port, token=token, **work)
    return seen | {"began_after": time.monotonic() - asked_at - seen["seconds"]}
