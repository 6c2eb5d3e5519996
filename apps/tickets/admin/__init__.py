"""Tickets, photos and what goes with them, for staff."""

from apps.tickets.admin import images, kinds, tickets, transitions

__all__ = ["images", "kinds", "tickets", "transitions"]
