"""Webhooks, events and keys in the admin."""

from apps.integrations.admin import keys  # noqa: F401 (registers itself)
