"""Fill many tickets by several clients at once, on a running hopla, and check that each one is completed correctly.

    .venv/bin/python bench/many_tickets.py --tickets 200 --clients 16

Each client opens a ticket of 1 to 9 real photographs, posts them one by one, and takes the next ticket; where hopla
asks to wait (429, 503) it waits as long as Retry-After says. Prints how many photos a second were accepted and how many
were stored. Exits with 1 when a ticket is not completed with exactly the photos that were sent.
"""

import argparse
import random
import secrets
import statistics
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.client import Answer, Client, asked_to_wait
from tests.photographs import Photograph, photographs

LOOK_EVERY_SECONDS = 0.2


@dataclass
class Run:
    """The state of the whole run. Its threads share it by appending to lists and by counting under the lock."""

    client: Client
    tag: str  # in the title of each of its tickets, to find them by
    answers: Counter
    seconds: list[float]  # that each accepted photo's POST took
    lock: threading.Lock
    give_up_at: float  # by time.monotonic()

    def patiently(self, request, *args, **options) -> Answer:
        """Sends the request, and repeats it as long as hopla asks to wait."""
        while True:
            started = time.monotonic()
            answer = request(*args, **options)
            with self.lock:
                self.answers[str(answer)] += 1
                if answer.status == 202:
                    self.seconds.append(time.monotonic() - started)
            if time.monotonic() > self.give_up_at or not asked_to_wait(answer):
                return answer

    def fill_ticket(self, photos: list[Photograph]) -> tuple[int, list[str]]:
        """Its id, and the sha256 of what was accepted."""
        fields = {"num_images": len(photos), "title": self.tag}
        ticket = self.patiently(self.client.post_json, "tickets/", fields).body
        accepted = []
        for photo in photos:
            answer = self.patiently(self.client.post_photo, ticket["id"], photo.read(), filename=photo.name)
            if answer.status == 202:
                accepted.append(answer.body["sha256"])
        return ticket["id"], accepted

    def count_completed(self) -> int:
        return self.client.get(f"tickets/?search={self.tag}&status=completed&page_size=1").body["count"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="http://127.0.0.1:8000", help="default: %(default)s")
    parser.add_argument("--token", help="of the user to act for; default: a new user is registered")
    parser.add_argument("--tickets", type=int, default=200, help="default: %(default)s")
    parser.add_argument("--clients", type=int, default=16, help="default: %(default)s")
    parser.add_argument("--max-bytes", type=int, help="use only photographs up to this size")
    parser.add_argument("--within", type=int, default=300, help="seconds to give up after; default: %(default)s")
    parser.add_argument("--seed", type=int, default=1, help="of the sizes and photos chosen; default: %(default)s")
    options = parser.parse_args()
    client = Client(options.url, token=options.token)
    if not options.token:
        client = client.registered()
    usable = [each for each in photographs() if not options.max_bytes or each.bytes <= options.max_bytes]
    chance = random.Random(options.seed)
    sets = [chance.choices(usable, k=chance.randint(1, 9)) for _ in range(options.tickets)]

    started = time.monotonic()
    give_up_at = started + options.within
    run = Run(client, secrets.token_hex(8), Counter(), [], threading.Lock(), give_up_at)
    with ThreadPoolExecutor(options.clients) as clients:
        filled = list(clients.map(run.fill_ticket, sets))
    accepted_after = time.monotonic() - started
    while run.count_completed() < options.tickets and time.monotonic() < give_up_at:
        time.sleep(LOOK_EVERY_SECONDS)
    stored_after = time.monotonic() - started

    report(run, sets, accepted_after=accepted_after, stored_after=stored_after)
    wrong = list(deviations(client, filled, sets))
    print(*wrong, f"{options.tickets} tickets, {len(wrong)} not as they should be", sep="\n")
    return int(bool(wrong))


def report(run: Run, sets: list[list[Photograph]], *, accepted_after: float, stored_after: float) -> None:
    photos = sum(map(len, sets))
    megabytes = sum(photo.bytes for photos in sets for photo in photos) / 1e6
    print(f"{photos} photos, {megabytes:.0f} MB")
    for what, seconds in (("accepted", accepted_after), ("stored", stored_after)):
        print(
            f"all {what:<9} after {seconds:6.1f} s: {photos / seconds:6.1f} photos/s, {megabytes / seconds:6.1f} MB/s"
        )
    if len(run.seconds) > 1:
        cuts = statistics.quantiles(run.seconds, n=100)
        print(f"a photo's POST: median {cuts[49] * 1000:.0f} ms, 99 of 100 within {cuts[98] * 1000:.0f} ms")
    print("answers:", ", ".join(f"{count} x {answer}" for answer, count in sorted(run.answers.items())))


def deviations(client: Client, filled: list[tuple[int, list[str]]], sets: list[list[Photograph]]):
    for (ticket_id, accepted), photos in zip(filled, sets, strict=True):
        ticket = client.get(f"tickets/{ticket_id}/").body
        stored = [image["sha256"] for image in ticket["images"] if image["status"] == "stored"]
        sent = [photo.sha256 for photo in photos]
        if ticket["status"] != "completed" or not sorted(sent) == sorted(accepted) == sorted(stored):
            counts = f"{len(sent)} sent, {len(accepted)} accepted, {len(stored)} stored"
            yield f"WRONG: ticket {ticket_id} is {ticket['status']}: {counts}"


if __name__ == "__main__":
    sys.exit(main())
