"""Django's middleware for sessions, of which requests of the API know nothing: they pass it by. And what pages answer
while the database or Redis is unavailable, as the API does in apps/common/api/problems.py."""

import logging

from django.contrib.auth import middleware as auth
from django.contrib.messages import middleware as messages
from django.contrib.sessions import middleware as sessions
from django.views.defaults import server_error

from apps.common.observability.unforeseen import is_foreseen

logger = logging.getLogger(__name__)

RETRY_AFTER_SECONDS = 5


class ForPages:
    """Mixin of middleware."""

    def __call__(self, request):
        if request.path_info.startswith("/api/"):
            return self.get_response(request)
        return super().__call__(request)


class SessionMiddleware(ForPages, sessions.SessionMiddleware):
    pass


class AuthenticationMiddleware(ForPages, auth.AuthenticationMiddleware):
    pass


class MessageMiddleware(ForPages, messages.MessageMiddleware):
    pass


class UnavailableMiddleware:
    """Without it, each page that is asked for meanwhile would be logged as a crash, with a traceback."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        return self.get_response(request)

    def process_exception(self, request, exception):
        if not is_foreseen(exception):
            return None
        logger.error("a backing service is unavailable: %s", type(exception).__name__)
        response = server_error(request)
        response.status_code = 503
        response.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
        return response
