"""Filters and orderings of the list of support tickets."""

import django_filters
from django.db.models import Q

from apps.common.api.filters import AnyOfFilter, CreatedBetween, PositiveIntegerFilter, TotalOrderingFilter
from apps.support.models import SupportStatus, SupportTicket


class SupportTicketFilter(CreatedBetween):
    status = AnyOfFilter(choices=SupportStatus.choices, help_text="Any of these: `status=AC&status=FR`.")
    owner = PositiveIntegerFilter(field_name="owner_id", help_text="The id of the user who opened it.")
    ticket = PositiveIntegerFilter(field_name="ticket_id", help_text="The id of the upload ticket it is about.")
    search = django_filters.CharFilter(method="matching", max_length=200, help_text="Text in the title or body.")
    ordering = TotalOrderingFilter(
        fields=[(name, name) for name in ("created_at", "updated_at", "status")],
        help_text="The order; a minus reverses it.",
    )

    class Meta:
        model = SupportTicket
        fields = ["status", "owner", "ticket", "created_after", "created_before", "search", "ordering"]

    def matching(self, tickets, name, value):
        return tickets.filter(Q(title__icontains=value) | Q(body_text__icontains=value))
