"""Webhooks, events and keys in the admin."""

from apps.integrations.admin import emails  # noqa: F401  registers them
