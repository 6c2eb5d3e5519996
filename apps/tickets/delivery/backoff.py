"""When a photo is retried after a temporary failure to deliver it."""

import random
from datetime import datetime, timedelta

from django.conf import settings
from django.utils import timezone

from apps.common.jobs.backoff import Backoff

# Wait 2 s, 4 s, 8 s … between attempts, at most 5 minutes, each shortened by up to half to spread the retries.
BACKOFF = Backoff(base_seconds=2, cap_seconds=300)
SPREAD_SECONDS = 3


def next_attempt_at(attempts: int, *, not_before: datetime | None = None) -> datetime:
    """Returns the time of the next attempt. `not_before`: as Cloudinary asked, at most the longest wait from now."""
    now = timezone.now()
    seconds = BACKOFF.seconds_after(attempts) * random.uniform(0.5, 1)  # noqa: S311  spreads load, hides nothing
    moment = now + timedelta(seconds=seconds)
    if not_before is None:
        return moment
    return max(moment, spread(min(not_before, now + timedelta(seconds=BACKOFF.cap_seconds))))


def spread(moment: datetime) -> datetime:
    """Returns a moment a few random seconds later, so that photos that waited together do not return together."""
    return moment + timedelta(seconds=random.uniform(0, SPREAD_SECONDS))  # noqa: S311


def retry_horizon_seconds() -> int:
    """Returns the longest that all attempts of one photo can take, waits included."""
    waits = sum(BACKOFF.seconds_after(attempts) for attempts in range(1, settings.UPLOAD_MAX_ATTEMPTS))
    return waits + settings.UPLOAD_MAX_ATTEMPTS * settings.UPLOAD_TIMEOUT_SECONDS
