"""How fast photos of 1 MB are accepted by hopla, and then sent on by one worker to a Cloudinary that answers after 200
ms, with one Redis for the photos and with two, the queue on another. All share this machine's cores with the clients,
so that a second Redis cannot make it faster: what counts is the CPU time, and how it is spread.
"""

import statistics
import time

import redis

from apps.common.redis.address import address_of
from apps.tickets.staging.servers import address_code
from bench import process_tree
from bench.figures.accept import PHOTO_BYTES, SOME
from bench.figures.drain import LATENCY_SECONDS
from bench.results import Table
from bench.stage import CpuPerItem, Stage, fill_once, wait_for
from script import servers

NUMBERS = (1, 2)
BACKLOG = 120  # photos, more than were accepted


def measure(stage: Stage, options) -> list[Table]:
    stage.start_cloudinary(latency_seconds=LATENCY_SECONDS)
    accept, drain = Table(f"Taken in, {SOME} clients"), Table("Sent on, one worker")
    urls = {name: start_redis(stage, name) for name in ("photos-1", "photos-2")}
    while len({address_code(address_of(url)) for url in urls.values()}) < len(urls):  # the path of a socket is random
        urls["photos-2"] = urls["photos-2"].replace("db=0", "db=1")
    for turn in range(options.rounds):
        for number in NUMBERS if turn % 2 == 0 else reversed(NUMBERS):  # the machine may be busier now than then
            used = dict(list(urls.items())[:number])
            stage.hopla.environment["STAGING_REDIS_URL"] = ",".join(used.values())
            measure_accept(stage, accept, used, seconds=options.seconds)
            measure_drain(stage, drain, used)
            clear(stage, used)
            stage.hopla.web.stop()
    return [accept, drain]


def start_redis(stage: Stage, name: str) -> str:
    url = servers.start_redis(stage.processes, folder=stage.processes.folder, name=name, max_bytes=0, keeps_memory=True)
    fill_once(url)
    return url


def measure_accept(stage: Stage, table: Table, urls: dict[str, str], *, seconds: float) -> None:
    stage.hopla.start_web()
    stage.hopla.load(clients=SOME, requests=4 * SOME, photo_bytes=PHOTO_BYTES)
    clear(stage, urls)
    cpu = Cpu(stage, stage.hopla.web, urls)
    seen = stage.hopla.load(clients=SOME, seconds=seconds, photo_bytes=PHOTO_BYTES)
    accepted = len(seen["milliseconds"])
    bytes_on = [bytes_in(url) for url in urls.values()]
    table.add("photos/s", column_of(urls), accepted / seen["seconds"])
    cpu.add_to(table, photos=accepted)
    table.add("share of the bytes on the fuller of them", column_of(urls), max(bytes_on) / sum(bytes_on))
    cuts = statistics.quantiles(seen["milliseconds"], n=100, method="inclusive")
    table.add("p50 ms", column_of(urls), cuts[49])
    table.add("p99 ms", column_of(urls), cuts[98])


def measure_drain(stage: Stage, table: Table, urls: dict[str, str]) -> None:
    hopla = stage.hopla
    hopla.stage_backlog(BACKLOG, photo_bytes=PHOTO_BYTES)
    backlog = hopla.query("SELECT count(*) FROM tickets_image")[0][0]
    worker = hopla.start_worker()
    wait_for(hopla.stored, timeout_seconds=60)
    cpu, before, started = Cpu(stage, worker, urls), hopla.stored(), time.monotonic()
    wait_for(lambda: hopla.stored() == backlog, timeout_seconds=60)
    stored = hopla.stored() - before
    table.add("photos/s", column_of(urls), stored / (time.monotonic() - started))
    cpu.add_to(table, photos=stored)
    worker.kill()


def column_of(urls: dict[str, str]) -> str:
    return "one Redis" if len(urls) == 1 else f"{len(urls)} Redis servers"


class Cpu:
    """Since it was created, of a process of hopla's, of the Redis with the queue and of those with the photos."""

    def __init__(self, stage: Stage, process, urls: dict[str, str]):
        self._stage, self._urls = stage, urls
        self._per_photo, self._before = CpuPerItem(stage, process), cpu_of(stage, urls)

    def add_to(self, table: Table, *, photos: int) -> None:
        now, column = cpu_of(self._stage, self._urls), column_of(self._urls)
        of_photos = [1000 * (cpu - self._before[name]) / photos for name, cpu in now.items()]
        each = self._per_photo(photos)
        table.add("CPU ms a photo, python", column, each["python"])
        table.add("CPU ms a photo, Redis with the queue", column, each["redis"])
        table.add("CPU ms a photo, Redis with photos, together", column, sum(of_photos))
        table.add("CPU ms a photo, the busiest Redis with photos", column, max(of_photos))


def cpu_of(stage: Stage, urls: dict[str, str]) -> dict[str, float]:
    return {name: process_tree.cpu_seconds(stage.processes[name].pid) for name in urls}


def bytes_in(url: str) -> int:
    with redis.Redis.from_url(url) as client:
        return int(client.get("hopla:staged:total") or 0)


def clear(stage: Stage, urls: dict[str, str]) -> None:
    for url in urls.values():
        with redis.Redis.from_url(url) as client:
            client.flushdb()
    stage.hopla.clear()
