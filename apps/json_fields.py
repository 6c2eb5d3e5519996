"""How the fields of a JSON body are read: each value in its own JSON type alone, null as if it had been left out."""

from collections.abc import Mapping
from datetime import datetime, time, timezone

from rest_framework import serializers

from apps.moments import NOT_A_MOMENT, parse_moment


class StrictIntegerField(serializers.IntegerField):
    """A JSON integer: "7", 7.5 and true are refused, where DRF's own field would take them."""

    def to_internal_value(self, data):
        if type(data) is not int:
            self.fail("invalid")
        return super().to_internal_value(data)


class StrictCharField(serializers.CharField):
    """A JSON string: 7 is refused, where DRF's own field would take it for "7"."""

    def to_internal_value(self, data):
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class MomentField(serializers.DateTimeField):
    """A timestamp as apps/moments.py reads it, the same on every Python; a date stands for its first moment, UTC."""

    default_error_messages = {"invalid": NOT_A_MOMENT}

    def to_internal_value(self, value):
        if not isinstance(value, str):
            self.fail("invalid")
        try:
            moment = parse_moment(value.strip())
        except ValueError:
            self.fail("invalid")
        return moment if isinstance(moment, datetime) else datetime.combine(moment, time.min, timezone.utc)


class OptionalNullMixin:
    """For a serializer: null for a field that may be left out is as if it were left out, as many clients write it."""

    def get_fields(self):
        fields = super().get_fields()
        for field in fields.values():
            if not (field.required or field.read_only):
                field.allow_null = True  # for the schema; below, nulls are gone before a field sees them
        return fields

    def to_internal_value(self, data):
        if isinstance(data, Mapping):
            required = {name for name, field in self.fields.items() if field.required}
            data = {name: value for name, value in data.items() if value is not None or name in required}
        return super().to_internal_value(data)
