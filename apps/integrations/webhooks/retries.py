"""When a delivery is tried again."""

import email.utils
import random
import re
from datetime import datetime, timedelta
from datetime import timezone as datetime_timezone

from django.conf import settings
from django.utils import timezone

from apps.integrations.models import Delivery

JITTER = 0.2
# How long an endpoint that asks hopla to slow down is left alone: as it asks, within these.
SLOW_SECONDS = 5
LONGEST_SLOW_SECONDS = 600


def next_try_at(delivery: Delivery, *, retry_after: str = "") -> datetime | None:
    """Returns the time of the attempt after this one, None if it was the last of its round. `retry_after`: the header
    of that name; it makes the wait longer, twice as long at most.
    """
    number = delivery.attempts - delivery.attempts_before  # the attempts of this round
    if number > len(settings.WEBHOOK_RETRY_SECONDS):
        return None
    base = settings.WEBHOOK_RETRY_SECONDS[max(number, 1) - 1]
    wait = base * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311  spreads load, hides nothing
    asked = seconds_of(retry_after)
    if asked is not None:
        wait = max(wait, min(asked, 2 * base))
    return timezone.now() + timedelta(seconds=wait)


def slow_until(retry_after: str) -> datetime:
    """Returns until when nothing is sent to an endpoint that asked hopla to slow down."""
    seconds = seconds_of(retry_after) or SLOW_SECONDS
    return timezone.now() + timedelta(seconds=min(max(seconds, SLOW_SECONDS), LONGEST_SLOW_SECONDS))


def seconds_of(retry_after: str) -> float | None:
    """Returns the seconds from now that a Retry-After header (RFC 9110) names, None if it makes no sense."""
    value = retry_after.strip()
    if re.fullmatch(r"[0-9]{1,9}", value):
        return float(value)
    try:
        moment = email.utils.parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=datetime_timezone.utc)
    return max(0.0, (moment - timezone.now()).total_seconds())
