"""Filters of lists by date and by id, and their order. A bad value is an error, not an empty list."""

import re
from datetime import date, datetime, time, timedelta, timezone

import django_filters
from django import forms
from django.db.models import F
from django_filters.fields import BaseCSVField

from apps.common.api.timestamps import FILTER_PATTERN, NOT_A_MOMENT, parse_moment, with_lost_plus


class MomentField(forms.Field):
    """A date, or a timestamp, as apps/common/api/timestamps.py reads them; from 1970 to 2999."""

    default_error_messages = {"invalid": NOT_A_MOMENT}

    def to_python(self, value) -> date | datetime | None:
        if value in self.empty_values:
            return None
        value = with_lost_plus(value.strip())
        if not re.fullmatch(FILTER_PATTERN, value):
            raise forms.ValidationError(self.error_messages["invalid"], code="invalid")
        return parse_moment(value)


class MomentFilter(django_filters.Filter):
    field_class = MomentField


class PositiveIntegerFilter(django_filters.Filter):
    field_class = forms.IntegerField

    def __init__(self, **kwargs):
        super().__init__(min_value=1, max_value=2**63 - 1, **kwargs)


class OrderingsField(BaseCSVField):
    """Comma-separated names; unlike django-filter's own, an empty name is refused."""

    def clean(self, value):
        if value and not all(value):
            raise forms.ValidationError(self.error_messages["invalid_choice"] % {"value": ""}, code="invalid_choice")
        return super().clean(value)


class AnyOfFilter(django_filters.MultipleChoiceFilter):
    """Keeps rows with one of these values, without django-filter's DISTINCT, which compares rows column by column."""

    def filter(self, queryset, value):
        return queryset.filter(**{f"{self.field_name}__in": value}) if value else queryset


def reversed_order(name: str) -> str:
    return name[1:] if name.startswith("-") else f"-{name}"


class TotalOrderingFilter(django_filters.OrderingFilter):
    """Orders equal values by id, or pages would repeat some rows and skip others; nulls come last.

    `ties` gives other fields than id for an ordering's equal values, where an index holds them in that order.
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
    """Filters by `created_after` and `created_before`, inclusive; a date means its whole day, UTC."""

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
