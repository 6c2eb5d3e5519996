"""Webhooks, events and keys in the admin."""

from apps.integrations.admin import deliveries, emails, endpoints, events  # noqa: F401  registers them
