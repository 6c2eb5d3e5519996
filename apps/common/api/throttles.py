"""Rate limits in Redis: a view names its `throttle_scope`, settings.THROTTLE_RATES names the rate of each scope."""

import hashlib
import math
import time

from django.conf import settings
from limits import parse
from limits.storage import RedisStorage
from limits.strategies import MovingWindowRateLimiter
from rest_framework.throttling import BaseThrottle

from apps.common.mail.addresses import one_form
from apps.common.redis.client import redis_at


class ScopedThrottle(BaseThrottle):
    """Limits the POST requests of a scope by user, or before log-in by address and, where one is named, by account.

    The address is that of the connection or, behind proxies, TRUSTED_PROXY_HOPS hops back (NUM_PROXIES of REST
    framework). A refusal is a 429 with Retry-After.
    """

    def allow_request(self, request, view) -> bool:
        rate = settings.THROTTLE_RATES.get(getattr(view, "throttle_scope", None))
        if not rate or request.method != "POST":
            return True
        limit = parse(rate)
        self._wait = None
        for who in self._who(request):
            key = (view.throttle_scope, who)
            if not _limiter().hit(limit, *key):
                resets_at = _limiter().get_window_stats(limit, *key).reset_time
                self._wait = max(1, math.ceil(resets_at - time.time()))
                return False
        return True

    def wait(self):
        return self._wait

    def _who(self, request) -> list[str]:
        if request.user and request.user.is_authenticated:
            return [f"user:{request.user.pk}"]
        who = [f"address:{self.get_ident(request)}"]
        account = self._account(request)
        if account:
            who.append("account:" + hashlib.sha256(account.lower().encode()).hexdigest())
        return who

    @staticmethod
    def _account(request) -> str:
        """Returns the account of a log-in attempt, so that guessing one password from many addresses is limited too."""
        if not isinstance(request.data, dict):
            return ""
        name = request.data.get("username") or request.data.get("email")
        return one_form(name) if isinstance(name, str) else ""


def _limiter() -> MovingWindowRateLimiter:
    pool = redis_at(settings.REDIS_URL).connection_pool
    return MovingWindowRateLimiter(RedisStorage("redis://", connection_pool=pool))
