"""What arrived: a count of requests by action, and every photo that was received, stored or not."""

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


class Journal:
    """Safe to use from many threads; keeps the last 100,000 uploads."""

    def __init__(self):
        self._lock = threading.Lock()
        self.clear()

    def clear(self) -> None:
        with self._lock:
            self._requests: Counter[str] = Counter()
            self._uploads: deque[Arrival] = deque(maxlen=100_000)

    def count(self, action: str) -> None:
        with self._lock:
            self._requests[action] += 1

    def note(self, arrival: Arrival) -> Arrival:
        with self._lock:
            self._uploads.append(arrival)
        return arrival

    @property
    def requests(self) -> Counter[str]:
        with self._lock:
            return self._requests.copy()

    @property
    def uploads(self) -> list[Arrival]:
        with self._lock:
            return list(self._uploads)
