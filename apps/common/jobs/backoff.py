"""How long to wait before work that failed is tried again."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Backoff:
    """Waits that double with each attempt, from `base_seconds` up to `cap_seconds`."""

    base_seconds: int
    cap_seconds: int

    def seconds_after(self, attempts: int) -> int:
        """After that many attempts, at least one, have failed."""
        return min(self.cap_seconds, self.base_seconds * 2 ** min(attempts - 1, 30))  # 2 ** 30 s are 34 years
