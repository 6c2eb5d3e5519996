"""The WSGI application that gunicorn serves."""

import os
import re

import django
from django.core.handlers.wsgi import WSGIHandler, WSGIRequest
from django.utils.http import parse_header_parameters

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hopla.settings")

ENCODED_PARAMETER = re.compile(r"\*\d*\*?\s*=")  # name*= and name*0= of RFC 2231


class Request(WSGIRequest):
    """Django's own, but safe from a malformed Content-Type.

    Django and REST framework raise on encoded parameters that the standard library cannot read (an unknown charset,
    parts in the wrong order), before any code could turn that into a response.
    """

    def __init__(self, environ):
        content_type = environ.get("CONTENT_TYPE", "")
        if ENCODED_PARAMETER.search(content_type) and not is_readable(content_type):
            environ["CONTENT_TYPE"] = content_type.partition(";")[0]
        super().__init__(environ)


class Handler(WSGIHandler):
    request_class = Request


def is_readable(header: str) -> bool:
    try:
        parse_header_parameters(header)
    except (ValueError, TypeError):
        return False
    return True


django.setup(set_prefix=False)
application = Handler()
