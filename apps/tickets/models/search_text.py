"""The text that the search of tickets reads."""

from django.db import models

from apps.tickets.models.ticket import Ticket


class SearchText(models.Model):
    """The text that `search` reads: a ticket's title and description, in capitals. Only on PostgreSQL.

    Triggers maintain it (migration 0001). A trigram index on the ticket itself would be rewritten with every photo, as
    all indexes of a ticket are.
    """

    ticket = models.OneToOneField(
        Ticket, on_delete=models.DO_NOTHING, primary_key=True, db_constraint=False, related_name="search_text"
    )
    text = models.TextField()

    class Meta:
        default_permissions = ()

    def __str__(self):
        return self.text
