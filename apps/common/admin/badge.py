"""How the admin shows a status: a coloured badge, styled by apps/operations/static/hopla/admin.css."""

from django.utils.html import format_html


def badge(status: str, label: str) -> str:
    """Returns the badge of this status. `label`: the status in the reader's language."""
    return format_html('<span class="badge badge-{}">{}</span>', status, label)
