"""JSON bodies within limits, and JSON responses whatever the Accept header says."""

import json
import math
import re
from io import BytesIO

from django.utils.translation import gettext as _
from rest_framework.exceptions import ParseError, UnsupportedMediaType
from rest_framework.negotiation import BaseContentNegotiation, DefaultContentNegotiation
from rest_framework.parsers import JSONParser, get_encoding
from rest_framework.utils.json import strict_constant

OTHER_NAMES_OF_JSON = re.compile(r"text/json|application/[\w.-]+\+json", re.ASCII | re.IGNORECASE)


class BoundedJSONParser(JSONParser):
    """Parses JSON as many clients write it: with a byte order mark, in any charset that Python knows.

    REST framework limits the size, by DATA_UPLOAD_MAX_MEMORY_SIZE, but crashes on a deeply nested body, silently takes
    the last of two equal names, and reports errors in English only.
    """

    def parse(self, stream, media_type=None, parser_context=None):
        if isinstance(stream, BytesIO) and not stream.getbuffer():
            return {}  # the same as no body: a chunked one may turn out to be empty
        try:
            text = stream.read().decode(get_encoding(parser_context or {})).removeprefix("\ufeff")
        except (ParseError, UnicodeError) as exc:
            raise ParseError(_("The body is not text in the charset of its Content-Type, or in UTF-8.")) from exc
        try:
            return json.loads(text, parse_float=_finite, parse_constant=strict_constant, object_pairs_hook=_object)
        except RepeatedName as exc:
            raise ParseError(_("The body has the name {name} twice in one object.").format(name=exc)) from exc
        except json.JSONDecodeError as exc:
            sentence = _("The body is not well-formed JSON: see line {line}, column {column}.")
            raise ParseError(sentence.format(line=exc.lineno, column=exc.colno)) from exc
        except (ValueError, RecursionError) as exc:  # NaN, a number of very many digits, too many brackets
            raise ParseError(_("The body is not well-formed JSON.")) from exc


class RepeatedName(Exception):
    """An object has a name twice; the exception's text is the name, in quotes."""


def _object(pairs: list) -> dict:
    made = dict(pairs)
    if len(made) < len(pairs):
        seen = set()
        for name, _value in pairs:
            if name in seen:
                raise RepeatedName(json.dumps(name, ensure_ascii=False))
            seen.add(name)
    return made


def _finite(digits: str) -> float:
    """Returns the number. Raises ValueError for 1e999, which would be infinite, and JSON has no infinity."""
    number = float(digits)
    if math.isinf(number):
        raise ValueError(digits)
    return number


class JsonNegotiation(BaseContentNegotiation):
    """Always responds with JSON, whatever Accept says, as GitHub does: problem details could not be negotiated."""

    def select_parser(self, request, parsers):
        """Returns the parser of the Content-Type; a view's JSON parser also takes JSON's other names."""
        negotiation, content_type = DefaultContentNegotiation(), request.content_type
        if len(content_type) <= negotiation.max_media_type_length:
            named = content_type.partition(";")[0]
            for each in parsers:  # most clients write it as a parser does, and to compare takes REST framework 25 calls
                if each.media_type == named:
                    return each
        parser = negotiation.select_parser(request, parsers)
        of_json = next((each for each in parsers if each.media_type == JSONParser.media_type), None)
        if parser is not None or of_json is None:
            return parser
        if OTHER_NAMES_OF_JSON.fullmatch(request.content_type.partition(";")[0].strip()):
            return of_json
        raise UnsupportedMediaType(request.content_type, _("Send JSON, with `Content-Type: application/json`."))

    def select_renderer(self, request, renderers, format_suffix=None):
        return renderers[0], renderers[0].media_type
