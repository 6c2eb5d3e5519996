"""Ids within a path."""

from django.urls import register_converter
from django.urls.converters import UUIDConverter


class AnyCaseUUIDConverter(UUIDConverter):
    """Django's converter, for upper-case digits too, as RFC 9562 requires. hopla writes lower case."""

    regex = UUIDConverter.regex.replace("a-f", "a-fA-F")


register_converter(AnyCaseUUIDConverter, "any_case_uuid")
