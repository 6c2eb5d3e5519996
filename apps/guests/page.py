"""The page behind a guest link, /u/<token>/: which of its states it is in, and the headers that it has in each; and the
page behind the link to unsubscribe.

The token is in its address, so no other site may learn that: no Referer, no search engine, no cache. That address is
also all that lets anyone send photos here: the page has no cookie that another site could abuse. Its forms carry a
proof that they come from it all the same, as Django's own check fails where browsers, told to send no Referer, name no
Origin either.
"""

import re
from urllib.parse import urlsplit

from csp.constants import NONE, SELF
from csp.decorators import csp
from django.conf import settings
from django.core.signing import BadSignature, Signer
from django.http import HttpResponseRedirect
from django.shortcuts import render
from django.urls import resolve, reverse
from django.utils.decorators import method_decorator
from django.utils.translation import gettext
from django.views import View
from django.views.decorators.csrf import csrf_exempt
from django_permissions_policy.decorators import permissions_policy_override

from apps.common.mail.subscriptions import SubscriptionPage
from apps.guests.look import look
from apps.guests.models import GuestLink, LinkState
from apps.guests.rights import Guest
from apps.guests.subscriptions import link_of, set_subscribed
from apps.guests.tiles import tiles_of
from apps.guests.words import ENDS, arrived, words
from apps.tickets.api.images import ImagesView
from apps.tickets.models import read_ticket_with_images
from apps.tickets.models.statuses import ImageStatus
from apps.tickets.storage.cloudinary import upload_url

UNKNOWN = "unknown"
STATUSES = {
    UNKNOWN: 404,
    LinkState.OPEN: 200,
    LinkState.COMPLETED: 200,
    LinkState.CANCELLED: 410,
    LinkState.EXPIRED: 410,
    LinkState.REVOKED: 410,
}
SHOWS_PHOTOS = (LinkState.OPEN, LinkState.COMPLETED)
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
# What refuses a photo because another one came first.
CAME_SECOND = ("slot_taken", "ticket_full", "slot_required")

_proofs = Signer(salt="apps.guests.page")


class SeeOther(HttpResponseRedirect):
    status_code = 303


def policy() -> dict[str, list[str]]:
    """POLICY, and with direct uploads the host to which the script posts photos."""
    if not settings.DIRECT_UPLOADS:
        return POLICY
    url = urlsplit(upload_url())
    return POLICY | {"connect-src": [*POLICY["connect-src"], f"{url.scheme}://{url.netloc}"]}


@method_decorator([csrf_exempt, permissions_policy_override(PERMISSIONS)], name="dispatch")
class GuestPage(View):
    """`link` is the one of the address, None if there is none; `state` a LinkState or UNKNOWN."""

    http_method_names = ["get", "head", "post", "options"]

    def setup(self, request, *args, token, **kwargs):
        super().setup(request, *args, **kwargs)
        self.token = token
        self.find_link()

    def find_link(self) -> None:
        self.link = GuestLink.objects.find(self.token)
        self.state = self.link.state if self.link else UNKNOWN

    def dispatch(self, request, *args, **kwargs):
        response = csp(policy())(super().dispatch)(request, *args)
        for name, value in HEADERS.items():
            response.headers[name] = value
        return response

    def get(self, request):
        if request.method == "GET" and self.state in SHOWS_PHOTOS:
            self.link.remember_use()
        return self.shown(status=STATUSES[self.state])

    def post(self, request):
        """Take a photo from the plain form of a tile, as the API takes one, and come back to that tile."""
        if self.state != LinkState.OPEN:
            return self.shown_as_it_is_now()
        place = number_of(request.GET.get("place", ""))
        if not self.is_own_form(request):
            return self.shown(status=403, place=place, refusal=gettext("Please send the photo once more."))
        answer = self.post_to_api(request)
        if answer.status_code < 400:
            return SeeOther(f"{request.path}#place-{place}" if place else request.path)
        self.find_link()
        if self.state != LinkState.OPEN:  # that is why
            return self.shown_as_it_is_now()
        refusal = answer.data["detail"]
        if answer.data["code"] in CAME_SECOND:
            refusal = words()["taken"]
        response = self.shown(status=answer.status_code, place=place, refusal=refusal)
        if "Retry-After" in answer.headers:
            response.headers["Retry-After"] = answer.headers["Retry-After"]
        return response

    def is_own_form(self, request) -> bool:
        if request.headers.get("Sec-Fetch-Site", "same-origin") != "same-origin":
            return False
        try:
            return _proofs.unsign(request.GET.get("proof", "")) == str(self.link.pk)
        except BadSignature:
            return False

    def post_to_api(self, request):
        """Returns what the API answers to the form, whose fields are those of its own: it streams the photo, and no
        rule stands twice."""
        path = reverse("ticket-images", args=[self.link.ticket_id])
        request.META["HTTP_AUTHORIZATION"] = f"Guest {self.token}"
        request.__dict__.pop("headers", None)  # as they were before, if anyone has read them
        request.resolver_match = resolve(path)
        return ImagesView.as_view()(request, ticket_id=self.link.ticket_id)

    def shown_as_it_is_now(self):
        return self.shown(status=409 if self.state == LinkState.COMPLETED else STATUSES[self.state])

    def shown(self, *, status: int, place: int = 0, refusal: str = ""):
        context = {"state": self.state, "look": look()}
        if self.state in SHOWS_PHOTOS:
            context |= self.what_is_wanted(place, refusal)
        context["end"] = ENDS.get(self.state)
        return render(self.request, "guests/page.html", context, status=status)

    def what_is_wanted(self, place: int, refusal: str) -> dict:
        link = self.link
        guest = Guest(guest_link_id=link.pk, ticket_id=link.ticket_id, pk=link.ticket.owner_id)
        ticket = read_ticket_with_images(link.ticket_id, reader=guest)
        awaited = sum(image.status == ImageStatus.AWAITING_UPLOAD for image in ticket.images_read)
        received = ticket.counted.received - awaited
        has_tile = 1 <= place <= ticket.num_images
        origin = f"{self.request.scheme}://{self.request.get_host()}"
        return {
            "ticket": ticket,
            "link": link,
            "tiles": tiles_of(ticket, origin=origin, refusals={place: refusal} if has_tile else {}),
            "refusal": "" if has_tile else refusal,
            "received": received,
            "arrived": arrived(received=received, number=ticket.num_images),
            "proof": _proofs.sign(link.pk),
            "script": {
                "ticket": reverse("ticket", args=[ticket.pk]),
                "status": reverse("ticket-status", args=[ticket.pk]),
                "uploads": reverse("ticket-uploads", args=[ticket.pk]),
                "direct": settings.DIRECT_UPLOADS,
                "state": self.state,
                "words": words(),
            },
        }


def number_of(place: str) -> int:
    """Returns the number of a place as an address has it, 0 for anything else."""
    return int(place) if re.fullmatch(r"[1-9][0-9]{0,5}", place) else 0


class GuestEmailsPage(SubscriptionPage):
    find = staticmethod(link_of)
    set_subscribed = staticmethod(set_subscribed)
    template = "guests/emails_page.html"
