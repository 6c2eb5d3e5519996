"""Tickets through the API: open one, list one's own, read one, watch one."""

from django.http import Http404
from django.utils.cache import get_conditional_response
from django.utils.translation import get_language
from django_filters.rest_framework import DjangoFilterBackend
from drf_yasg.utils import swagger_auto_schema
from rest_framework import status
from rest_framework.generics import GenericAPIView, RetrieveAPIView
from rest_framework.response import Response
from rest_framework.reverse import reverse

from apps.common.api.list_query import ListQueryMixin
from apps.common.db.snapshot import one_snapshot
from apps.tickets.api import schema
from apps.tickets.api.filters import TicketFilter
from apps.tickets.api.kept_answers import answer_once
from apps.tickets.api.pagination import TicketPages
from apps.tickets.api.serializers import (
    NewTicketSerializer,
    TicketDetailSerializer,
    TicketForGuestsSerializer,
    TicketSerializer,
    TicketStatusSerializer,
    TicketWithSlotsSerializer,
)
from apps.tickets.kinds.copying import apply_kind
from apps.tickets.models import (
    Ticket,
    progress_of,
    read_ticket,
    read_ticket_counted,
    read_ticket_with_images,
    slots_now,
)

# Of a ticket and its status: a cache keeps it for one reader, and asks each time whether it still holds.
CACHE_CONTROL = "private, no-cache"


class TicketsView(ListQueryMixin, GenericAPIView):
    """Open a ticket, list one's own."""

    queryset = Ticket.objects.none()  # for the schema; see get_queryset
    serializer_class = TicketSerializer
    filter_backends = [DjangoFilterBackend]
    filterset_class = TicketFilter
    pagination_class = TicketPages
    throttle_scope = "tickets"

    def get_queryset(self):
        tickets = Ticket.objects.visible_to(self.request.user).defer("slots")  # which may be long
        # Staff see everyone's when they name an owner, and otherwise, like anyone, their own.
        return tickets if self.request.query_params.get("owner") else tickets.owned_by(self.request.user)

    @swagger_auto_schema(**schema.LIST_TICKETS)
    def get(self, request):
        with one_snapshot():
            tickets = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
            progress = progress_of(tickets)
        for ticket in tickets:
            ticket.counted = progress[ticket.pk]
        return self.get_paginated_response(self.get_serializer(tickets, many=True).data)

    @swagger_auto_schema(**schema.OPEN_TICKET)
    def post(self, request):
        return answer_once(request, check=self._checked, make=self._open)

    def _checked(self) -> dict:
        new = NewTicketSerializer(data=self.request.data)
        new.is_valid(raise_exception=True)
        return new.validated_data

    def _open(self, fields) -> Response:
        fields = dict(fields)
        if (kind := fields.pop("kind")) is not None:
            fields = apply_kind(fields, kind, get_language())
        ticket = Ticket.objects.create(owner=self.request.user, **fields)
        location = reverse("ticket", kwargs={"ticket_id": ticket.pk}, request=self.request)
        ticket.slots_read = slots_now(ticket.slots, [])
        opened = TicketWithSlotsSerializer(ticket, context=self.get_serializer_context())
        return Response(opened.data, status.HTTP_201_CREATED, headers={"Location": location})


class ReadTicketView(RetrieveAPIView):
    """Base of the views of one ticket, for its owner and staff.

    Returns 304 to a poll that knows the state, before any image is counted. What any other response says is of one
    moment, its ETag included: `read_whole` is one statement.
    """

    queryset = Ticket.objects.none()
    lookup_url_kwarg = "ticket_id"

    def retrieve(self, request, *args, **kwargs):
        try:
            if "HTTP_IF_NONE_MATCH" in request.META:
                etag = self.read(read_ticket).etag
                if is_known(request, etag):
                    return Response(status=status.HTTP_304_NOT_MODIFIED, headers=self.headers_with(etag))
            ticket = self.read(self.read_whole)
        except Ticket.DoesNotExist as exc:
            raise Http404 from exc
        return Response(self.get_serializer(ticket).data, headers=self.headers_with(ticket.etag))

    def read(self, how) -> Ticket:
        return how(self.kwargs["ticket_id"], reader=self.request.user)

    @staticmethod
    def headers_with(etag: str) -> dict:
        return {"ETag": etag, "Cache-Control": CACHE_CONTROL}


def is_known(request, etag: str) -> bool:
    """Returns whether the reader has this state already, by If-None-Match alone."""
    response = get_conditional_response(request._request, etag=etag)
    return response is not None and response.status_code == status.HTTP_304_NOT_MODIFIED


class TicketView(ReadTicketView):
    serializer_class = TicketDetailSerializer
    read_whole = staticmethod(read_ticket_with_images)

    def get_serializer_class(self):
        is_guest = getattr(self.request.user, "guest_link_id", None) is not None  # the schema's request has no user
        return TicketForGuestsSerializer if is_guest else TicketDetailSerializer

    @swagger_auto_schema(**schema.READ_TICKET)
    def get(self, request, ticket_id):
        return super().get(request)


class TicketStatusView(ReadTicketView):
    serializer_class = TicketStatusSerializer
    read_whole = staticmethod(read_ticket_counted)

    @swagger_auto_schema(**schema.WATCH_TICKET)
    def get(self, request, ticket_id):
        return super().get(request)
