"""Polls that find nothing new, answered 304 by one query, before anything else is done for them.

Most requests of a client that waits for its photos are such polls. REST framework and the rest of the middleware would
take longer over one than over the answer it need not give. Only the plain case ends here, one's own ticket asked for by
a token in use; whatever differs takes the long way, which decides everything by itself, and answers the same. Apps that
know other tokens register them.
"""

import re
from collections.abc import Callable
from datetime import datetime
from functools import cache

from django.db import DatabaseError
from django.db.models import BigIntegerField, CharField, DateTimeField, PositiveIntegerField
from django.http import HttpResponseNotModified
from django.urls import ResolverMatch, get_script_prefix, resolve, reverse
from django.utils import timezone
from django.utils.translation import get_language_from_request
from knox.crypto import hash_token
from knox.models import get_token_model
from psycopg_pool import PoolTimeout

from apps.common.db.compiled_queries import CompiledQuery, Parameter
from apps.tickets.api.tickets import CACHE_CONTROL

POLLED = ("ticket", "ticket-status")
# Numbers that fit their columns, and a language; a client sends back the ETag as it got it.
ETAG = re.compile(r'"([1-9]\d{0,17})-([1-9]\d{0,8})-([a-z-]+)"')
TOKEN = re.compile(r"Token ([0-9a-f]+)")


def _ticket_that_has_not_changed():
    tokens = get_token_model().objects.live(
        digest=Parameter("digest", CharField()), now=Parameter("now", DateTimeField())
    )
    return (
        tokens.filter(
            # Else the long way writes down that it is in use.
            last_used_at__gte=Parameter("used_since", DateTimeField()),
            user__is_active=True,
            # In one call: both hold for the same ticket.
            user__tickets__pk=Parameter("ticket_id", BigIntegerField()),
            user__tickets__version=Parameter("version", PositiveIntegerField()),
        )
        .order_by()
        .values_list("user__tickets__pk")
    )


_UNCHANGED = CompiledQuery(_ticket_that_has_not_changed)


def _is_unchanged_for_token(token: str, *, route_name: str, now: datetime, **known) -> bool:
    used_since = now - get_token_model().LAST_USE_PRECISION
    return _UNCHANGED.first(**known, digest=hash_token(token), now=now, used_since=used_since) is not None


# What an Authorization may look like, with the token as its first group, and who knows whether it may read the ticket.
_kinds: list[tuple[re.Pattern, Callable[..., bool]]] = [(TOKEN, _is_unchanged_for_token)]


def register(form: re.Pattern, is_unchanged_for: Callable[..., bool]) -> None:
    """`is_unchanged_for(token, *, route_name, now, ticket_id, version)`: whether the token is good for a poll of that
    ticket, is of its owner and known to be in use, and the ticket has that version.
    """
    _kinds.append((form, is_unchanged_for))


class PollsMiddleware:
    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        if "HTTP_IF_NONE_MATCH" in request.META and request.method == "GET" and is_unchanged(request):
            etag = request.META["HTTP_IF_NONE_MATCH"]
            headers = {"ETag": etag, "Cache-Control": CACHE_CONTROL, "Vary": "Accept-Language"}
            return HttpResponseNotModified(headers=headers)
        return self.get_response(request)


def is_unchanged(request) -> bool:
    """Whether it asks, with a token that is good, for a ticket of its owner that is still as If-None-Match says.

    False also where this cannot be told here. Where True, the request has its `resolver_match`, for the metrics.
    """
    etag = ETAG.fullmatch(request.META["HTTP_IF_NONE_MATCH"])
    if not etag:
        return False
    sent = request.META.get("HTTP_AUTHORIZATION", "")
    token, is_unchanged_for = next(
        ((found, who) for form, who in _kinds if (found := form.fullmatch(sent))), (None, None)
    )
    if token is None:
        return False
    number, version, language = etag.groups()
    match = _match(request.path_info, number)
    if match is None or language != get_language_from_request(request):  # as LanguageMiddleware finds it
        return False
    known = {"ticket_id": int(number), "version": int(version)}
    try:
        unchanged = is_unchanged_for(token[1], route_name=match.view_name, now=timezone.now(), **known)
    except (DatabaseError, PoolTimeout):
        return False  # the long way says what is the matter
    if unchanged:
        request.resolver_match = match
    return unchanged


def _match(path: str, number: str) -> ResolverMatch | None:
    """What this path leads to, if it is a poll of the ticket of that number.

    Compared with the two paths there are: Django's search through all of them takes a seventh of such an answer.
    """
    for before, after, match in _polled():
        if path == f"{before}{number}{after}":
            return match
    return None


@cache
def _polled() -> list[tuple[str, str, ResolverMatch]]:
    """What stands before and after the number of a ticket in each path, and what the path leads to for some number."""
    paths = [reverse(name, kwargs={"ticket_id": 1}).removeprefix(get_script_prefix()[:-1]) for name in POLLED]
    return [(*path.rpartition("1")[::2], resolve(path)) for path in paths]
