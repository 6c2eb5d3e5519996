"""Ids within a path."""

from django.urls import register_converter
from django.urls.converters import UUIDConverter


class AnyCaseUUIDConverter(UUIDConverter):
    """As Django's, for hexadecimal digits in capitals too: RFC 9562 has them mean the same. Ours are written small."""

    regex = UUIDConverter.regex.replace("a-f", "a-fA-F")


register_converter(AnyCaseUUIDConverter, "any_case_uuid")
