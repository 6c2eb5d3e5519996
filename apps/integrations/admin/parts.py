"""What the admin's pages of events and deliveries have in common."""

import json

from django.urls import reverse
from django.utils.html import format_html

from apps.integrations.models import Event


def link_to_ticket(event: Event) -> str:
    """Returns a link to the ticket that the event tells of, which may be deleted."""
    if event.ticket_id is None:
        return "-"
    url = reverse("admin:tickets_ticket_change", args=[event.ticket_id])
    return format_html('<a href="{}">{}</a>', url, str(event.ticket_id))


def as_json(data: dict) -> str:
    return format_html("<pre>{}</pre>", json.dumps(data, indent=2, ensure_ascii=False))
