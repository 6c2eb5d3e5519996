"""What the search in tickets looks through."""

from django.db import models

from apps.tickets.models.ticket import Ticket


class SearchText(models.Model):
    """What `search` looks through: a ticket's title and description, in capitals. On PostgreSQL alone.

    Triggers keep it (migration 0010). An index of the trigrams on the ticket itself would be written anew with every
    photo, as all indexes of a ticket are.
    """

    ticket = models.OneToOneField(
        Ticket, on_delete=models.DO_NOTHING, primary_key=True, db_constraint=False, related_name="search_text"
    )
    text = models.TextField()

    class Meta:
        default_permissions = ()

    def __str__(self):
        return self.text
