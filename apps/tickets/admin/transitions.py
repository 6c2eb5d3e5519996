"""The log of transitions for staff, to be read alone."""

from django.contrib import admin
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from apps.common.admin.lists import LargeAdmin
from apps.tickets.admin.parts import ReadOnly, SearchByTicketOrPhoto
from apps.tickets.models import Image
from apps.tickets.models.transition import Transition


@admin.register(Transition)
class TransitionAdmin(SearchByTicketOrPhoto, ReadOnly, LargeAdmin):
    list_display = ("at", "ticket_link", "image_id", "from_status", "to_status", "reason", "actor", "request_id")
    list_display_links = None
    sortable_by = ()
    search_fields = ("=ticket_id", "=image_id")

    def has_delete_permission(self, request, obj=None):
        return False

    @admin.display(description=_("ticket"))
    def ticket_link(self, move):
        return format_html(
            '<a href="{}">{}</a>', reverse("admin:tickets_ticket_change", args=[move.ticket_id]), str(move.ticket_id)
        )

    def of_photo(self, queryset, image_id):
        image = Image.objects.find(image_id)
        ticket_id = image.ticket_id if image else Transition.objects.ticket_of_deleted(image_id)
        return queryset.filter(ticket_id=ticket_id, image_id=image_id)
