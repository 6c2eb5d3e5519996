"""Serializer fields that take a value only in its own JSON type, as the published schema says."""

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
