"""Many clients at work in a world that a monkey breaks all the time, and the books afterwards."""

import random
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

from django.db import connection
from django.db.models import Count
from django.utils import timezone

from apps.tickets.lifecycle.endings import cancel_ticket
from apps.tickets.models import Image, Ticket
from tests.faults import books
from tests.faults.clients import Client, Diary, RefusedError, new_key, photo
from tests.faults.monkey import Monkey, everyday_trouble, from_database
from tests.faults.proxies import BadLine, LossyProxy
from tests.faults.resuming import ResumingClient
from tests.faults.world import World
from tests.makers import make_user, token_for

PATIENCE_SECONDS = 240
MOST_PHOTOS = 6


@dataclass
class Report:
    """How a run went. `findings`: what is wrong, by rule; every list empty means that the books balance."""

    seconds: float
    answers: Counter
    images: Counter  # by status, or by "failed" and the reason
    tickets: Counter  # by status
    assets: int
    recoveries: dict[str, list[float]]
    findings: dict[str, list[str]]

    @property
    def balances(self) -> bool:
        return not any(self.findings.values())


def run(
    world: World,
    *,
    seconds: float,
    seed: int,
    number_of_clients: int = 16,
    seconds_between: float = 4,
    fewest_tricks: int = 0,
    settle=books.settle,
) -> Report:
    """Let the clients work for that long, and until so many things were broken, however slow the machine; then let
    everything heal, and count. Needs a world with its own database.
    """
    dice, diary = random.Random(seed), Diary()
    users = [make_user() for _ in range(4)]
    world.sandbox.cloud.faults.set(everyday_trouble(), seed=seed)
    started = time.monotonic()
    with (
        LossyProxy(world.url, loss=0.05, seed=seed) as lossy,
        BadLine(world.url, cut_every_seconds=1) as cut,
        ThreadPoolExecutor(number_of_clients) as pool,
    ):
        workers = [
            ClientAtWork(
                [Client, ResumingClient][number % 2](
                    dice.choice([world.url, lossy.url, cut.url]),
                    token_for(dice.choice(users)),
                    diary=diary,
                    patience_seconds=PATIENCE_SECONDS,
                ),
                seed=f"{seed} {number}",
            )
            for number in range(number_of_clients)
        ]
        monkey = Monkey(world, diary, seed=seed, seconds_between=seconds_between)
        monkey.start()
        over = threading.Event()
        working = [pool.submit(worker.work_until, over) for worker in workers]
        try:
            time.sleep(seconds)
            monkey.wait_for_tricks(fewest_tricks)
            monkey.stop()  # before the clients: what recovers is seen by what they get done
        finally:
            over.set()
        world.sandbox.behave()
    meant = {ticket: number for worker in workers for ticket, number in worker.meant.items()}
    connection.close()  # a restart of the database has cut it
    settle()
    readers = [Client(world.url, token_for(user)) for user in users]
    found = books.findings(books.Books(list(world.sandbox.assets), diary, readers=readers, meant=meant))
    found["every client got its answers in the end"] = [repr(each.exception()) for each in working if each.exception()]
    return Report(
        seconds=time.monotonic() - started,
        answers=diary.answers,
        images=_images_by_outcome(),
        tickets=Counter(Ticket.objects.values_list("status", flat=True)),
        assets=len(world.sandbox.assets),
        recoveries=dict(monkey.recoveries),
        findings=found,
    )


def _images_by_outcome() -> Counter:
    rows = Image.objects.order_by().values_list("status", "error_code").annotate(number=Count("pk"))
    return Counter({f"{status} {code}".strip(): number for status, code, number in rows})


class ClientAtWork:
    """Opens one ticket after another and does with each what people do. `meant`: how many photos each is to get."""

    def __init__(self, client: Client, *, seed: str):
        self.client = client
        self.meant: dict[int, int] = {}
        self._dice = random.Random(seed)
        self._photos_made = 0
        self._seed = seed

    def work_until(self, over: threading.Event) -> None:
        while not over.is_set():
            story = self._dice.choices([self._fill, self._repeat, self._cancel, self._let_expire], [7, 1, 1, 1])[0]
            story()

    def _fill(self) -> None:
        photos = self._photos(self._dice.randint(1, MOST_PHOTOS))
        ticket = self.client.open_ticket(len(photos))
        self.meant[ticket] = len(photos)
        self.client.fill_ticket(ticket, photos)

    def _repeat(self) -> None:
        """Each request three times at once, with the same key."""
        photos = {new_key(): content for content in self._photos(self._dice.randint(1, MOST_PHOTOS))}
        ticket = self.client.open_ticket(len(photos))
        self.meant[ticket] = len(photos)
        with ThreadPoolExecutor(3) as pool:
            list(pool.map(lambda key: self.client.post_photo(ticket, photos[key], key=key), sorted(3 * list(photos))))
        self.client.see_to_completion(ticket, photos)

    def _cancel(self) -> None:
        ticket = self._leave_one_short()
        from_database(lambda: cancel_ticket(ticket))

    def _let_expire(self) -> None:
        moment = timezone.now() + timedelta(seconds=self._dice.uniform(1, 5))
        with suppress(RefusedError):  # nothing answered before that moment had passed
            self._leave_one_short(expires_at=moment.isoformat())

    def _leave_one_short(self, **fields) -> int:
        photos = self._photos(self._dice.randint(1, MOST_PHOTOS))
        ticket = self.client.open_ticket(len(photos) + 1, **fields)
        for content in photos:
            self.client.post_photo(ticket, content)
        return ticket

    def _photos(self, number: int) -> list[bytes]:
        self._photos_made += number
        sizes = self._dice.choices([4_000, 60_000, 300_000, 1_500_000], [50, 30, 15, 5], k=number)
        first = self._photos_made - number
        return [photo(f"{self._seed} {first + index}", size=size) for index, size in enumerate(sizes)]
