"""What a poll of a ticket with 20 photos costs: answered in full, and answered 304 to an `If-None-Match`.

Four clients; CPU time is that of the web server's processes (`python`), Redis and PostgreSQL.
"""

import statistics

from bench.client import Client
from bench.results import Table
from bench.stage import CpuPerItem, Stage

CLIENTS, PHOTOS = 4, 20


def measure(stage: Stage, options) -> list[Table]:
    tables = [Table("GET tickets/<id>/status/"), Table("GET tickets/<id>/")]
    polled = {}
    for contender in stage.contenders:
        contender.start_web()
        contender.load(clients=1, requests=PHOTOS, places=PHOTOS, photo_bytes=10_000)
        polled[contender] = contender.query(f"SELECT min(id) FROM {contender.tables['tickets']}")[0][0]
    for _ in range(options.rounds):
        for table, path in zip(tables, ("status/", ""), strict=True):
            for contender, ticket in polled.items():
                target = f"/api/v1/tickets/{ticket}/{path}"
                seconds = options.seconds / 3
                measure_round(stage, contender, table, column=contender.name, seconds=seconds, get=target)
                if etag := etag_of(contender, target):
                    known = {"If-None-Match": etag}
                    column = f"{contender.name}, 304"
                    measure_round(stage, contender, table, column=column, seconds=seconds, get=target, headers=known)
    return tables


def etag_of(contender, target: str) -> str | None:
    return Client(f"http://127.0.0.1:{contender.port}", token=contender.token).get(target).headers["ETag"]


def measure_round(stage: Stage, contender, table: Table, *, column: str, **load) -> None:
    cpu_per_poll = CpuPerItem(stage, contender.web)
    seen = contender.load(clients=CLIENTS, **load)
    table.add("polls/s", column, len(seen["milliseconds"]) / seen["seconds"])
    for name, milliseconds in cpu_per_poll(len(seen["milliseconds"])).items():
        table.add(f"CPU ms a poll, {name}", column, milliseconds)
    table.add("median ms", column, statistics.median(seen["milliseconds"]))
