"""The two tables of docs/scaling.md, computed from RESULTS.md: `bench/run` rewrites them after each figure.

By hand: `.venv/bin/python -m bench.scaling_page`.
"""

import math
import re
from dataclasses import dataclass

from bench.results import RESULTS

PAGE = RESULTS.parent.parent / "docs" / "scaling.md"
RATES_A_MINUTE = (10, 1_000, 100_000)
# What the arithmetic assumes; the page says so.
CLIENT_SECONDS = 8  # 1 MB at 1 Mbit/s
CLOUDINARY_SECONDS = 1
OUTAGE_SECONDS = 10 * 60
THREADS, UPLOADS_A_WORKER, POOL = 256, 32, 12  # hopla/gunicorn_conf.py, WORKER_CONCURRENCY, DATABASE_POOL_SIZE
COMMITS = 3  # accepted, attempt begun, stored: PostgreSQL has to write each to its disk
LEAST_PROCESSES = 2  # one may be killed
REDIS_BUSY = 0.7  # of its core and of its link: what is busier answers late
LINK_MEGABITS = 10_000  # each way
MEASURED_BYTES = 1_000_000  # of the photos in these figures

TAKEN_IN, SENT_ON = ("spread", "Taken in, 16 clients"), ("spread", "Sent on, one worker")
QUEUE, PHOTOS = "CPU ms a photo, Redis with the queue", "CPU ms a photo, Redis with photos, together"
BUSIEST, ONE = "CPU ms a photo, the busiest Redis with photos", "one Redis"


@dataclass(frozen=True)
class Figure:
    what: str
    section: str
    table: str
    row: str
    column: str = "hopla"

    @property
    def value(self) -> float:
        """The median in RESULTS.md. Raises LookupError when it is not there."""
        section = _between(RESULTS.read_text(), f"\n## {self.section}\n", "\n## ")
        lines = _between(section, f"### {self.table}\n", "\n### ").splitlines()
        rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
        column = rows[0].index(self.column)
        [cell] = [cells[column] for cells in rows if cells[0] == self.row]
        return float(cell.split()[0].replace(",", ""))


FIGURES = {
    "web": Figure("web processes, ms a photo", "accept", "64 clients", "CPU ms a photo, python"),
    "web_redis": Figure("Redis, ms a photo taken in", "accept", "64 clients", "CPU ms a photo, redis"),
    "web_postgres": Figure("PostgreSQL, ms a photo taken in", "accept", "64 clients", "CPU ms a photo, postgres"),
    "worker": Figure("workers, ms a photo", "drain", "One worker", "CPU ms a photo, python"),
    "worker_redis": Figure("Redis, ms a photo sent on", "drain", "One worker", "CPU ms a photo, redis"),
    "worker_postgres": Figure("PostgreSQL, ms a photo sent on", "drain", "One worker", "CPU ms a photo, postgres"),
    "queue_in": Figure("Redis with the queue alone, ms a photo taken in", *TAKEN_IN, QUEUE, ONE),
    "queue_out": Figure("Redis with the queue alone, ms a photo sent on", *SENT_ON, QUEUE, ONE),
    "photos_in": Figure("Redis with photos alone, ms a photo taken in", *TAKEN_IN, PHOTOS, ONE),
    "photos_out": Figure("Redis with photos alone, ms a photo sent on", *SENT_ON, PHOTOS, ONE),
    "busiest_in": Figure("the busier of two, ms a photo taken in", *TAKEN_IN, BUSIEST, "2 Redis servers"),
    "busiest_out": Figure("the busier of two, ms a photo sent on", *SENT_ON, BUSIEST, "2 Redis servers"),
    "worker_pace": Figure("one worker, photos a second at 200 ms", "drain", "One worker", "photos/s"),
    "worker_memory": Figure("one worker, MiB", "drain", "One worker", "worker's memory, MiB"),
    "web_memory": Figure("two web processes, MiB", "memory", "64 uploads of 5 MB", "before, MiB"),
    "web_growth": Figure("what 64 uploads add to them, MiB", "memory", "64 uploads of 5 MB", "growth at the peak, MiB"),
    "poll": Figure("a poll with 304, ms, all", "polls", "GET tickets/<id>/status/", "CPU ms a poll, all", "hopla, 304"),
    "waiting": Figure(
        "Redis memory for a byte that waits", "traffic", "For each photo", "Redis memory for a byte that waits"
    ),
    "to_redis": Figure("MB to Redis a photo, and as many from it", "traffic", "For each photo", "to Redis, MB"),
    "transactions_in": Figure("transactions a photo taken in", "traffic", "For each photo", "transactions, in"),
    "transactions_out": Figure("transactions a photo sent on", "traffic", "For each photo", "transactions, out"),
    "wal": Figure("PostgreSQL's log (WAL), KB a photo", "traffic", "For each photo", "WAL, KB"),
}


