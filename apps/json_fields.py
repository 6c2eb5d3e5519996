"""Serializer fields that take a value only in its own JSON type, as the published schema says."""

from rest_framework import serializers


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
