"""Parses dates and timestamps as programs in many languages write them, alike in filters and in bodies; and how the API
writes them itself.
"""

import re
from datetime import date, datetime, timezone

from django.utils.translation import gettext_lazy as _

NOT_A_MOMENT = _("Use a date (2026-11-21) or a timestamp (2026-11-21T10:00:00Z).")

# From 1970 to 2999: beyond that, a filter's arithmetic would overflow.
_YEAR = r"(19[7-9][0-9]|2[0-9]{3})"
_LEAP_YEAR = r"(19(7[26]|8[048]|9[26])|2[0-9](0[48]|[2468][048]|[13579][26])|2[048]00)"
_DAY_OF_MONTH = (
    r"((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))"
)
_CLOCK = r"([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9]([.,][0-9]{0,9})?)?"
_ZONE = r"[Zz]|[+-]([01][0-9]|2[0-3])(:?[0-5][0-9])?"
# Java and .NET write seven to nine digits, Go leaves them out, Python and Ruby put spaces around the time.
_TIME = f"[Tt ]{_CLOCK}( ?({_ZONE}))?"
FILTER_PATTERN = f"^(({_YEAR}-{_DAY_OF_MONTH}|{_LEAP_YEAR}-02-29)({_TIME})?)?$"  # or nothing: no bound

_MOMENT = re.compile(rf"([0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}})(?:[Tt ](?P<clock>{_CLOCK})(?: ?(?P<zone>{_ZONE}))?)?")
_LOST_PLUS = re.compile(r"(:[0-9]{2}(?:[.,][0-9]*)?) {1,2}(?=[0-9])")


def parse_moment(text: str) -> date | datetime:
    """Returns the date (2026-11-21), or the timestamp (2026-11-21T10:00:00.1234567+02:00) in UTC.

    The fraction is cut to microseconds; a timestamp without a zone is UTC. Raises ValueError.
    """
    match = _MOMENT.fullmatch(text)
    if match is None:
        raise ValueError("neither a date nor a timestamp")
    if match["clock"] is None:
        return date.fromisoformat(match[1])
    clock, __, fraction = match["clock"].replace(",", ".").partition(".")
    moment = datetime.fromisoformat(f"{match[1]}T{clock}").replace(microsecond=int(fraction[:6].ljust(6, "0")))
    try:
        return in_utc(datetime.fromisoformat(moment.isoformat() + _offset(match["zone"])))
    except OverflowError as exc:
        raise ValueError("in UTC, before the year 1 or after 9999") from exc


def _offset(zone: str | None) -> str:
    """Returns the offset as the oldest supported Python reads it: +02:00."""
    if zone is None or zone in "Zz":
        return "+00:00"
    digits = zone[1:].replace(":", "").ljust(4, "0")
    return f"{zone[0]}{digits[:2]}:{digits[2:]}"


def in_utc(moment: datetime) -> datetime:
    """Returns the moment in UTC: PostgreSQL refuses offsets beyond 16 hours, and RFC 3339 allows up to 24."""
    return moment.astimezone(timezone.utc) if moment.tzinfo else moment.replace(tzinfo=timezone.utc)


def with_lost_plus(text: str) -> str:
    """Returns the text with its lost `+`: sent unescaped in a query, the `+` of a zone arrives as a space."""
    return _LOST_PLUS.sub(r"\1+", text)


def shown_timestamp(moment: datetime) -> str:
    """Returns the moment as the API's JSON has it, in UTC with `Z`."""
    return in_utc(moment).isoformat().replace("+00:00", "Z")