def _between(text: str, start: str, end: str) -> str:
    _, found, rest = text.partition(start)
    if not found:
        raise LookupError(f"{RESULTS.name} has no {start.strip()!r}")
    return rest.partition(end)[0]


def figures_table() -> str:
    lines = ["| figure | measured | section and row of RESULTS.md |", "|---|---|---|"]
    for figure in FIGURES.values():
        lines.append(f"| {figure.what} | {_short(figure.value)} | {figure.section}, {figure.table}: {figure.row} |")
    return "\n".join(lines)


def arithmetic_table() -> str:
    needs = [_needs(rate / 60) for rate in RATES_A_MINUTE]
    lines = ["| photos of 1 MB a minute | " + " | ".join(f"{rate:,}" for rate in RATES_A_MINUTE) + " |"]
    lines.append("|---" * (len(RATES_A_MINUTE) + 1) + "|")
    for name in needs[0]:
        lines.append(f"| {name} | " + " | ".join(_short(need[name]) for need in needs) + " |")
    return "\n".join(lines)


def _needs(per_second: float) -> dict[str, float]:
    cost = {name: figure.value for name, figure in FIGURES.items()}
    cores = {name: per_second * cost[name] / 1000 for name in ("web", "worker")}
    cores["redis"] = per_second * (cost["web_redis"] + cost["worker_redis"]) / 1000
    cores["queue"] = per_second * (cost["queue_in"] + cost["queue_out"]) / 1000
    cores["photos"] = per_second * (cost["photos_in"] + cost["photos_out"]) / 1000
    cores["postgres"] = per_second * (cost["web_postgres"] + cost["worker_postgres"]) / 1000
    arriving, leaving = per_second * CLIENT_SECONDS, per_second * CLOUDINARY_SECONDS
    web = max(LEAST_PROCESSES, math.ceil(arriving / THREADS), math.ceil(cores["web"]))
    workers = max(LEAST_PROCESSES, math.ceil(leaving / UPLOADS_A_WORKER), math.ceil(cores["worker"]))
    gigabytes_a_second = per_second * MEASURED_BYTES / 1e9
    megabits = per_second * cost["to_redis"] * 8
    return {
        "cores for the web processes": cores["web"],
        "uploads arriving at once": arriving,
        "web processes": web,
        "cores for the workers": cores["worker"],
        "uploads to Cloudinary at once": leaving,
        "workers": workers,
        "cores for Redis, with queue and photos": cores["redis"],
        "cores for the Redis with the queue, alone": cores["queue"],
        "Mbit/s to Redis, and as much from it": megabits,
        "Redis servers for the photos": max(
            math.ceil(cores["photos"] / REDIS_BUSY), math.ceil(megabits / REDIS_BUSY / LINK_MEGABITS)
        ),
        "GB staged, at most, all well": gigabytes_a_second * (CLIENT_SECONDS + CLOUDINARY_SECONDS),
        "GB staged, Cloudinary unavailable for ten minutes": gigabytes_a_second * OUTAGE_SECONDS,
        "cores for PostgreSQL": cores["postgres"],
        "transactions a second": per_second * (cost["transactions_in"] + cost["transactions_out"]),
        "of these, written to a disk": per_second * COMMITS,
        "MB/s of PostgreSQL's log": per_second * cost["wal"] / 1000,
        "database connections, at most": (web + workers) * POOL,
    }


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.2g}"


def page() -> str:
    """The page's text with both tables as RESULTS.md has them now."""
    text = PAGE.read_text()
    for name, table in (("figures", figures_table()), ("arithmetic", arithmetic_table())):
        inside = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        text = inside.sub(lambda found, table=table: f"{found[1]}\n{table}\n\n{found[2]}", text)
    return text


if __name__ == "__main__":
    PAGE.write_text(page())
