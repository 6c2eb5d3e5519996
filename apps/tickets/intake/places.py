"""The common photo's place, taken by one statement: no place of its ticket before the last is free.

On PostgreSQL alone. Where anything differs nothing is taken, and the long way (intake.py) decides: it locks the ticket
first and then looks, in six exchanges with the database that cost a photo an eighth of all its processor time.

What the statement counts is as old as the statement; it may have waited for the ticket since, while another photo got
the place that it has in mind. That no place is given away twice is then the unique constraint's word: nothing is
written but a version that nobody needed. A ticket whose status has changed meanwhile is not touched: only one photo is
the first, and writes down that the ticket is in progress.
"""

from functools import cache

from django.db import connection, transaction
from django.utils import timezone

from apps.common.db.compiled_queries import columns_and_values, cursor_of, values_to_insert
from apps.tickets.models import Image
from apps.tickets.models.statuses import ImageStatus, TicketStatus
from apps.tickets.models.transition import Transition, log_transition, new_move

TAKE = """
WITH taken AS (
    SELECT count(*) AS number, coalesce(max(position), 0) AS last,
        (array_agg(id ORDER BY created_at) FILTER (WHERE sha256 = %(sha256)s))[1] AS twin
    FROM tickets_image WHERE ticket_id = %(ticket_id)s AND status <> '{failed}'
), seen AS MATERIALIZED (
    SELECT status FROM tickets_ticket WHERE id = %(ticket_id)s
), ticket AS (
    UPDATE tickets_ticket SET status = '{in_progress}', version = version + 1, updated_at = %(now)s FROM seen
    WHERE id = %(ticket_id)s AND tickets_ticket.status = seen.status AND seen.status IN ('{pending}', '{in_progress}')
        AND (expires_at IS NULL OR expires_at > %(now)s)
        AND (SELECT number = last AND number < num_images FROM taken)
    RETURNING seen.status AS status_before, 'user ' || owner_id AS actor
), image AS (
    INSERT INTO tickets_image ({columns}) SELECT {values} FROM ticket, taken
    ON CONFLICT DO NOTHING
    RETURNING position, duplicate_of_id
), transition AS (
    INSERT INTO tickets_transition ({move_columns}) SELECT {move_values} FROM ticket, image
    WHERE status_before = '{pending}'
)
SELECT position, duplicate_of_id, status_before, actor FROM image, ticket
"""


def take_next_place(image: Image) -> bool:
    """Write this new image with the next position of its ticket, raise the ticket's version, and answer whether that
    was possible. The image has its position then, and knows whether another has the same bytes; with the first one
    the ticket is in progress.
    """
    if connection.vendor != "postgresql":
        return False
    now = timezone.now()
    begun = new_move(
        ticket_id=image.ticket_id, from_status=TicketStatus.PENDING, to_status=TicketStatus.IN_PROGRESS, at=now
    )
    with cursor_of(connection) as cursor:
        cursor.execute(_take(), values_to_insert(begun) | values_to_insert(image) | {"now": now})
        row = cursor.fetchone()
    if row is None:
        return False
    image.position, image.duplicate_of_id, status_before, begun.actor = row
    image._state.adding, image._state.db = False, connection.alias
    if status_before == TicketStatus.PENDING:
        transaction.on_commit(lambda: log_transition(begun, {}), robust=True)
    return True


@cache
def _take() -> str:
    columns, values = columns_and_values(Image, position="taken.last + 1", duplicate_of_id="taken.twin")
    move_columns, move_values = columns_and_values(Transition, actor="ticket.actor")
    return TAKE.format(
        failed=ImageStatus.FAILED.value,
        pending=TicketStatus.PENDING.value,
        in_progress=TicketStatus.IN_PROGRESS.value,
        columns=columns,
        values=values,
        move_columns=move_columns,
        move_values=move_values,
    )
