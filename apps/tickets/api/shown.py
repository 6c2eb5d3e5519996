"""Serializers for showing alone, whose fields say everything about themselves once, in one line.

    width = shown(IntegerField, 4032, help_text="In pixels, as a person sees the photo.")

From it follow the JSON, the published schema (drf-yasg reads the field), its example and the fields that the Postman
collection expects.
"""

from collections.abc import Callable
from functools import cache
from operator import attrgetter

from rest_framework import serializers
from rest_framework.reverse import reverse

AS_THEY_ARE = (
    serializers.BooleanField,
    serializers.CharField,
    serializers.ChoiceField,
    serializers.DictField,
    serializers.IntegerField,
    serializers.ListField,
)


def shown(field: type, example, *, read: Callable | None = None, route: str = "", **options) -> serializers.Field:
    """Returns a field of this class for a ShownSerializer, with the value that it has in the schema's example.

    Its value is the attribute of its name, or that of `source`; what `read(instance)` returns; or the absolute URL of
    `route` for this instance's id, as `ticket_id`. `options` are those of REST framework, such as `allow_null`.
    """
    made = field(read_only=True, **options)
    made.example, made.read, made.route = example, read, route
    return made


class ShownSerializer(serializers.Serializer):
    """Returns what REST framework does for these fields, several times as fast: it makes them anew for each response,
    which costs more than the response's queries.
    """

    @classmethod
    def example(cls, **changes) -> dict:
        """Returns what the fields give as their examples, and `changes` for others."""
        return {name: field.example for name, field in cls._declared_fields.items()} | changes

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Returns the names of the fields, in their order."""
        return tuple(cls._declared_fields)

    def to_representation(self, instance):
        readers, routes = _compiled(type(self))
        values = {name: read(instance) for name, read in readers}
        for name, route in routes:
            kwargs = {"ticket_id": instance.pk}
            values[name] = reverse(route, kwargs=kwargs, request=self.context.get("request"))
        return values


@cache
def _compiled(serializer: type[ShownSerializer]) -> tuple[list[tuple[str, Callable]], list[tuple[str, str]]]:
    """Returns (name, reader) of each field, and (name, route) of those whose URL takes the request."""
    fields = serializer._declared_fields.items()
    return (
        [(name, _reader_of(name, field)) for name, field in fields],
        [(name, field.route) for name, field in fields if field.route],
    )


def _reader_of(name: str, field: serializers.Field) -> Callable:
    if field.route:
        return lambda instance: None  # keeps the place among the others
    read = field.read or attrgetter(field.source or name)
    if isinstance(field, AS_THEY_ARE):
        return read
    write = WRITERS.get(type(field), field.to_representation)
    return lambda instance: None if (value := read(instance)) is None else write(value)


def timestamp(moment) -> str:
    """As REST framework writes it: ISO 8601, with Z for UTC."""
    return moment.isoformat().replace("+00:00", "Z")


WRITERS = {serializers.DateTimeField: timestamp, serializers.UUIDField: str}
