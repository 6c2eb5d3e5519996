"""Tickets, photos and what goes with them, for staff."""

from apps.tickets.admin import tickets

__all__ = ["tickets"]
