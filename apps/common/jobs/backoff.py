"""How long to wait before failed work is tried again."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Backoff:
    """Waits that double with each attempt, from `base_seconds` up to `cap_seconds`."""

    base_seconds: int
    cap_seconds: int

    def seconds_after(self, attempts: int) -> int:
        """Returns the wait after that many failed attempts (at least one)."""
        return min(self.cap_seconds, self.base_seconds * 2 ** min(attempts - 1, 30))  # 2 ** 30 s are 34 years
