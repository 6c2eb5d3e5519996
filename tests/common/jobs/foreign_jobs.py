"""Jobs as an attacker may put them into Redis: each creates a folder if any of its code runs."""

import json
import os
import pickle
import secrets
import subprocess
import sys
import time
import zlib
from base64 import b64encode
from pathlib import Path

from redis import Redis

QUEUE = "default"


class Bomb:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path):
        self.folder = str(folder)

    def __reduce__(self):
        return os.mkdir, (self.folder,)


def pickled(function_name: str, *arguments) -> bytes:
    """The `data` of a job as RQ's default serializer writes it, and earlier versions of hopla did."""
    return zlib.compress(pickle.dumps((function_name, None, arguments, {})))


def put_job(redis: Redis, *, wait: bool = True, **fields) -> str:
    """A job of these fields of its hash, on the queue if it is to `wait` there. Returns its id."""
    job_id = secrets.token_hex(8)
    redis.hset(f"rq:job:{job_id}", mapping={"origin": QUEUE, "status": "queued"} | fields)
    redis.sadd("rq:queues", f"rq:queue:{QUEUE}")
    if wait:
        redis.rpush(f"rq:queue:{QUEUE}", job_id)
    return job_id


def put_bombs(redis: Redis, folder: Path) -> list[str]:
    """Queue jobs with a bomb wherever RQ may read a pickle or a function's name. Returns their ids."""
    harmless = json.dumps(["apps.tickets.delivery.job.deliver_photo", None, ["0" * 32], {}]).encode()
    bomb = pickle.dumps(Bomb(folder / "unpickled"))
    os_mkdir = json.dumps(["os.mkdir", None, [str(folder / "called")], {}]).encode()
    run = [sys.executable, "-c", f"import os; os.mkdir({str(folder / 'called-back')!r})"]
    check_output = json.dumps(["subprocess.check_output", None, [run], {}]).encode()
    with_result = put_job(redis, data=harmless)
    redis.xadd(f"rq:results:{with_result}", {"type": "1", "return_value": b64encode(bomb), "created_at": "0"})
    # One whose worker has died: RQ's maintenance reads it.
    abandoned = put_job(
        redis,
        wait=False,
        data=zlib.compress(bomb),
        meta=bomb,
        failure_callback_name="tests.common.jobs.foreign_jobs.explode",
    )
    redis.hset(f"rq:job:{abandoned}", mapping={"status": "started", "description": str(folder)})
    redis.zadd(f"rq:wip:{QUEUE}", {f"{abandoned}:{secrets.token_hex(8)}": time.time() - 3600})
    return [
        put_job(redis, data=zlib.compress(bomb)),
        put_job(redis, data=bomb),
        put_job(redis, data=harmless, meta=bomb, result=bomb),
        put_job(
            redis,
            data=harmless,
            description=str(folder),
            success_callback_name="tests.common.jobs.foreign_jobs.explode",
        ),
        put_job(
            redis,
            data=os_mkdir,
            description=str(folder),
            failure_callback_name="tests.common.jobs.foreign_jobs.explode",
        ),
        put_job(redis, data=check_output),
        with_result,
        abandoned,
    ]


def explode(job, *arguments) -> None:
    """A callback. RQ passes it the job, and more."""
    subprocess.run(["mkdir", f"{job.description}/callback"], check=True)
