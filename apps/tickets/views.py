"""The API of tickets and images. Views check who asks and translate; the stories live in the modules beside them."""

from django.conf import settings
from django.db import connection
from django.shortcuts import get_object_or_404
from django_filters.rest_framework import DjangoFilterBackend
from drf_yasg.utils import swagger_auto_schema
from rest_framework import status
from rest_framework.generics import GenericAPIView, ListAPIView, RetrieveAPIView
from rest_framework.response import Response
from rest_framework.reverse import reverse

from apps.tickets import docs, intake
from apps.tickets.errors import ImageEmptyError, ImageTooLargeError, LengthRequiredError
from apps.tickets.filters import TicketFilter
from apps.tickets.models import Image, Ticket, progress_of
from apps.tickets.pagination import NumberedPages, TicketPages
from apps.tickets.parsers import BarePhotoParser, PhotoFormParser
from apps.tickets.serializers import (
    ImageSerializer,
    NewTicketSerializer,
    TicketDetailSerializer,
    TicketSerializer,
    TicketStatusSerializer,
)

# What a multipart body may hold besides the photo: boundaries, part headers, a few short fields.
FORM_OVERHEAD_BYTES = 64 * 1024


class TicketsView(GenericAPIView):
    """Open a ticket, list one's own."""

    queryset = Ticket.objects.none()  # for the schema; see get_queryset
    serializer_class = TicketSerializer
    filter_backends = [DjangoFilterBackend]
    filterset_class = TicketFilter
    pagination_class = TicketPages

    def get_queryset(self):
        tickets = Ticket.objects.visible_to(self.request.user)
        # Staff see everyone's when they name an owner, and otherwise, like anyone, their own.
        return tickets if "owner" in self.request.query_params else tickets.owned_by(self.request.user)

    @swagger_auto_schema(**docs.LIST_TICKETS)
    def get(self, request):
        tickets = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        progress = progress_of(tickets)
        for ticket in tickets:
            ticket.counted = progress[ticket.pk]
        return self.get_paginated_response(self.get_serializer(tickets, many=True).data)

    @swagger_auto_schema(**docs.OPEN_TICKET)
    def post(self, request):
        new = NewTicketSerializer(data=request.data)
        new.is_valid(raise_exception=True)
        ticket = Ticket.objects.create(owner=request.user, **new.validated_data)
        location = reverse("ticket", kwargs={"ticket_id": ticket.pk}, request=request)
        return Response(self.get_serializer(ticket).data, status.HTTP_201_CREATED, headers={"Location": location})


class ReadTicketView(RetrieveAPIView):
    """Base of the views of one ticket that its owner and staff may read."""

    queryset = Ticket.objects.none()
    lookup_url_kwarg = "ticket_id"

    def get_queryset(self):
        return Ticket.objects.visible_to(self.request.user)


class TicketView(ReadTicketView):
    serializer_class = TicketDetailSerializer

    @swagger_auto_schema(**docs.READ_TICKET)
    def get(self, request, ticket_id):
        return super().get(request)


class TicketStatusView(ReadTicketView):
    serializer_class = TicketStatusSerializer

    @swagger_auto_schema(**docs.WATCH_TICKET)
    def get(self, request, ticket_id):
        return super().get(request)


class ImagesView(ListAPIView):
    """The photos of one ticket: list them, post one."""

    queryset = Image.objects.none()
    serializer_class = ImageSerializer
    pagination_class = NumberedPages
    parser_classes = [PhotoFormParser, BarePhotoParser]

    def get_queryset(self):
        ticket = get_object_or_404(Ticket.objects.visible_to(self.request.user), pk=self.kwargs["ticket_id"])
        return ticket.images.order_by("position", "created_at")

    @swagger_auto_schema(**docs.LIST_IMAGES)
    def get(self, request, ticket_id):
        return super().get(request)

    @swagger_auto_schema(**docs.POST_IMAGE)
    def post(self, request, ticket_id):
        ticket = get_object_or_404(Ticket.objects.owned_by(request.user), pk=ticket_id)
        intake.require_place(ticket)
        length = self._announced_length(request)
        with intake.reserved_stream(min(length, settings.IMAGE_MAX_BYTES)) as stream:
            self._release_database()
            request._request.upload_handlers = [intake.StagingUploadHandler(stream)]
            request.data  # noqa: B018  reads the body, through the parser and the handler, into the stream
            image = intake.accept_photo(ticket_id=ticket.pk, photo=stream.close())
        body = self.get_serializer(image).data
        location = reverse("image", kwargs={"ticket_id": ticket.pk, "image_id": image.pk}, request=request)
        return Response(body, status.HTTP_202_ACCEPTED, headers={"Location": location})

    @staticmethod
    def _announced_length(request) -> int:
        """Content-Length, checked before a byte of the body is read."""
        announced = request.META.get("CONTENT_LENGTH") or ""
        if not announced.isdigit():
            raise LengthRequiredError
        length = int(announced)
        is_form = request.content_type.startswith("multipart/")
        if length > settings.IMAGE_MAX_BYTES + (FORM_OVERHEAD_BYTES if is_form else 0):
            raise ImageTooLargeError(max_bytes=settings.IMAGE_MAX_BYTES)
        if length == 0 and not is_form:
            raise ImageEmptyError
        return length

    @staticmethod
    def _release_database() -> None:
        """Give the connection back while the body arrives: slow clients would otherwise hold the whole pool."""
        if not connection.in_atomic_block:  # as it is inside a TestCase
            connection.close()


class ImageView(RetrieveAPIView):
    queryset = Image.objects.none()
    serializer_class = ImageSerializer
    lookup_url_kwarg = "image_id"

    def get_queryset(self):
        return Image.objects.filter(
            ticket__in=Ticket.objects.visible_to(self.request.user).filter(pk=self.kwargs["ticket_id"])
        )

    @swagger_auto_schema(**docs.READ_IMAGE)
    def get(self, request, ticket_id, image_id):
        return super().get(request)
