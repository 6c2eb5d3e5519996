"""The models of tickets and photos, with the rules of a single row."""

from apps.tickets.models.asset_removal import AssetRemoval
from apps.tickets.models.idempotency_key import IdempotencyKey
from apps.tickets.models.image import LATE_UPLOAD_SECONDS, LEASE_SLACK_SECONDS, Image, next_check_at_the_latest
from apps.tickets.models.kind import ExamplePicture, KindSlot, TicketKind
from apps.tickets.models.progress import Progress
from apps.tickets.models.reading import progress_of, read_ticket, read_ticket_counted, read_ticket_with_images
from apps.tickets.models.search_text import SearchText
from apps.tickets.models.slots import Slot, missing, slot_as_kept, slots_now
from apps.tickets.models.ticket import Ticket
from apps.tickets.models.transition import Transition

__all__ = [
    "LATE_UPLOAD_SECONDS",
    "LEASE_SLACK_SECONDS",
    "AssetRemoval",
    "ExamplePicture",
    "IdempotencyKey",
    "Image",
    "KindSlot",
    "Progress",
    "SearchText",
    "Slot",
    "Ticket",
    "TicketKind",
    "Transition",
    "missing",
    "next_check_at_the_latest",
    "progress_of",
    "read_ticket",
    "read_ticket_counted",
    "read_ticket_with_images",
    "slot_as_kept",
    "slots_now",
]
