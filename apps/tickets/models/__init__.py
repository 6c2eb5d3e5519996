"""What the database holds of tickets and photos, and the rules of a single row."""

from apps.tickets.models.ticket import (
    LEASE_SLACK_SECONDS,
    AssetRemoval,
    IdempotencyKey,
    Image,
    Progress,
    SearchText,
    Ticket,
    next_check_at_the_latest,
    progress_of,
)
from apps.tickets.models.transition import Transition

__all__ = [
    "LEASE_SLACK_SECONDS",
    "AssetRemoval",
    "IdempotencyKey",
    "Image",
    "Progress",
    "SearchText",
    "Ticket",
    "Transition",
    "next_check_at_the_latest",
    "progress_of",
]
