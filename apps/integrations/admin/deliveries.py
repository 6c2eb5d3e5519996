"""Webhook deliveries for staff: what was sent, what came back, and to have it sent again."""

from django.contrib import admin, messages
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import APIException

from apps.common.admin.lists import LargeAdmin, LargeChangeList, TypedFilter
from apps.integrations.admin.parts import TypeFilter, as_json, link_to_ticket
from apps.integrations.endpoints import send_again
from apps.integrations.models import Delivery
from apps.tickets.admin.parts import ReadOnly, StatusBadge, TicketNumberFilter, number_in, uuid_in


class OfTicketFilter(TicketNumberFilter):
    field = "event__ticket_id"


class EndpointFilter(TypedFilter):
    title = _("number of the webhook")
    parameter_name = "endpoint_is"

    def queryset(self, request, queryset):
        return queryset.filter(endpoint_id=number_in(self.value()) or 0) if self.value() else queryset


class OfTypeFilter(TypeFilter):
    field = "event__type"


class DeliveryChangeList(LargeChangeList):
    def get_queryset(self, *args, **kwargs):
        return super().get_queryset(*args, **kwargs).defer("event__text", "event__facts", "answer")


@admin.register(Delivery)
class DeliveryAdmin(StatusBadge, ReadOnly, LargeAdmin):
    """The permission to change them only allows sending again."""

    list_display = (
        *("id", "type", "of_ticket", "of_endpoint", "state", "attempts", "http_status", "milliseconds"),
        *("next_try_at", "created_at", "delivered_at"),
    )
    list_filter = ("status", OfTypeFilter, EndpointFilter, OfTicketFilter)
    list_select_related = ("event", "endpoint")
    ordering = ("-id",)
    sortable_by = ()
    search_fields = ("=event_id", "=event__ticket_id")  # as get_search_results finds them
    search_help_text = _("The number of a ticket, or the id of an event.")
    fields = readonly_fields = (
        *("of_event", "type", "of_ticket", "of_endpoint", "state", "attempts", "next_try_at"),
        *("http_status", "milliseconds", "answer", "created_at", "delivered_at", "sent"),
    )
    actions = ["send_again"]
    change_form_template = "admin/webhook_delivery.html"

    def get_changelist(self, request, **kwargs):
        return DeliveryChangeList

    def get_search_results(self, request, queryset, search_term):
        term = search_term.strip()
        if not term:
            return queryset, False
        if (number := number_in(term)) is not None:
            return queryset.filter(event__ticket_id=number), False
        event_id = uuid_in(term)
        return (queryset.filter(event_id=event_id) if event_id else queryset.none()), False

    # --- What is shown ---

    @admin.display(description=_("type"))
    def type(self, delivery):
        return delivery.event.type

    @admin.display(description=_("event"))
    def of_event(self, delivery):
        url = reverse("admin:integrations_event_change", args=[delivery.event_id])
        return format_html('<a href="{}">{}</a>', url, delivery.event_id)

    @admin.display(description=_("ticket"))
    def of_ticket(self, delivery):
        return link_to_ticket(delivery.event)

    @admin.display(description=_("webhook"))
    def of_endpoint(self, delivery):
        url = reverse("admin:integrations_endpoint_change", args=[delivery.endpoint_id])
        return format_html('<a href="{}">{}: {}</a>', url, str(delivery.endpoint_id), delivery.endpoint.url)

    @admin.display(description=_("what was sent"))
    def sent(self, delivery):
        return as_json(delivery.event.data)

    # --- Sending again ---

    def has_send_permission(self, request):
        return super(ReadOnly, self).has_change_permission(request)

    def change_view(self, request, object_id, form_url="", extra_context=None):
        may_send = {"may_send": self.has_send_permission(request)}
        return super().change_view(request, object_id, form_url, may_send | (extra_context or {}))

    @admin.action(description=_("Send the selected events again"), permissions=["send"])
    def send_again(self, request, queryset):
        sent, refusals = 0, []
        for delivery in queryset.select_related("endpoint"):
            try:
                send_again(delivery)
            except APIException as refusal:
                refusals.append(str(refusal.detail))
            else:
                sent += 1
                self.log_change(request, delivery, gettext("Sent again."))
        told = ngettext("%(number)d event is sent again.", "%(number)d events are sent again.", sent)
        self.message_user(request, told % {"number": sent}, messages.SUCCESS)
        for reason in sorted(set(refusals)):
            told = ngettext(
                "%(number)d event is not: %(reason)s", "%(number)d events are not: %(reason)s", refusals.count(reason)
            )
            self.message_user(request, told % {"number": refusals.count(reason), "reason": reason}, messages.WARNING)
