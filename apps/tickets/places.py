"""The common photo's place, taken by one statement: its ticket is in progress, and no place before the last is free.

On PostgreSQL alone. Where anything differs nothing is taken, and the long way (intake.py) decides: it locks the ticket
first and then looks, in six exchanges with the database that cost a photo an eighth of all its processor time.

What the statement counts is as old as the statement; it may have waited for the ticket since, while another photo got
the place that it has in mind. That no place is given away twice is then the unique constraint's word: nothing is
written but a version that nobody needed.
"""

from functools import cache

from django.db import connection
from django.utils import timezone

from apps.compiled_query import cursor_of, values_to_insert
from apps.tickets.models import Image
from apps.tickets.states import ImageStatus, TicketStatus

TAKE = """
WITH taken AS (
    SELECT count(*) AS number, coalesce(max(position), 0) AS last,
        (array_agg(id ORDER BY created_at) FILTER (WHERE sha256 = %(sha256)s))[1] AS twin
    FROM tickets_image WHERE ticket_id = %(ticket_id)s AND status <> '{failed}'
), ticket AS (
    UPDATE tickets_ticket SET version = version + 1, updated_at = %(now)s
    WHERE id = %(ticket_id)s AND status = '{in_progress}' AND (expires_at IS NULL OR expires_at > %(now)s)
        AND (SELECT number = last AND number < num_images FROM taken)
    RETURNING id
)
INSERT INTO tickets_image ({columns}) SELECT {values} FROM ticket, taken
ON CONFLICT DO NOTHING
RETURNING position, duplicate_of_id
"""


def take_next_place(image: Image) -> bool:
    """Write this new image with the next position of its ticket, raise the ticket's version, and answer whether that
    was possible. The image has its position then, and knows whether another has the same bytes.
    """
    if connection.vendor != "postgresql":
        return False
    with cursor_of(connection) as cursor:
        cursor.execute(_take(), values_to_insert(image) | {"now": timezone.now()})
        row = cursor.fetchone()
    if row is None:
        return False
    image.position, image.duplicate_of_id = row
    image._state.adding, image._state.db = False, connection.alias
    return True


@cache
def _take() -> str:
    computed = {"position": "taken.last + 1", "duplicate_of_id": "taken.twin"}
    columns = [field.column for field in Image._meta.concrete_fields]
    return TAKE.format(
        failed=ImageStatus.FAILED.value,
        in_progress=TicketStatus.IN_PROGRESS.value,
        columns=", ".join(columns),
        values=", ".join(computed.get(column, f"%({column})s") for column in columns),
    )
