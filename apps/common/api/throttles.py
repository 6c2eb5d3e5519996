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

GUESTS = "guests"  # the scope of requests by a guest link


class ScopedThrottle(BaseThrottle):
    """Limits the POST requests of a scope by user, or before log-in by address and, where one is named, by account.

    The address is that of the connection or, behind proxies, TRUSTED_PROXY_HOPS hops back (NUM_PROXIES of REST
    framework). A refusal is a 429 with Retry-After. Guests have a scope of their own, whatever the view's is, and are
    limited by link and by address.
    """

    def allow_request(self, request, view) -> bool:
        scope = getattr(view, "throttle_scope", None)
        self._wait = None
        if scope is not None and request.method == "POST":
            user = request.user  # asked for once: REST framework takes seven calls each time
            link = getattr(user, "guest_link_id", None)  # an anonymous user has none
            if link is None:
                self._wait = seconds_to_wait(scope, self._who(request, user))
            else:
                self._wait = seconds_to_wait(GUESTS, [f"link:{link}", f"address:{self.get_ident(request)}"])
        return self._wait is None

    def wait(self):
        return self._wait

    def _who(self, request, user) -> list[str]:
        if user and user.is_authenticated:
            return [f"user:{user.pk}"]
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


def seconds_to_wait(scope: str, who: list[str]) -> int | None:
    """Count a request by each of these. Returns None if all of them may have it, or else when one may have another."""
    rate = settings.THROTTLE_RATES.get(scope)
    if not rate:
        return None
    limit = parse(rate)
    for each in who:
        if not _limiter().hit(limit, scope, each):
            resets_at = _limiter().get_window_stats(limit, scope, each).reset_time
            return max(1, math.ceil(resets_at - time.time()))
    return None


def _limiter() -> MovingWindowRateLimiter:
    pool = redis_at(settings.REDIS_URL).connection_pool
    return MovingWindowRateLimiter(RedisStorage("redis://", connection_pool=pool))
