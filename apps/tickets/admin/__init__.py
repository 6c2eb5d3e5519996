"""Tickets, photos and what goes with them, for staff."""

from apps.tickets.admin import images, tickets, transitions

__all__ = ["images", "tickets", "transitions"]
