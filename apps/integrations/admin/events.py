"""Events for staff, to be read alone: what was told, and to which webhooks."""

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from apps.common.admin.lists import LargeAdmin, OwnerFilter
from apps.integrations.admin.parts import TypeFilter, as_json, link_to_ticket
from apps.integrations.models import Delivery, Event
from apps.tickets.admin.parts import ReadOnly, TicketNumberFilter, number_in, uuid_in


class DeliveriesInline(ReadOnly, admin.TabularInline):
    model = Delivery
    extra = 0
    can_delete = False
    show_change_link = True
    verbose_name_plural = _("webhook deliveries")
    fields = readonly_fields = ("endpoint", "status", "attempts", "http_status", "next_try_at", "delivered_at")
    ordering = ("id",)


@admin.register(Event)
class EventAdmin(ReadOnly, LargeAdmin):
    list_display = ("at", "type", "ticket", "image_id", "owner", "id")
    list_display_links = ("at", "id")
    list_filter = (TypeFilter, TicketNumberFilter, OwnerFilter)
    list_select_related = ("owner",)
    ordering = ("-id",)  # by their time, and by an index
    sortable_by = ()
    search_fields = ("=id", "=ticket_id")  # as get_search_results finds them
    search_help_text = _("The number of a ticket, or the id of an event.")
    fields = readonly_fields = ("type", "at", "owner", "ticket", "image_id", "request_id", "shown_data")
    inlines = [DeliveriesInline]

    def has_delete_permission(self, request, obj=None):
        return False

    def get_search_results(self, request, queryset, search_term):
        term = search_term.strip()
        if not term:
            return queryset, False
        if (number := number_in(term)) is not None:
            return queryset.filter(ticket_id=number), False
        event_id = uuid_in(term)
        return (queryset.filter(pk=event_id) if event_id else queryset.none()), False

    @admin.display(description=_("ticket"))
    def ticket(self, event):
        return link_to_ticket(event)

    @admin.display(description=_("data"))
    def shown_data(self, event):
        return as_json(event.data)
