"""Guest links through the API, for the owner of their ticket: make one, list them, read one, revoke one."""

from functools import partial

from django.shortcuts import get_object_or_404
from django.utils.translation import get_language
from drf_yasg.utils import swagger_auto_schema
from rest_framework import status
from rest_framework.generics import ListAPIView, RetrieveAPIView
from rest_framework.response import Response
from rest_framework.reverse import reverse

from apps.common.api.list_query import ListQueryMixin
from apps.common.api.pagination import NumberedPages
from apps.guests import schema
from apps.guests.links import make_link, qr_svg, revoke, token_of, url_of
from apps.guests.models import GuestLink
from apps.guests.serializers import GuestLinkSerializer, NewGuestLinkSerializer
from apps.tickets.api.kept_answers import answer_once
from apps.tickets.models import Ticket


class OwnLinks:
    """Mixin of views: the links of one ticket, for its owner alone. Staff have the admin."""

    queryset = GuestLink.objects.none()
    serializer_class = GuestLinkSerializer

    def get_ticket(self) -> Ticket:
        return get_object_or_404(Ticket.objects.owned_by(self.request.user), pk=self.kwargs["ticket_id"])

    def get_queryset(self):
        return self.get_ticket().guest_links.with_photos()


class GuestLinksView(OwnLinks, ListQueryMixin, ListAPIView):
    pagination_class = NumberedPages
    throttle_scope = "tickets"

    @swagger_auto_schema(**schema.LIST_LINKS)
    def get(self, request, ticket_id):
        return super().get(request)

    @swagger_auto_schema(**schema.MAKE_LINK)
    def post(self, request, ticket_id):
        ticket = self.get_ticket()
        make = partial(self._make, ticket)
        return self._with_secrets(answer_once(request, check=self._checked, make=make))

    def _checked(self) -> dict:
        new = NewGuestLinkSerializer(data=self.request.data)
        new.is_valid(raise_exception=True)
        return {"language": get_language()} | new.validated_data

    def _make(self, ticket: Ticket, fields: dict) -> Response:
        link = make_link(ticket=ticket, created_by=self.request.user, **fields)
        link.photos = 0
        location = reverse(
            "guest-link", kwargs={"ticket_id": ticket.pk, "guest_link_id": link.pk}, request=self.request
        )
        return Response(self.get_serializer(link).data, status.HTTP_201_CREATED, headers={"Location": location})

    def _with_secrets(self, response: Response) -> Response:
        """Returns the response with what is shown only once: it is kept in no other form than encrypted."""
        token = token_of(GuestLink.objects.get(pk=response.data["id"]))
        url = url_of(token, self.request)
        response.data |= {"url": url, "token": token, "qr_svg": qr_svg(url)}
        response.headers["Cache-Control"] = "no-store"
        return response


class GuestLinkView(OwnLinks, RetrieveAPIView):
    lookup_url_kwarg = "guest_link_id"

    @swagger_auto_schema(**schema.READ_LINK)
    def get(self, request, ticket_id, guest_link_id):
        return super().get(request)

    @swagger_auto_schema(**schema.REVOKE_LINK)
    def delete(self, request, ticket_id, guest_link_id):
        revoke(self.get_object())
        return Response(status=status.HTTP_204_NO_CONTENT)
