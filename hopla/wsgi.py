"""The WSGI application that gunicorn serves."""

import os
import re

import django
from django.conf import settings
from django.core.handlers.base import reset_urlconf
from django.core.handlers.wsgi import WSGIHandler, WSGIRequest
from django.core.signals import request_finished, request_started
from django.db import close_old_connections, reset_queries
from django.urls import get_resolver
from django.utils.http import parse_header_parameters

from apps.common.db.release import release_connection

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


def end_requests_briefly() -> None:
    """Have one call end the use of the database, where Django does it three times, and looks up a connection that costs
    ten calls each time: at a request's start, too, where its thread has none, as the request before gave it back.

    No request has another URLconf than the settings', so none has to be reset.
    """
    request_started.disconnect(close_old_connections)
    request_finished.disconnect(close_old_connections)
    request_finished.disconnect(reset_urlconf)
    if not settings.DEBUG:  # no query is kept that would have to be forgotten
        request_started.disconnect(reset_queries)
    request_finished.connect(give_connection_back)


def give_connection_back(**kwargs) -> None:
    release_connection()


end_requests_briefly()
django.setup(set_prefix=False)
get_resolver().url_patterns  # noqa: B018  loads all views, or the first request of each process takes 0.15 s longer
application = Handler()
