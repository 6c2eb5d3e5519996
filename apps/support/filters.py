"""Which support tickets a list shows, in which order."""

import django_filters
from django.db.models import Q

from apps.filters import CreatedBetween, PositiveIntegerFilter, TotalOrderingFilter
from apps.support.models import SupportStatus, SupportTicket


class SupportTicketFilter(CreatedBetween):
    status = django_filters.MultipleChoiceFilter(choices=SupportStatus.choices)
    owner = PositiveIntegerFilter(field_name="owner_id")
    ticket = PositiveIntegerFilter(field_name="ticket_id")
    search = django_filters.CharFilter(method="matching", max_length=200)
    ordering = TotalOrderingFilter(fields=[(name, name) for name in ("created_at", "updated_at", "status")])

    class Meta:
        model = SupportTicket
        fields = ["status", "owner", "ticket", "created_after", "created_before", "search", "ordering"]

    def matching(self, tickets, name, value):
        return tickets.filter(Q(title__icontains=value) | Q(body_text__icontains=value))
