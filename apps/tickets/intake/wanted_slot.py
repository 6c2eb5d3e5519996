"""Which place a photo is for: by the query's `slot`, by a field of its form before or after it, or by both."""

from collections.abc import Container

from apps.tickets.errors import SlotAmbiguousError, SlotTakenError, SlotUnknownError
from apps.tickets.intake.places import choose_position, require_open, require_place
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


def look_for_a_place(ticket: Ticket, named: list[str], *, may_name_later: bool = False) -> WantedSlot:
    """Refuse a photo, before it comes, that could only be refused: the ticket is as `acceptance.find_ticket` found it.

    Unlocked: `accept_photo` alone is certain. Raises as `choose_position` and WantedSlot do.
    """
    require_open(ticket)
    slot = WantedSlot(ticket, named, taken=ticket.positions_taken)
    if not ticket.slots:
        require_place(ticket, taken=ticket.places_taken)
    elif not may_name_later:
        choose_position(ticket, taken=ticket.positions_taken, wanted=slot.position)
    return slot
