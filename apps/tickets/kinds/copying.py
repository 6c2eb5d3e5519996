"""What a ticket takes over from its kind when it is opened. From then on the two know nothing of each other."""

from datetime import timedelta

from django.utils import timezone

from apps.tickets.kinds.examples import example_url_of
from apps.tickets.models import TicketKind, slot_as_kept
from apps.tickets.models.kind import in_language


def copy_of(kind: TicketKind, language: str) -> dict:
    """The kind in this language, as tickets hold it:

    `{"kind": name, "kind_version", "instructions", "slots": [{name, title, instructions, example_url, source}],
    "num_images", "expires_in_seconds"}`
    """
    return {
        "kind": kind.name,
        "kind_version": kind.version,
        "instructions": in_language(kind.instructions, language),
        "slots": slots_in(language, kind),
        "num_images": kind.number_of_places,
        "expires_in_seconds": kind.expires_in_seconds,
    }


def slots_in(language: str, kind: TicketKind) -> list[dict]:
    """The kind's slots, each as `Ticket.slots` holds it."""
    return [
        slot_as_kept(
            slot.name,
            title=in_language(slot.titles, language),
            instructions=in_language(slot.instructions, language),
            example_url=example_url_of(slot),
            source=slot.source,
        )
        for slot in kind.slots.all()
    ]


def apply_kind(fields: dict, kind: TicketKind, language: str) -> dict:
    """Returns the fields of a ticket to open: what the client asked for goes before what the kind says."""
    copied = copy_of(kind, language)
    seconds = copied.pop("expires_in_seconds")
    if seconds is not None:
        copied["expires_at"] = timezone.now() + timedelta(seconds=seconds)
    asked = {name: value for name, value in fields.items() if value is not None}
    return copied | asked
