"""The e-mails about endpoints that hopla has disabled, for staff."""

from django.contrib import admin

from apps.common.admin.emails import OutgoingEmailAdmin
from apps.integrations.models import WebhookEmail
from apps.integrations.webhooks.emails import outbox


@admin.register(WebhookEmail)
class WebhookEmailAdmin(OutgoingEmailAdmin):
    outbox = outbox
    list_display = ("id", "to", "endpoint", "state_badge", "attempts", "error", "due_at", "sent_at")
    list_filter = ("state",)
    list_select_related = ("endpoint",)
