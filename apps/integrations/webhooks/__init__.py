"""Webhooks: endpoints, and how events are delivered to them."""
