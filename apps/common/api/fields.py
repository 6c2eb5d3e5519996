"""What the serializers of all apps share: fields that accept only their own JSON type, as the published schema says,
and how `null` and fields that cannot be changed are handled.
"""

from collections.abc import Mapping
from datetime import datetime, time
from datetime import timezone as datetime_timezone

from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail

from apps.common.api.timestamps import NOT_A_MOMENT, parse_moment


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


class StrictBooleanField(serializers.BooleanField):
    """A JSON boolean: "yes", 1 and "true" are refused, where DRF's own field would take them."""

    def to_internal_value(self, data):
        if not isinstance(data, bool):
            self.fail("invalid", input=data)
        return data


class MomentField(serializers.DateTimeField):
    """A timestamp as apps/common/api/timestamps.py parses it, the same on every Python; a date means its start, UTC."""

    default_error_messages = {"invalid": NOT_A_MOMENT}

    def to_internal_value(self, value):
        if not isinstance(value, str):
            self.fail("invalid")
        try:
            moment = parse_moment(value.strip())
        except ValueError:
            self.fail("invalid")
        return moment if isinstance(moment, datetime) else datetime.combine(moment, time.min, datetime_timezone.utc)


class FutureMomentField(MomentField):
    """A moment that is still to come."""

    default_error_messages = {"in_the_past": _("This moment is in the past.")}

    def to_internal_value(self, value):
        moment = super().to_internal_value(value)
        if moment <= timezone.now():
            self.fail("in_the_past")
        return moment


class NullIsLeftOut:
    """Mixin of serializers: `null` for an optional field is treated as if it were left out."""

    def get_fields(self):
        fields = super().get_fields()
        for field in fields.values():
            if _is_optional(field):
                field.allow_null = True  # the schema says so, too
        return fields

    def to_internal_value(self, data):
        if isinstance(data, Mapping):
            optional = {name for name, field in self.fields.items() if _is_optional(field)}
            data = {name: value for name, value in data.items() if value is not None or name not in optional}
        return super().to_internal_value(data)


def _is_optional(field: serializers.Field) -> bool:
    return not (field.required or field.read_only)


class RefusesFixedFields:
    """Mixin of serializers: fields that cannot be changed are refused, `not_changeable`, not silently ignored. These
    are the read-only ones and `fixed_fields`. Unknown fields are ignored, as everywhere.
    """

    fixed_fields: tuple[str, ...] = ()

    def to_internal_value(self, data):
        sent = data if isinstance(data, Mapping) else {}
        read_only = [name for name, field in self.fields.items() if field.read_only]
        faults = {
            name: [ErrorDetail(_("This cannot be changed."), code="not_changeable")]
            for name in dict.fromkeys((*read_only, *self.fixed_fields))
            if name in sent
        }
        try:
            value = super().to_internal_value(data)
        except serializers.ValidationError as exc:
            if not faults:
                raise
            raise serializers.ValidationError(exc.detail | faults) from exc
        if faults:
            raise serializers.ValidationError(faults)
        return value
