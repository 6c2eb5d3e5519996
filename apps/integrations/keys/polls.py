"""Polls by an API key that find nothing new end as early as those by a token: see apps/tickets/api/polls.py."""

import re
from datetime import datetime

from django.db.models import BigIntegerField, CharField, DateTimeField, PositiveIntegerField

from apps.common.db.compiled_queries import CompiledQuery, Parameter
from apps.integrations.keys.form import KEY, digest_of
from apps.integrations.keys.scopes import scopes_for
from apps.integrations.models import ApiKey

AUTHORIZATION = re.compile(f"Token ({KEY.pattern})")


def _scopes_for_a_ticket_that_has_not_changed():
    keys = ApiKey.objects.working(now=Parameter("now", DateTimeField()))
    return (
        keys.filter(
            digest=Parameter("digest", CharField()),
            last_used_at__gte=Parameter("used_since", DateTimeField()),
            owner__is_active=True,
            owner__tickets__pk=Parameter("ticket_id", BigIntegerField()),
            owner__tickets__version=Parameter("version", PositiveIntegerField()),
        )
        .order_by()
        .values_list("scopes")
    )


_SCOPES = CompiledQuery(_scopes_for_a_ticket_that_has_not_changed)


def is_unchanged_for_key(secret: str, *, route_name: str, now: datetime, **known) -> bool:
    row = _SCOPES.first(**known, digest=digest_of(secret), now=now, used_since=now - ApiKey.LAST_USE_PRECISION)
    return row is not None and not set(scopes_for(route_name, "GET")).isdisjoint(row[0])
