"""Signals of tickets and images, sent inside the transaction that changes them, and the receiver that counts.

QuerySet.update() sends no post_save, so the count depends on a signal of hopla's own. The sender of
`stored_images_grew` holds the ticket's lock: without it two workers finishing together would each count one too few.
"""

from django.db import transaction
from django.dispatch import Signal, receiver

from apps.common.observability import metrics
from apps.tickets.lifecycle import moves
from apps.tickets.models import Ticket

ticket_created = Signal()  # sender=Ticket, ticket: Ticket (new)
image_stored = Signal()  # sender=Image, image: Image, ticket: Ticket (locked)
# sender=Ticket, ticket: Ticket (locked): after image_stored. Whoever has counted the ticket's images, in a statement
# that began under the lock, has left their Progress in `ticket.counted`.
stored_images_grew = Signal()
image_failed = Signal()  # sender=Image, image: Image, ticket: Ticket (locked)
image_rejected = Signal()  # sender=Image, image: Image, ticket: Ticket (locked)
ticket_approved = Signal()  # sender=Ticket, ticket: Ticket (locked)
ticket_reopened = Signal()  # sender=Ticket, ticket: Ticket (locked): completed or expired, it takes photos again
retake_requested = Signal()  # sender=Ticket, ticket: Ticket (locked): once for each review, after all its rejections
ticket_completed = Signal()  # sender=Ticket, ticket: Ticket (locked)
ticket_cancelled = Signal()  # sender=Ticket, ticket: Ticket (locked): before its photos in flight fail
ticket_expired = Signal()  # sender=Ticket, ticket: Ticket (locked): likewise

# sender=Image: the places that photos claim are not to be kept any more, and are erased in the tables of tickets
locations_forgotten = Signal()


@receiver(stored_images_grew, sender=Ticket)
def complete_ticket_when_all_images_stored(*, ticket: Ticket, **kwargs):
    counted = getattr(ticket, "counted", None) or ticket.progress()
    if counted.stored == ticket.num_images and moves.complete_if_all_images_are_stored(ticket):
        ticket_completed.send(sender=Ticket, ticket=ticket)
        transaction.on_commit(lambda: metrics.count("hopla_tickets_completed"), robust=True)
