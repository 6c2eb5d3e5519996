"""Ten photos of 4 MB, one after the other, over a line of 1 Mbit/s that is cut again and again: sent whole and again
after each cut, as a form with its Idempotency-Key; and by tus with tuspy, which goes on where it was cut off. From the
first request until the ticket is complete; Cloudinary answers after 0.2 seconds.

The line is `--hasten` times as fast and cut so many times as often, which gives the same picture in a fraction of the
time. What the table calls seconds is what passed times that; "line alone" is how long the photos take over such a line
that is never cut. Both sides notice a cut at once: no time-out of hopla's, which would not be hastened, is waited for.
"""

import json
import subprocess
import sys
import time
from tempfile import TemporaryDirectory

from bench.results import Table
from bench.stage import Stage
from tests.faults.processes import ROOT
from tests.faults.proxies import BadLine

PHOTOS, PHOTO_BYTES = 10, 4_000_000
BYTES_PER_SECOND = 1_000_000 / 8
CUT_EVERY_SECONDS = (20, 60)
GIVE_UP_AFTER = 3  # times what the line alone needs
LATENCY_SECONDS = 0.2
WAYS = {"plain": "whole photos, again and again", "tus": "tus"}


def measure(stage: Stage, options) -> list[Table]:
    stage.start_cloudinary(latency_seconds=LATENCY_SECONDS)
    stage.hopla.start_web()
    stage.hopla.start_worker()
    return [measure_line(stage.hopla, every, hasten=options.hasten) for every in CUT_EVERY_SECONDS]


def measure_line(hopla, every: float, *, hasten: float) -> Table:
    """Once each: it takes long, and where the cuts fall makes little difference over ten photos."""
    table = Table(f"Cut every {every} seconds")
    alone = PHOTOS * PHOTO_BYTES / BYTES_PER_SECOND
    table.note(f"Given up after {GIVE_UP_AFTER} times the line alone, which then stands for more.")
    for way, name in WAYS.items():
        with (
            BadLine(
                f"http://127.0.0.1:{hopla.port}",
                bytes_per_second=BYTES_PER_SECOND * hasten,
                cut_every_seconds=every / hasten,
                ends=("end", "reset"),
            ) as line,
            TemporaryDirectory() as folder,
        ):
            started = time.monotonic()
            send(hopla, way, url=line.url, folder=folder, seconds=GIVE_UP_AFTER * alone / hasten)
            seconds = (time.monotonic() - started) * hasten
            table.add("seconds until the ticket is complete", name, seconds)
            table.add("line alone, seconds", name, alone)
            table.add("photos stored, of 10", name, hopla.stored())
            table.add("sent, MB", name, line.sent / 1e6)
            table.add("sent, times the photos", name, line.sent / (PHOTOS * PHOTO_BYTES))
            table.add("cuts", name, line.cuts)
        hopla.clear()
    return table


def send(hopla, way: str, **work) -> None:
    """Until the ticket is complete, or its time is over."""
    token = hopla.token  # first: it makes the user who owns the ticket
    [ticket] = hopla.open_tickets(1, places=PHOTOS)
    work |= {"way": way, "token": token, "ticket": ticket, "photos": PHOTOS, "photo_bytes": PHOTO_BYTES}
    command = [sys.executable, "-m", "bench.steady_sender"]
    sent = subprocess.run(command, cwd=ROOT, input=json.dumps(work), text=True, capture_output=True)
    if sent.returncode:
        raise RuntimeError(f"The client failed:\n{sent.stderr}")
