"""Reads tickets and their images together, in one statement and so from one snapshot."""

from collections import Counter, defaultdict

from django.db import models
from django.db.models import Count, Q

from apps.common.db.compiled_queries import CompiledQuery, Parameter, columns_of, instance_of
from apps.tickets.models.image import Image
from apps.tickets.models.progress import Progress
from apps.tickets.models.statuses import ImageStatus
from apps.tickets.models.ticket import Ticket


def read_ticket(ticket_id: int, *, reader) -> Ticket:
    """Returns the ticket, if this user may read it. Raises Ticket.DoesNotExist."""
    ticket, _ = _read(_TICKET, ticket_id, reader)
    return ticket


def read_ticket_counted(ticket_id: int, *, reader) -> Ticket:
    """Returns the ticket, with its Progress in `counted`. Raises Ticket.DoesNotExist."""
    ticket, [counts] = _read(_TICKET_COUNTED, ticket_id, reader)
    ticket.counted = Progress.of(ticket, dict(zip(ImageStatus.values, counts, strict=True)))
    return ticket


def read_ticket_with_images(ticket_id: int, *, reader) -> Ticket:
    """Returns the ticket, with its Progress in `counted`, its images in `images_read`. Raises Ticket.DoesNotExist."""
    ticket, rows = _read(_TICKET_WITH_IMAGES, ticket_id, reader)
    ticket.images_read = [
        instance_of(Image, row) for row in rows if row[0] is not None
    ]  # without images there is one row of nulls
    ticket.counted = Progress.of(ticket, Counter(image.status for image in ticket.images_read))
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
    return ticket.annotate(**counts).values_list(*columns_of(Ticket), *counts)


def _ticket_with_images():
    ticket = Ticket.objects.filter(pk=Parameter("ticket_id", models.BigIntegerField()))
    ticket = ticket.order_by("images__position", "images__created_at")
    return ticket.values_list(*columns_of(Ticket), *columns_of(Image, "images__"))


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
