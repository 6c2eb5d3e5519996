"""Endpoints of webhooks whose receivers do well, and badly, while things break; and readers of the feed beside them."""

import json
import random
import threading
from collections import defaultdict

from standardwebhooks import Webhook

from tests.faults.clients import Client
from tests.integrations.webhooks.receiver import Receiver, answering

OF_TICKETS = ("ticket.created", "ticket.completed", "ticket.cancelled", "ticket.expired", "webhook.disabled")
MOST_FAILURES = 3  # of a moody receiver, at each message
GONE = 0.1  # so often one that is gone for a while answers 410
LOOK_EVERY_SECONDS = 0.5
ELSEWHERE = "/elsewhere"


class Hook:
    """An endpoint of the client's user, and its receiver, inside its block as a context manager.

    `kind`: `healthy`; `moody`: it fails a few times at each message, in turn in every way; `gone`: it answers 410 now
    and then, and its owner enables it again; `broken`: it never does well. `got`: the bodies that have come, by
    webhook-id; `wrong`: the requests that must not come.
    """

    def __init__(self, client: Client, kind: str, *, events: tuple[str, ...] = (), seed: int | str = 0):
        self.client, self.kind, self.events = client, kind, events
        self.got: dict[str, list[bytes]] = defaultdict(list)
        self.wrong: list[str] = []
        self.times_gone = 0
        self._dice = random.Random(seed)
        self._failures: dict[str, int] = {}
        self._is_well = threading.Event()
        self._lock = threading.Lock()
        self._receiver = Receiver(self._answer)

    def __enter__(self) -> "Hook":
        self._receiver.__enter__()
        made = self._ask("POST", "webhooks/", {"url": self._receiver.url, "events": list(self.events)}).body
        self.id, self._webhook = made["id"], Webhook(made["secret"])
        return self

    def __exit__(self, *exc_info) -> None:
        self._receiver.__exit__(*exc_info)

    @property
    def must_get_all(self) -> bool:
        return self.kind != "broken"

    @property
    def repeats(self) -> int:
        return sum(len(bodies) - 1 for bodies in self.got.values())

    def recover(self) -> None:
        """From now on it does well, unless it is broken; that one is disabled."""
        self._is_well.set()
        if self.kind == "broken":
            self._ask("PATCH", f"webhooks/{self.id}/", {"enabled": False})

    def enable_again(self, *, since: str) -> None:
        """If it is disabled: and have sent again what it has missed since then."""
        path = f"webhooks/{self.id}/"
        if not self.client.repeatedly("GET", path).body["enabled"]:
            self.times_gone += 1
            self._ask("PATCH", path, {"enabled": True})
            self.send_again(since=since)

    def send_again(self, *, since: str) -> None:
        """What it has missed since then, unless it is disabled again."""
        self._ask("POST", f"webhooks/{self.id}/recover/", {"since": since}, but="webhook_disabled")

    def _ask(self, method: str, path: str, told: dict, *, but: str | None = None):
        answer = self.client.repeatedly(method, path, json.dumps(told).encode(), Content_Type="application/json")
        if answer.status not in (200, 201, 202) and answer.code != but:
            raise AssertionError(f"{method} {path}: {answer}")
        return answer

    # --- The receiver ---

    def _answer(self, handler) -> None:
        message = handler.headers["webhook-id"]
        if handler.path.endswith(ELSEWHERE):
            self.wrong.append(f"{message}: followed a redirection")
        try:
            self._webhook.verify(handler.body, dict(handler.headers))
        except Exception as error:  # noqa: BLE001  whatever is wrong with it
            self.wrong.append(f"{message}: {error!r}")
            answering(400)(handler)
            return
        with self._lock:
            does_well = self._does_well(message)
            way = None if does_well else self._dice.choice(WAYS_TO_FAIL)
        if does_well:
            self.got[message].append(handler.body)
            answering(200, b"ok")(handler)
        elif self.kind == "gone":
            answering(410)(handler)
        else:
            way(self._receiver, handler)

    def _does_well(self, message: str) -> bool:
        if self.kind == "broken":
            return False
        if self._is_well.is_set() or self.kind == "healthy":
            return True
        if self.kind == "gone":
            return self._dice.random() >= GONE
        left = self._failures.setdefault(message, self._dice.randint(0, MOST_FAILURES))
        self._failures[message] = left - 1
        return left <= 0


def _hang_up(receiver: Receiver, handler) -> None:
    handler.close_connection = True


def _redirect(receiver: Receiver, handler) -> None:
    """To where it would be taken, had it been sent there."""
    answering(307, Location=receiver.url + ELSEWHERE)(handler)


WAYS_TO_FAIL = [
    Receiver.hang,
    Receiver.drip,
    _hang_up,
    _redirect,
    lambda receiver, handler: answering(500)(handler),
    lambda receiver, handler: answering(429, Retry_After="1")(handler),
]


class FeedReader:
    """Reads the feed of the client's user from the beginning on, in small pages, while it grows: `events`."""

    def __init__(self, client: Client, *, page_size: int = 3):
        self.client = client
        self.events: list[dict] = []
        self._page_size = page_size
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._read_on, name="feed-reader", daemon=True)
        self.error: Exception | None = None

    def __enter__(self) -> "FeedReader":
        self._thread.start()
        return self

    def __exit__(self, *exc_info) -> None:
        self._over.set()
        self._thread.join()

    def read_to_the_end(self) -> None:
        while self._read_page():
            pass

    def _read_on(self) -> None:
        try:
            while not self._over.is_set():
                if not self._read_page():
                    self._over.wait(0.05)
        except Exception as error:  # noqa: BLE001  told in the books
            self.error = error

    def _read_page(self) -> bool:
        """Returns whether there was anything."""
        after = f"&after={self.events[-1]['id']}" if self.events else ""
        answer = self.client.repeatedly("GET", f"events/?page_size={self._page_size}{after}")
        if answer.status != 200:
            raise AssertionError(answer)
        self.events += answer.body["results"]
        return bool(answer.body["results"])


class Enabler:
    """The owner, who enables again each of these hooks that has been gone, until the end of its block."""

    def __init__(self, hooks: list[Hook], *, since: str):
        self._hooks = [hook for hook in hooks if hook.kind == "gone"]
        self._since = since
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look_on, name="enabler", daemon=True)
        self.error: Exception | None = None

    def __enter__(self) -> "Enabler":
        self._thread.start()
        return self

    def __exit__(self, *exc_info) -> None:
        self._over.set()
        self._thread.join()

    def _look_on(self) -> None:
        try:
            while not self._over.wait(LOOK_EVERY_SECONDS):
                for hook in self._hooks:
                    hook.enable_again(since=self._since)
        except Exception as error:  # noqa: BLE001  told in the books
            self.error = error
