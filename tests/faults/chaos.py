"""Many clients at work in a world that a monkey breaks all the time, and the books afterwards."""

import random
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta

from django.db import connection
from django.db.models import Count
from django.utils import timezone

from apps.integrations.models import Delivery, DeliveryStatus, DisabledReason, Endpoint, Event
from apps.tickets.lifecycle.endings import cancel_ticket
from apps.tickets.models import Image, Ticket
from tests.faults import books
from tests.faults.clients import Client, Diary, RefusedError, new_key, photo
from tests.faults.direct import DirectClient
from tests.faults.hooks import OF_TICKETS, Enabler, FeedReader, Hook
from tests.faults.monkey import Monkey, everyday_trouble, from_database
from tests.faults.proxies import BadLine, LossyProxy
from tests.faults.resuming import ResumingClient
from tests.faults.world import World, wait_until
from tests.makers import make_user, token_for

PATIENCE_SECONDS = 240
MOST_PHOTOS = 6
USERS = 4
# Beside those of the world: short waits for what it tries here alone.
ENVIRONMENT = {
    "DIRECT_UPLOADS": "on",
    "DIRECT_UPLOAD_TTL_SECONDS": "6",
    "WEBHOOK_CONCURRENCY": "16",
    "WEBHOOK_TIMEOUT_SECONDS": "4",
    "WEBHOOK_RETRY_SECONDS": ",".join(["1"] * 20),
}
CLIENTS = [Client, ResumingClient, DirectClient]
# The webhooks of each user: kind, and the events it wants. All events are too many for those that fail.
WEBHOOKS = [("healthy", ()), ("gone", OF_TICKETS), ("moody", OF_TICKETS), ("broken", OF_TICKETS)]


@dataclass
class Report:
    """How a run went. `findings`: what is wrong, by rule; every list empty means that the books balance."""

    seconds: float
    answers: Counter
    images: Counter  # by status, or by "failed" and the reason
    tickets: Counter  # by status
    assets: int
    notifications: Counter  # of Cloudinary's, by what became of them
    webhooks: Counter  # deliveries by the receiver's kind and their status, and what else is of note
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
    everything heal, and count. Needs a world with its own database, and ENVIRONMENT.
    """
    diary, users = Diary(), [make_user() for _ in range(USERS)]
    readers = [Client(world.url, token_for(user)) for user in users]
    since, started = timezone.now().isoformat(), time.monotonic()
    with ExitStack() as stack:
        hooks = [
            stack.enter_context(Hook(reader, kind, events=events, seed=f"{seed} {number} {kind}"))
            for number, reader in enumerate(readers)
            for kind, events in WEBHOOKS
        ]
        walks = [stack.enter_context(FeedReader(Client(world.public_url, token_for(user)))) for user in users]
        enabler = stack.enter_context(Enabler(hooks, since=since))
        with _clients_at_work(world, number_of_clients, users=users, diary=diary, seed=seed) as (workers, working):
            monkey = Monkey(world, diary, seed=seed, seconds_between=seconds_between)
            monkey.start()
            time.sleep(seconds)
            monkey.wait_for_tricks(fewest_tricks)
            monkey.stop()  # before the clients: what recovers is seen by what they get done
        connection.close()  # a restart of the database has cut it
        for hook in hooks:
            hook.recover()
        settle()
        _have_all_delivered(hooks, since=since)
    meant = {ticket: number for worker in workers for ticket, number in worker.meant.items()}
    found = books.findings(
        books.Books(
            list(world.sandbox.assets),
            diary,
            readers=readers,
            meant=meant,
            notices=world.sandbox.notices,
            hooks=hooks,
            walks=walks,
        )
    )
    found["every client got its answers in the end"] = [repr(each.exception()) for each in working if each.exception()]
    found["who read the feed, or enabled webhooks, got answers"] = [
        repr(each.error) for each in (*walks, enabler) if each.error
    ]
    return Report(
        seconds=time.monotonic() - started,
        answers=diary.answers,
        images=_images_by_outcome(),
        tickets=Counter(Ticket.objects.values_list("status", flat=True)),
        assets=len(world.sandbox.assets),
        notifications=Counter(f"{each.what} {each.status or ''}".strip() for each in world.sandbox.notices),
        webhooks=_webhooks_by_outcome(hooks),
        recoveries=dict(monkey.recoveries),
        findings=found,
    )


@contextmanager
def _clients_at_work(world: World, number_of_clients: int, *, users: list, diary: Diary, seed: int):
    """Yields the clients and what they do, and waits until each has done what it had begun."""
    dice, over = random.Random(seed), threading.Event()
    world.sandbox.cloud.faults.set(everyday_trouble(), seed=seed)
    with (
        LossyProxy(world.url, loss=0.05, seed=seed) as lossy,
        BadLine(world.url, cut_every_seconds=1) as cut,
        ThreadPoolExecutor(number_of_clients) as pool,
    ):
        workers = []
        for number in range(number_of_clients):
            kind = CLIENTS[number % len(CLIENTS)]
            address = dice.choice([world.url, lossy.url, cut.url])
            options = {"seed": f"{seed} {number}"} if kind is DirectClient else {}
            options |= {"diary": diary, "patience_seconds": PATIENCE_SECONDS}
            client = kind(address, token_for(dice.choice(users)), **options)
            workers.append(ClientAtWork(client, seed=f"{seed} {number}"))
        working = [pool.submit(worker.work_until, over) for worker in workers]
        try:
            yield workers, working
        finally:
            over.set()
    world.sandbox.behave()


def _have_all_delivered(hooks: list[Hook], *, since: str) -> None:
    """Those that were gone are disabled once more by an answer of before, and then enabled; what they missed is sent
    again when that is over.
    """
    wait_until(lambda: _are_at_rest(hooks), timeout_seconds=PATIENCE_SECONDS)
    for hook in hooks:
        if hook.kind == "gone":
            hook.send_again(since=since)
    wait_until(lambda: _are_at_rest(hooks), timeout_seconds=PATIENCE_SECONDS)


def _are_at_rest(hooks: list[Hook]) -> bool:
    endpoints = Endpoint.objects.filter(pk__in=[hook.id for hook in hooks])
    pending = Delivery.objects.filter(endpoint__in=endpoints, status=DeliveryStatus.PENDING)
    under_way = pending.filter(is_running=True, next_try_at__gt=timezone.now())
    is_gone = endpoints.filter(disabled_reason=DisabledReason.GONE)
    return not (is_gone.exists() or pending.filter(endpoint__enabled=True).exists() or under_way.exists())


def _webhooks_by_outcome(hooks: list[Hook]) -> Counter:
    found = Counter()
    for hook in hooks:
        statuses = Delivery.objects.filter(endpoint=hook.id).values_list("status", flat=True)
        found.update(f"{hook.kind}: {status}" for status in statuses)
        found[f"{hook.kind}: came more than once"] += hook.repeats
        found["times that one was enabled again"] += hook.times_gone
    found["events"] = Event.objects.count()
    return +found


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
