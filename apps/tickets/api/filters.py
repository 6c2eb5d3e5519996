"""Which tickets a list shows, in which order."""

import django_filters

from apps.common.api.filters import AnyOfFilter, CreatedBetween, PositiveIntegerFilter, TotalOrderingFilter
from apps.tickets.models import Ticket
from apps.tickets.models.statuses import TicketStatus

SEARCH_HELP = (
    "Text in the title or description, in any case. Numbered pages show the first 500 found, and `count` stops "
    "there, with `count_is_minimum`; cursor pages show them all."
)
ORDERINGS = ("created_at", "updated_at", "completed_at", "num_images", "status")


class TicketFilter(CreatedBetween):
    status = AnyOfFilter(choices=TicketStatus.choices, help_text="Any of these: `status=pending&status=in_progress`.")
    owner = PositiveIntegerFilter(
        field_name="owner_id", help_text="The id of a user. Staff see that user's tickets, others none but their own."
    )
    reference = django_filters.CharFilter(max_length=100, help_text="Those with this reference, to the letter.")
    search = django_filters.CharFilter(method="matching", max_length=200, help_text=SEARCH_HELP)
    ordering = TotalOrderingFilter(
        fields=[(name, name) for name in ORDERINGS],
        ties={"status": ["-created_at", "-id"]},  # as ticket_owner_status_newest holds them
        help_text="The order; a minus reverses it. Cursor pages know `created_at` and `-created_at` (default) alone.",
    )

    class Meta:
        model = Ticket
        fields = ["owner", "status", "reference", "created_after", "created_before", "search", "ordering"]

    def matching(self, tickets, name, value):
        return tickets.mentioning(value)
