"""How the admin shows a status: a word on a colour, by the classes of apps/operations/static/hopla/admin.css."""

from django.utils.html import format_html


def badge(status: str, label: str) -> str:
    """A mark in the colour of this status. `label`: the status as the reader's language calls it."""
    return format_html('<span class="badge badge-{}">{}</span>', status, label)
