"""Tickets, their slots and their images, read together: all of one moment, as one statement reads them."""

from collections import Counter, defaultdict

from django.db import models
from django.db.models import Case, Count, Q, When, Window
from django.db.models.functions import RowNumber
from django.db.models.lookups import Exact

from apps.common.db.compiled_queries import CompiledQuery, Parameter, columns_of, instance_of
from apps.common.db.json_rows import JsonRows
from apps.tickets.models.image import Image
from apps.tickets.models.progress import Progress
from apps.tickets.models.slots import slots_now
from apps.tickets.models.statuses import ImageStatus, holds_a_place
from apps.tickets.models.ticket import Ticket

LONG = ("description", "instructions", "metadata", "slots")  # columns of a ticket


def read_ticket(ticket_id: int, *, reader) -> Ticket:
    """Returns the ticket, if this user may read it. Raises Ticket.DoesNotExist."""
    ticket, _ = _read(_TICKET, ticket_id, reader)
    return ticket


def read_ticket_counted(ticket_id: int, *, reader) -> Ticket:
    """Likewise, with its Progress in `counted`, and its slots as they are in `slots_read`."""
    ticket, [[*counts, held]] = _read(_TICKET_COUNTED, ticket_id, reader)
    ticket.counted = Progress.of(ticket, dict(zip(ImageStatus.values, counts, strict=True)))
    ticket.slots_read = slots_now(ticket.slots, held or [])
    return ticket


def read_ticket_with_images(ticket_id: int, *, reader) -> Ticket:
    """Returns the ticket, with its Progress in `counted`, its images in `images_read`. Raises Ticket.DoesNotExist."""
    ticket, rows = _read(_TICKET_WITH_IMAGES, ticket_id, reader)
    ticket.images_read = [
        instance_of(Image, row) for row in rows if row[0] is not None
    ]  # without images there is one row of nulls
    ticket.counted = Progress.of(ticket, Counter(image.status for image in ticket.images_read))
    held = [image for image in ticket.images_read if image.holds_a_place]
    ticket.slots_read = slots_now(ticket.slots, [(image.position, image.status, image.pk) for image in held])
    for image in ticket.images_read:
        image.ticket = ticket
    return ticket


def progress_of(tickets) -> dict[int, Progress]:
    """Returns the progress of each of these tickets by its id, counted in one query."""
    counts = defaultdict(dict)
    rows = Image.objects.filter(ticket_id__in=[ticket.pk for ticket in tickets]).order_by()
    for ticket_id, status, number in rows.values_list("ticket_id", "status").annotate(number=Count("pk")):
        counts[ticket_id][status] = number
    return {ticket.pk: Progress.of(ticket, counts[ticket.pk]) for ticket in tickets}


def _ticket():
    ticket = Ticket.objects.filter(pk=Parameter("ticket_id", models.BigIntegerField()))
    return ticket.values_list(*columns_of(Ticket))


def _ticket_counted():
    counts = {f"number_{status}": Count("images", filter=Q(images__status=status)) for status in ImageStatus.values}
    ticket = Ticket.objects.filter(pk=Parameter("ticket_id", models.BigIntegerField())).order_by()
    # Of a ticket with slots alone: what is on them.
    held = Q(images__isnull=False) & holds_a_place("images__") & ~Q(slots=[])
    on_places = JsonRows("images__position", "images__status", "images__id", filter=held)
    return ticket.annotate(**counts, held=on_places).values_list(*columns_of(Ticket), *counts, "held")


def _ticket_with_images():
    ticket = Ticket.objects.filter(pk=Parameter("ticket_id", models.BigIntegerField()))
    ticket = ticket.order_by("images__position", "images__created_at")
    # The ticket is in each row, but what may be long in the first alone.
    row = Window(RowNumber(), order_by=["images__position", "images__created_at"])
    once = {f"{name}_once": Case(When(Exact(row, 1), then=name)) for name in LONG}
    of_ticket = [f"{name}_once" if name in LONG else name for name in columns_of(Ticket)]
    return ticket.annotate(**once).values_list(*of_ticket, *columns_of(Image, "images__"))


_TICKET = CompiledQuery(_ticket)
_TICKET_COUNTED = CompiledQuery(_ticket_counted)
_TICKET_WITH_IMAGES = CompiledQuery(_ticket_with_images)


def _read(query: CompiledQuery, ticket_id: int, reader) -> tuple[Ticket, list[tuple]]:
    """Returns the ticket with which each row of the query begins, and the rest of the rows."""
    rows = query.rows(ticket_id=ticket_id) if ticket_id <= models.BigIntegerField.MAX_BIGINT else []
    of_ticket = len(columns_of(Ticket))
    ticket = instance_of(Ticket, rows[0][:of_ticket]) if rows else None
    if ticket is None or not (reader.is_staff or ticket.owner_id == reader.pk):
        raise Ticket.DoesNotExist
    return ticket, [row[of_ticket:] for row in rows]
