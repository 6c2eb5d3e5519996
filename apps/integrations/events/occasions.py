"""The occasions of events: receivers of the signals of tickets and images, in the transactions that send them."""

from django.dispatch import Signal

from apps.integrations.events.writing import write_event_of
from apps.integrations.models import EventType
from apps.tickets.lifecycle import signals
from apps.tickets.models import Image, Ticket

OCCASIONS = {
    signals.ticket_created: EventType.TICKET_CREATED,
    signals.ticket_completed: EventType.TICKET_COMPLETED,
    signals.ticket_reopened: EventType.TICKET_REOPENED,
    signals.ticket_approved: EventType.TICKET_APPROVED,
    signals.ticket_cancelled: EventType.TICKET_CANCELLED,
    signals.ticket_expired: EventType.TICKET_EXPIRED,
    signals.image_stored: EventType.IMAGE_STORED,
    signals.image_failed: EventType.IMAGE_FAILED,
    signals.image_rejected: EventType.IMAGE_REJECTED,
}


def write_on(signal: Signal, type: str) -> None:
    def write(*, ticket: Ticket, image: Image | None = None, **kwargs):
        write_event_of(ticket, type, image=image)

    signal.connect(
        write, sender=Image if type.startswith("image.") else Ticket, weak=False, dispatch_uid=f"event {type}"
    )


for signal, type in OCCASIONS.items():
    write_on(signal, type.value)
