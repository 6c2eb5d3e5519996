"""The API speaks JSON: bodies within bounds, answers whatever Accept says."""

from io import BytesIO

from rest_framework.exceptions import ParseError
from rest_framework.negotiation import BaseContentNegotiation, DefaultContentNegotiation
from rest_framework.parsers import JSONParser


class BoundedJSONParser(JSONParser):
    """REST framework bounds the size, by DATA_UPLOAD_MAX_MEMORY_SIZE, but crashes on a body nested too deeply."""

    def parse(self, stream, media_type=None, parser_context=None):
        if isinstance(stream, BytesIO) and not stream.getbuffer():
            return {}  # as no body at all: in chunks it may turn out to be empty
        try:
            return super().parse(stream, media_type, parser_context)
        except RecursionError as exc:
            raise ParseError from exc


class JsonNegotiation(BaseContentNegotiation):
    """The API speaks JSON whatever Accept says, as GitHub's does; problem details could not be asked for otherwise."""

    def select_parser(self, request, parsers):
        return DefaultContentNegotiation().select_parser(request, parsers)

    def select_renderer(self, request, renderers, format_suffix=None):
        return renderers[0], renderers[0].media_type
