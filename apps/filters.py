"""Filters of lists by date and by id, and their order. A bad value is an error, not an empty list."""

from datetime import date, datetime, time, timedelta, timezone

import django_filters
from django import forms
from django.db.models import F
from django.utils.dateparse import parse_date, parse_datetime
from django.utils.translation import gettext_lazy as _


class MomentField(forms.Field):
    """A date such as 2026-11-21, or a timestamp such as 2026-11-21T10:00:00Z (UTC when it names no zone)."""

    default_error_messages = {"invalid": _("Use a date (2026-11-21) or a timestamp (2026-11-21T10:00:00Z).")}

    def to_python(self, value) -> date | datetime | None:
        if value in self.empty_values:
            return None
        try:
            # The + of a zone, sent as it is, arrives as a space.
            parsed = parse_date(value) or parse_datetime(value.replace(" ", "+"))
        except ValueError:
            parsed = None
        if parsed is None or not 1970 <= parsed.year <= 9998:  # further out, arithmetic on it would overflow
            raise forms.ValidationError(self.error_messages["invalid"], code="invalid")
        if isinstance(parsed, datetime) and parsed.tzinfo is None:
            parsed = parsed.replace(tzinfo=timezone.utc)
        return parsed


class MomentFilter(django_filters.Filter):
    field_class = MomentField


class PositiveIntegerFilter(django_filters.Filter):
    field_class = forms.IntegerField

    def __init__(self, **kwargs):
        super().__init__(min_value=1, max_value=2**63 - 1, **kwargs)


class TotalOrderingFilter(django_filters.OrderingFilter):
    """Equal values are ordered by id, or pages would repeat some rows and skip others; what has no value comes last."""

    def filter(self, queryset, value):
        names = [name for name in value or () if name]
        if not names:
            return queryset
        id_like_first = "-id" if names[0].startswith("-") else "id"
        return queryset.order_by(*(self.get_ordering_value(name) for name in names), id_like_first)

    def get_ordering_value(self, param):
        name = super().get_ordering_value(param)
        field = name.lstrip("-")
        if not self.model._meta.get_field(field).null:
            return name
        return F(field).desc(nulls_last=True) if name.startswith("-") else F(field).asc(nulls_last=True)


class CreatedBetween(django_filters.FilterSet):
    """`created_after` and `created_before`, inclusive; a date stands for its whole day, UTC."""

    created_after = MomentFilter(method="since")
    created_before = MomentFilter(method="until")

    def since(self, queryset, name, value):
        start = value if isinstance(value, datetime) else datetime.combine(value, time.min, timezone.utc)
        return queryset.filter(created_at__gte=start)

    def until(self, queryset, name, value):
        if isinstance(value, datetime):
            return queryset.filter(created_at__lte=value)
        return queryset.filter(created_at__lt=datetime.combine(value, time.min, timezone.utc) + timedelta(days=1))
