"""What a photo of 1 MB costs the servers behind hopla besides CPU time, from the client to Cloudinary: bytes and
commands of Redis, transactions of PostgreSQL (reads included) and what it logs of them, and Redis' memory while the
photo waits. For the arithmetic of docs/scaling.md.
"""

import time

import redis

from bench.results import Table
from bench.stage import Stage, wait_for

LATENCY_SECONDS = 0.2
PHOTO_BYTES = 1_000_000
PHOTOS = {"textbook": 20, "hopla": 200}
SETTLED_AFTER_SECONDS = 12  # PostgreSQL's processes report their statistics once they have been idle for ten seconds


def measure(stage: Stage, options) -> list[Table]:
    stage.start_cloudinary(latency_seconds=LATENCY_SECONDS)
    table = Table("For each photo")
    for contender in stage.contenders:
        contender.start_web()
        contender.token  # noqa: B018 (makes the user, which is no part of it)
        for _ in range(options.rounds):
            measure_round(stage, contender, table)
    return [table]


def measure_round(stage: Stage, contender, table: Table) -> None:
    photos, column = PHOTOS[contender.name], contender.name
    start = counters(stage, contender)
    contender.stage_backlog(photos, photo_bytes=PHOTO_BYTES)
    accepted = counters(stage, contender)
    worker = contender.start_worker()
    wait_for(lambda: contender.stored() == photos, timeout_seconds=120, every_seconds=5)
    end = counters(stage, contender)
    worker.kill()
    contender.clear()
    table.add(
        "Redis memory for a byte that waits", column, (accepted["memory"] - start["memory"]) / photos / PHOTO_BYTES
    )
    for name in ("transactions", "Redis commands"):
        table.add(f"{name}, in", column, (accepted[name] - start[name]) / photos)
        table.add(f"{name}, out", column, (end[name] - accepted[name]) / photos)
    for name, unit, size in (("to Redis", "MB", 1e6), ("from Redis", "MB", 1e6), ("WAL", "KB", 1e3)):
        table.add(f"{name}, {unit}", column, (end[name] - start[name]) / photos / size)


def counters(stage: Stage, contender) -> dict[str, float]:
    """What the servers have counted so far, once they are idle."""
    time.sleep(SETTLED_AFTER_SECONDS)
    with redis.Redis.from_url(contender.redis_url) as client:
        info = client.info()
    transactions = f"SELECT xact_commit FROM pg_stat_database WHERE datname = '{contender.name}'"
    return {
        "memory": info["used_memory"],
        "Redis commands": info["total_commands_processed"],
        "to Redis": info["total_net_input_bytes"],
        "from Redis": info["total_net_output_bytes"],
        "transactions": stage.query(transactions)[0][0],
        "WAL": int(stage.query("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn")[0][0]),
    }
