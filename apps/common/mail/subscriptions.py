"""Readers unsubscribe from e-mails, and subscribe again, by a link in each of them: without logging in."""

from collections.abc import Callable

from django.core.signing import BadSignature, Signer
from django.shortcuts import render
from django.urls import reverse
from django.views import View

from apps.common.public_url import public_url


class SubscriptionLinks:
    """Signed links to rows. `salt` tells one kind of them from others, `route` is that of their SubscriptionPage."""

    def __init__(self, salt: str, *, route: str):
        self._signer, self._route = Signer(salt=salt), route

    def url_of(self, pk) -> str:
        return public_url(reverse(self._route, kwargs={"token": self._signer.sign(pk)}))

    def pk_in(self, token: str) -> str | None:
        """Returns the key in a link's token, or None if the token is not signed by hopla."""
        try:
            return self._signer.unsign(token)
        except BadSignature:
            return None


def one_click(url: str) -> dict[str, str]:
    """Returns the headers with which mail programs show a button of their own (RFC 8058)."""
    return {"List-Unsubscribe": f"<{url}>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"}


class SubscriptionPage(View):
    """The page behind such a link. GET shows two buttons (mail scanners follow links); POST is also what a mail
    program's own button sends: no log-in, no cookie, no CSRF token.

    `find` returns what a token is of, or None; `set_subscribed` is called with that and a bool. The template gets it as
    `row`.
    """

    find: Callable
    set_subscribed: Callable
    template: str

    def get(self, request, token):
        return self._show(request, self.find(token))

    def post(self, request, token):
        row = self.find(token)
        if row is not None:
            self.set_subscribed(row, request.POST.get("subscribe") == "yes")
        return self._show(request, row)

    def _show(self, request, row):
        return render(request, self.template, {"row": row}, status=200 if row else 404)
