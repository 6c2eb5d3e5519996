"""Webhooks, events and keys in the admin."""
