"""Webhook endpoints of all users for staff, who see what is wrong with one, try it and have it sent what it missed.

No page shows a secret; a new one is shown once, when it is made.
"""

from datetime import timedelta

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Q
from django.http import Http404
from django.shortcuts import redirect
from django.urls import path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from apps.common.admin.badge import badge
from apps.common.admin.lists import LargeAdmin, OwnerFilter, users_called
from apps.common.admin.shown_once import shown_once
from apps.integrations.endpoints import change_endpoint, ping, recover
from apps.integrations.errors import WebhookDisabledError
from apps.integrations.models import Endpoint
from apps.integrations.webhooks import signing
from apps.tickets.admin.parts import ReadOnly

SECRETS = ("secret_encrypted", "old_secret_encrypted")
DAY = timedelta(days=1)


@admin.register(Endpoint)
class EndpointAdmin(ReadOnly, LargeAdmin):
    """The permission to change them allows what can be done with one; nothing of it is edited here."""

    list_display = (
        *("id", "url", "owner", "state_badge", "disabled_reason"),
        *("failing_since", "last_success_at", "created_at"),
    )
    list_display_links = ("id", "url")
    list_filter = ("enabled", "disabled_reason", OwnerFilter)
    list_select_related = ("owner",)
    ordering = ("-id",)
    sortable_by = ()
    search_fields = ("url",)  # and what get_search_results does
    search_help_text = _("Part of a URL, or a username or e-mail address.")
    fields = readonly_fields = (
        *("url", "owner", "shown_events", "description", "state_badge", "disabled_reason", "disabled_at"),
        *("failing_since", "last_success_at", "old_secret_until", "created_at", "its_deliveries"),
    )
    actions = ["enable", "disable", "ping", "recover_day", "recover_week"]
    change_form_template = "admin/webhook_endpoint.html"

    # --- What is shown ---

    def get_queryset(self, request):
        return super().get_queryset(request).defer(*SECRETS)

    def get_search_results(self, request, queryset, search_term):
        term = search_term.strip()
        if not term:
            return queryset, False
        return queryset.filter(Q(url__icontains=term) | Q(owner__in=list(users_called(term)))), False

    @admin.display(description=_("state"))
    def state_badge(self, endpoint):
        if not endpoint.enabled:
            return badge("cancelled", gettext("disabled"))
        return badge("failed", gettext("failing")) if endpoint.failing_since else badge("ok", gettext("enabled"))

    @admin.display(description=_("events"))
    def shown_events(self, endpoint):
        return ", ".join(endpoint.events) or gettext("all")

    @admin.display(description=_("deliveries"))
    def its_deliveries(self, endpoint):
        url = reverse("admin:integrations_delivery_changelist")
        return format_html('<a href="{}?endpoint_is={}">{}</a>', url, str(endpoint.pk), gettext("Deliveries"))

    # --- What is done with one ---

    def has_use_permission(self, request):
        return super(ReadOnly, self).has_change_permission(request)

    def change_view(self, request, object_id, form_url="", extra_context=None):
        may_use = {"may_use": self.has_use_permission(request)}
        return super().change_view(request, object_id, form_url, may_use | (extra_context or {}))

    @admin.action(description=_("Enable the selected webhooks"), permissions=["use"])
    def enable(self, request, queryset):
        changed = [endpoint for endpoint in queryset if not endpoint.enabled]
        self._change(request, changed, enabled=True, noted=gettext("Enabled."))
        told = ngettext("%(number)d webhook was enabled.", "%(number)d webhooks were enabled.", len(changed))
        self.message_user(request, told % {"number": len(changed)}, messages.SUCCESS)

    @admin.action(description=_("Disable the selected webhooks"), permissions=["use"])
    def disable(self, request, queryset):
        changed = [endpoint for endpoint in queryset if endpoint.enabled]
        self._change(request, changed, enabled=False, noted=gettext("Disabled."))
        told = ngettext("%(number)d webhook was disabled.", "%(number)d webhooks were disabled.", len(changed))
        self.message_user(request, told % {"number": len(changed)}, messages.SUCCESS)

    def _change(self, request, endpoints, *, enabled: bool, noted: str) -> None:
        for endpoint in endpoints:
            change_endpoint(endpoint, enabled=enabled)
            self.log_change(request, endpoint, noted)

    @admin.action(description=_("Ping the selected webhooks"), permissions=["use"])
    def ping(self, request, queryset):
        pinged = self._of_enabled(request, queryset, ping, noted=gettext("Pinged."))
        told = ngettext("%(number)d ping is on its way.", "%(number)d pings are on their way.", len(pinged))
        self.message_user(request, told % {"number": len(pinged)}, messages.SUCCESS)

    @admin.action(description=_("Send again what they missed in the last day"), permissions=["use"])
    def recover_day(self, request, queryset):
        self._recover(request, queryset, since=timezone.now() - DAY)

    @admin.action(description=_("Send again what they missed in the last week"), permissions=["use"])
    def recover_week(self, request, queryset):
        self._recover(request, queryset, since=timezone.now() - 7 * DAY)

    def _recover(self, request, queryset, *, since) -> None:
        noted = gettext("Sent what it missed.")
        sent = sum(self._of_enabled(request, queryset, lambda endpoint: recover(endpoint, since=since), noted=noted))
        told = ngettext("%(number)d event is sent.", "%(number)d events are sent.", sent)
        self.message_user(request, told % {"number": sent}, messages.SUCCESS)

    def _of_enabled(self, request, queryset, function, *, noted: str) -> list:
        """Returns what the function returns of each endpoint that is enabled, and tells of the others."""
        results, left = [], 0
        for endpoint in queryset:
            try:
                results.append(function(endpoint))
            except WebhookDisabledError:
                left += 1
            else:
                self.log_change(request, endpoint, noted)
        if left:
            told = ngettext(
                "%(number)d webhook is disabled: enable it first.",
                "%(number)d webhooks are disabled: enable them first.",
                left,
            )
            self.message_user(request, told % {"number": left}, messages.WARNING)
        return results

    # --- A new secret ---

    def get_urls(self):
        rotate = self.admin_site.admin_view(self.rotate)
        route = path("<int:endpoint_id>/rotate-secret/", rotate, name="integrations_endpoint_rotate")
        return [route, *super().get_urls()]

    def rotate(self, request, endpoint_id):
        """The page with the new secret, for a POST alone: so it is in no history of a browser."""
        if not self.has_use_permission(request):
            raise PermissionDenied
        endpoint = self.get_object(request, str(endpoint_id))
        if endpoint is None:
            raise Http404
        if request.method != "POST":
            return redirect("admin:integrations_endpoint_change", endpoint_id)
        secret = signing.rotate(endpoint)
        self.log_change(request, endpoint, gettext("Secret rotated."))
        shown = {"title": gettext("New secret"), "secret": secret}
        return shown_once(self, request, endpoint, template="admin/webhook_secret.html", **shown)
