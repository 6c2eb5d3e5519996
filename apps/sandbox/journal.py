"""What arrived: a count of requests by action, and every photo that was received, stored or not; and what was told."""

import threading
import time
from collections import Counter, deque
from dataclasses import dataclass, field


@dataclass
class Arrival:
    """A photo received whole. `stored` is False when it was refused, or lost to a fault."""

    public_id: str
    type: str
    bytes: int
    etag: str
    stored: bool = False
    received_at: float = field(default_factory=time.time)


@dataclass(frozen=True)
class Notice:
    """A notification: `sent` or `forged`, with the status of the response (0 without one), or `lost`, or `refused`
    because of its address.
    """

    url: str
    public_id: str
    what: str
    status: int | None = None


class Journal:
    """Safe to use from many threads; keeps the last 100,000 uploads, and notifications."""

    def __init__(self):
        self._lock = threading.Lock()
        self.clear()

    def clear(self) -> None:
        with self._lock:
            self._requests: Counter[str] = Counter()
            self._uploads: deque[Arrival] = deque(maxlen=100_000)
            self._notices: deque[Notice] = deque(maxlen=100_000)

    def count(self, action: str) -> None:
        with self._lock:
            self._requests[action] += 1

    def note(self, arrival: Arrival) -> Arrival:
        with self._lock:
            self._uploads.append(arrival)
        return arrival

    def note_notice(self, notice: Notice) -> None:
        with self._lock:
            self._notices.append(notice)

    @property
    def notices(self) -> list[Notice]:
        with self._lock:
            return list(self._notices)

    @property
    def requests(self) -> Counter[str]:
        with self._lock:
            return self._requests.copy()

    @property
    def uploads(self) -> list[Arrival]:
        with self._lock:
            return list(self._uploads)
