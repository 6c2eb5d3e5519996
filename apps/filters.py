"""Filters of lists by date and by id, and their order. A bad value is an error, not an empty list."""

import re
from datetime import date, datetime, time, timedelta, timezone

import django_filters
from django import forms
from django.db.models import F
from django.utils.dateparse import parse_date, parse_datetime
from django.utils.translation import gettext_lazy as _
from django_filters.fields import BaseCSVField

# A date or a timestamp of RFC 3339, from 1970 to 2999: further out, arithmetic on it would overflow somewhere.
_YEAR = r"(19[7-9][0-9]|2[0-9]{3})"
_LEAP_YEAR = r"(19(7[26]|8[048]|9[26])|2[0-9](0[48]|[2468][048]|[13579][26])|2[048]00)"
_DAY_OF_MONTH = (
    r"((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))"
)
_TIME = r"T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,6})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])?"
MOMENT_PATTERN = f"^(({_YEAR}-{_DAY_OF_MONTH}|{_LEAP_YEAR}-02-29)({_TIME})?)?$"  # or nothing: no bound


class MomentField(forms.Field):
    """A date such as 2026-11-21, or a timestamp such as 2026-11-21T10:00:00Z (UTC when it names no zone)."""

    default_error_messages = {"invalid": _("Use a date (2026-11-21) or a timestamp (2026-11-21T10:00:00Z).")}

    def to_python(self, value) -> date | datetime | None:
        if value in self.empty_values:
            return None
        value = value.replace(" ", "+")  # the + of a zone, sent as it is, arrives as a space
        if not re.fullmatch(MOMENT_PATTERN, value):
            raise forms.ValidationError(self.error_messages["invalid"], code="invalid")
        parsed = parse_datetime(value) if "T" in value else parse_date(value)
        return in_utc(parsed) if isinstance(parsed, datetime) else parsed


def in_utc(moment: datetime) -> datetime:
    """PostgreSQL refuses zones further off than 16 hours; RFC 3339 allows up to 24."""
    return moment.astimezone(timezone.utc) if moment.tzinfo else moment.replace(tzinfo=timezone.utc)


class MomentFilter(django_filters.Filter):
    field_class = MomentField


class PositiveIntegerFilter(django_filters.Filter):
    field_class = forms.IntegerField

    def __init__(self, **kwargs):
        super().__init__(min_value=1, max_value=2**63 - 1, **kwargs)


class OrderingsField(BaseCSVField):
    """Names between commas; django-filter's own lets nothing between commas pass for a name."""

    def clean(self, value):
        if value and not all(value):
            raise forms.ValidationError(self.error_messages["invalid_choice"] % {"value": ""}, code="invalid_choice")
        return super().clean(value)


class AnyOfFilter(django_filters.MultipleChoiceFilter):
    """One of these values. django-filter's own asks for distinct rows, and those are compared column by column."""

    def filter(self, queryset, value):
        return queryset.filter(**{f"{self.field_name}__in": value}) if value else queryset


def reversed_order(name: str) -> str:
    return name[1:] if name.startswith("-") else f"-{name}"


class TotalOrderingFilter(django_filters.OrderingFilter):
    """Equal values are ordered by id, or pages would repeat some rows and skip others; what has no value comes last.

    `ties` names for an ordering what else its equal values are ordered by, where an index holds them so.
    """

    base_field_class = OrderingsField

    def __init__(self, *args, ties: dict[str, list[str]] | None = None, **kwargs):
        super().__init__(*args, **kwargs)
        self.ties = ties or {}

    def filter(self, queryset, value):
        if not value:
            return queryset
        ties = self.ties.get(value[0].lstrip("-"), ["id"]) if len(value) == 1 else ["id"]
        if value[0].startswith("-"):
            ties = [reversed_order(name) for name in ties]
        return queryset.order_by(*(self.get_ordering_value(name) for name in value), *ties)

    def get_ordering_value(self, param):
        name = super().get_ordering_value(param)
        field = name.lstrip("-")
        if not self.model._meta.get_field(field).null:
            return name
        return F(field).desc(nulls_last=True) if name.startswith("-") else F(field).asc(nulls_last=True)


class CreatedBetween(django_filters.FilterSet):
    """`created_after` and `created_before`, inclusive; a date stands for its whole day, UTC."""

    created_after = MomentFilter(
        method="since",
        help_text="Opened then or later: a date (2026-11-21) or a timestamp (2026-11-21T10:00:00Z).",
    )
    created_before = MomentFilter(
        method="until",
        help_text="Opened then or earlier, a date's whole day included: a date or a timestamp.",
    )

    def since(self, queryset, name, value):
        start = value if isinstance(value, datetime) else datetime.combine(value, time.min, timezone.utc)
        return queryset.filter(created_at__gte=start)

    def until(self, queryset, name, value):
        if isinstance(value, datetime):
            return queryset.filter(created_at__lte=value)
        return queryset.filter(created_at__lt=datetime.combine(value, time.min, timezone.utc) + timedelta(days=1))
