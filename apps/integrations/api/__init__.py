"""The API of webhooks, events and keys."""
