"""Which place a photo is for: by the query's `slot`, by a field of its form before or after it, or by both."""

from collections.abc import Container

from apps.tickets.errors import SlotAmbiguousError, SlotTakenError, SlotUnknownError
from apps.tickets.models import Ticket

SLOT = "slot"
MOST_BYTES = 64  # of a name; what is longer is none


class WantedSlot:
    """`named` are the names in the query, `taken` the positions that are, as far as is known. What is empty is as if it
    were left out.

    Raises SlotUnknownError for a name that the ticket does not have, SlotTakenError, SlotAmbiguousError for a second
    name.
    """

    def __init__(self, ticket: Ticket, named: list[str], *, taken: Container[int] = ()):
        self._ticket, self._taken = ticket, taken
        self.name = ""
        self.position = None  # of the place; None: no name was given
        if len(set(filter(None, named))) > 1:
            raise SlotAmbiguousError
        for name in named:
            self.give(name)

    def give(self, name: str) -> None:
        if not name or name == self.name:
            return
        if self.name:
            raise SlotAmbiguousError
        position = self._ticket.position_of(name)
        if position is None:
            raise SlotUnknownError
        if position in self._taken:
            raise SlotTakenError
        self.name, self.position = name, position
