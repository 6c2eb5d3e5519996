"""The page behind a guest link, /u/<token>/: which of its states it is in, and the headers that it has in each; and the
page behind the link to unsubscribe.

The token is in its address, so no other site may learn that: no Referer, no search engine, no cache.
"""

from csp.constants import NONE, SELF
from csp.decorators import csp
from django.conf import settings
from django.shortcuts import render
from django.utils.decorators import method_decorator
from django.views import View
from django_permissions_policy.decorators import permissions_policy_override

from apps.common.mail.subscriptions import SubscriptionPage
from apps.guests.models import GuestLink, LinkState
from apps.guests.subscriptions import link_of, set_subscribed

UNKNOWN = "unknown"
STATUSES = {
    UNKNOWN: 404,
    LinkState.OPEN: 200,
    LinkState.COMPLETED: 200,
    LinkState.CANCELLED: 410,
    LinkState.EXPIRED: 410,
    LinkState.REVOKED: 410,
}
POLICY = {
    "default-src": [NONE],
    "script-src": [SELF],
    "style-src": [SELF],
    "img-src": [SELF, "blob:", settings.DELIVERY_ORIGIN],
    "connect-src": [SELF],
    "form-action": [SELF],
    "base-uri": [NONE],
    "frame-ancestors": [NONE],
}
PERMISSIONS = settings.PERMISSIONS_POLICY | {"camera": ["self"], "geolocation": ["self"]}
HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex",
}


@method_decorator([csp(POLICY), permissions_policy_override(PERMISSIONS)], name="dispatch")
class GuestPage(View):
    """`link` is the one of the address, None if there is none; `state` a LinkState or UNKNOWN."""

    http_method_names = ["get", "head", "options"]

    def setup(self, request, *args, token, **kwargs):
        super().setup(request, *args, **kwargs)
        self.link = GuestLink.objects.find(token)
        self.state = self.link.state if self.link else UNKNOWN

    def dispatch(self, request, *args, **kwargs):
        response = super().dispatch(request, *args)
        for name, value in HEADERS.items():
            response.headers[name] = value
        return response

    def get(self, request):
        if request.method == "GET" and self.state in (LinkState.OPEN, LinkState.COMPLETED):
            self.link.remember_use()
        context = {"state": self.state, "link": self.link, "ticket": self.link and self.link.ticket}
        return render(request, "guests/page.html", context, status=STATUSES[self.state])


class GuestEmailsPage(SubscriptionPage):
    find = staticmethod(link_of)
    set_subscribed = staticmethod(set_subscribed)
    template = "guests/emails_page.html"
