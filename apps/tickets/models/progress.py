"""How far a ticket is, in images."""

from dataclasses import dataclass

from apps.tickets.models.statuses import UNSETTLED, ImageStatus


@dataclass(frozen=True)
class Progress:
    """How far a ticket is, in images."""

    declared: int
    stored: int = 0
    unsettled: int = 0
    failed: int = 0
    rejected: int = 0

    @property
    def received(self) -> int:
        """Returns the places taken: the images accepted or awaited, not failed and not rejected."""
        return self.stored + self.unsettled

    @property
    def remaining(self) -> int:
        """Returns how many photos the ticket still takes."""
        return max(0, self.declared - self.received)

    @property
    def percent(self) -> int:
        return 100 * self.stored // self.declared

    @classmethod
    def of(cls, ticket, counts: dict[str, int]) -> "Progress":
        """Returns the progress. `counts`: the number of the ticket's images, by status."""
        return cls(
            declared=ticket.num_images,
            stored=counts.get(ImageStatus.STORED, 0),
            unsettled=sum(counts.get(status, 0) for status in UNSETTLED),
            failed=counts.get(ImageStatus.FAILED, 0),
            rejected=counts.get(ImageStatus.REJECTED, 0),
        )
