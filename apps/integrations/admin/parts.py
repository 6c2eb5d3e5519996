"""What the admin's pages of events and deliveries have in common."""

import json

from django.contrib import admin
from django.db.models import Q
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from apps.integrations.models import Event, EventType


class TypeFilter(admin.SimpleListFilter):
    title = _("type")
    parameter_name = "type"
    field = "type"

    def lookups(self, request, model_admin):
        return EventType.choices

    def queryset(self, request, queryset):
        if (chosen := self.value()) is None:
            return queryset
        # So that the index of an owner's events that are no stored photos can serve.
        others = Q() if chosen == EventType.IMAGE_STORED else ~Q(**{self.field: EventType.IMAGE_STORED.value})
        return queryset.filter(others, **{self.field: chosen})


def link_to_ticket(event: Event) -> str:
    """Returns a link to the ticket that the event tells of, which may be deleted."""
    if event.ticket_id is None:
        return "-"
    url = reverse("admin:tickets_ticket_change", args=[event.ticket_id])
    return format_html('<a href="{}">{}</a>', url, str(event.ticket_id))


def as_json(data: dict) -> str:
    return format_html("<pre>{}</pre>", json.dumps(data, indent=2, ensure_ascii=False))
