"""The API of tickets and images. Views check who asks and translate; the stories live in the modules beside them."""

import json
from contextlib import nullcontext

from django.conf import settings
from django.db import connection, transaction
from django.http import Http404
from django.shortcuts import get_object_or_404
from django.utils.cache import get_conditional_response
from django.utils.translation import get_language
from django_filters.rest_framework import DjangoFilterBackend
from drf_yasg.utils import swagger_auto_schema
from rest_framework import status
from rest_framework.generics import GenericAPIView, ListAPIView, RetrieveAPIView
from rest_framework.renderers import JSONRenderer
from rest_framework.response import Response
from rest_framework.reverse import reverse

from apps.common.api.list_query import ListQueryMixin
from apps.common.api.pagination import NumberedPages
from apps.common.db.snapshot import one_snapshot
from apps.common.http.request_body import body_of
from apps.tickets.api import schema
from apps.tickets.api.filters import TicketFilter
from apps.tickets.api.pagination import TicketPages
from apps.tickets.api.serializers import (
    ImageSerializer,
    KindSerializer,
    NewTicketSerializer,
    TicketDetailSerializer,
    TicketSerializer,
    TicketStatusSerializer,
)
from apps.tickets.errors import ImageEmptyError, ImageTooLargeError, UnsupportedTypeError
from apps.tickets.intake import acceptance, idempotency
from apps.tickets.intake.body import uploads
from apps.tickets.intake.digest import announced_sha256, require_digest
from apps.tickets.intake.parsers import BarePhotoParser, PhotoFormParser
from apps.tickets.intake.places import require_place
from apps.tickets.intake.quota import taken_for_photo
from apps.tickets.intake.stream import FingerprintStream, StagedPhoto, reserved_stream
from apps.tickets.kinds.copying import apply_kind
from apps.tickets.models import (
    Image,
    Ticket,
    TicketKind,
    progress_of,
    read_ticket,
    read_ticket_counted,
    read_ticket_with_images,
)

# Of a ticket and its status: kept for one reader, who asks each time whether it still holds.
CACHE_CONTROL = "private, no-cache"
# What a multipart body may hold besides the photo: boundaries, part headers, a few short fields.
FORM_OVERHEAD_BYTES = 64 * 1024


class TicketsView(ListQueryMixin, GenericAPIView):
    """Open a ticket, list one's own."""

    queryset = Ticket.objects.none()  # for the schema; see get_queryset
    serializer_class = TicketSerializer
    filter_backends = [DjangoFilterBackend]
    filterset_class = TicketFilter
    pagination_class = TicketPages
    throttle_scope = "tickets"

    def get_queryset(self):
        tickets = Ticket.objects.visible_to(self.request.user)
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
        key = idempotency.key_of(request)
        if key is None:
            return self._open(self._checked(request.data))
        fingerprint = idempotency.fingerprint_of(request.data)
        with idempotency.held(user=request.user, key=key):
            kept = idempotency.find_answer(user=request.user, key=key)
            if kept is not None:
                return replay(kept, request, fingerprint)
            fields = self._checked(request.data)  # what was good may no longer be: its kind is gone, its moment past
            with transaction.atomic():
                response = self._open(fields)
                keep(response, request, key, fingerprint)
        return response

    @staticmethod
    def _checked(body) -> dict:
        new = NewTicketSerializer(data=body)
        new.is_valid(raise_exception=True)
        return new.validated_data

    def _open(self, fields) -> Response:
        fields = dict(fields)
        if (kind := fields.pop("kind")) is not None:
            fields = apply_kind(fields, kind, get_language())
        ticket = Ticket.objects.create(owner=self.request.user, **fields)
        location = reverse("ticket", kwargs={"ticket_id": ticket.pk}, request=self.request)
        return Response(self.get_serializer(ticket).data, status.HTTP_201_CREATED, headers={"Location": location})


class ReadTicketView(RetrieveAPIView):
    """Base of the views of one ticket that its owner and staff may read. A poll that knows the state is answered 304,
    before any image is counted. Any other answer is of one moment, its ETag included: `read_whole` is one statement.
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
    """Whether the reader has this state already, by If-None-Match. The other preconditions do not matter here."""
    answer = get_conditional_response(request._request, etag=etag)
    return answer is not None and answer.status_code == status.HTTP_304_NOT_MODIFIED


class TicketView(ReadTicketView):
    serializer_class = TicketDetailSerializer
    read_whole = staticmethod(read_ticket_with_images)

    @swagger_auto_schema(**schema.READ_TICKET)
    def get(self, request, ticket_id):
        return super().get(request)


class TicketStatusView(ReadTicketView):
    serializer_class = TicketStatusSerializer
    read_whole = staticmethod(read_ticket_counted)

    @swagger_auto_schema(**schema.WATCH_TICKET)
    def get(self, request, ticket_id):
        return super().get(request)


class ImagesView(ListQueryMixin, ListAPIView):
    """The photos of one ticket: list them, post one."""

    queryset = Image.objects.none()
    serializer_class = ImageSerializer
    pagination_class = NumberedPages
    parser_classes = [PhotoFormParser, BarePhotoParser]
    throttle_scope = "uploads"

    def dispatch(self, request, *args, **kwargs):
        with uploads.turn() if request.method == "POST" else nullcontext():
            return super().dispatch(request, *args, **kwargs)

    def get_queryset(self):
        ticket = get_object_or_404(Ticket.objects.visible_to(self.request.user), pk=self.kwargs["ticket_id"])
        return ticket.images.order_by("position", "created_at")

    @swagger_auto_schema(**schema.LIST_IMAGES)
    def get(self, request, ticket_id):
        with one_snapshot():
            return super().get(request)

    @swagger_auto_schema(**schema.POST_IMAGE)
    def post(self, request, ticket_id):
        try:
            ticket = acceptance.find_ticket(ticket_id=ticket_id, owner=request.user)
        except Ticket.DoesNotExist as exc:
            raise Http404 from exc
        key = idempotency.key_of(request)
        if key is None:
            return self._take(ticket)
        if kept := idempotency.find_answer(user=request.user, key=key):
            return self._replay(kept)
        with idempotency.held(user=request.user, key=key):
            if kept := idempotency.find_answer(user=request.user, key=key):  # the first has ended in between
                return self._replay(kept)
            return self._take(ticket, key)

    def _take(self, ticket: Ticket, key: str | None = None) -> Response:
        require_place(ticket, taken=ticket.places_taken)  # an unlocked look: only `accept_photo` is certain
        length = self._announced_length()
        digest = announced_sha256(self.request)
        user, size = self.request.user, length and min(length, settings.IMAGE_MAX_BYTES)
        with taken_for_photo(user, size) as size_is, reserved_stream(size, user=user.pk) as stream:
            photo, body_sha256 = self._read_body(stream)
            require_digest(digest, photo_sha256=photo.sha256, body_sha256=body_sha256)
            size_is(photo.size)
            if key is None:
                image = acceptance.accept_photo(ticket_id=ticket.pk, photo=photo)
            else:
                response = self._accept_once(ticket, photo, key)
        # Out here: what fails from now on must not take the bytes of a photo that has its place.
        return self._answer(image) if key is None else response

    def _accept_once(self, ticket: Ticket, photo: StagedPhoto, key: str) -> Response:
        responses = []

        def answer_and_keep(image):
            responses.append(self._answer(image))
            keep(responses[0], self.request, key, photo.sha256, image=image)

        acceptance.accept_photo(ticket_id=ticket.pk, photo=photo, also=answer_and_keep)
        return responses[0]

    def _replay(self, kept) -> Response:
        """The kept answer, once the photo that came proves to be the same."""
        self._announced_length()
        fingerprint, _ = self._read_body(FingerprintStream())
        return replay(kept, self.request, fingerprint)

    def _read_body(self, stream):
        """Stream the body into `stream`: what its close() answers, and the body's sha256 where one was announced."""
        self._release_database()
        request = self.request
        # As request.data would, which looks five times at what type the body is of.
        parser = request.negotiator.select_parser(request, request.parsers)
        if parser is None:
            raise UnsupportedTypeError(request.content_type)
        body_sha256 = parser.parse(request._request, request.content_type, {"photo": stream})
        return stream.close(), body_sha256

    def _answer(self, image: Image) -> Response:
        location = self.request.build_absolute_uri(f"{self.request.path}{image.pk}/")
        return Response(self.get_serializer(image).data, status.HTTP_202_ACCEPTED, headers={"Location": location})

    def _announced_length(self) -> int | None:
        """Content-Length, checked before a byte of the body is read. None for chunks: nobody knows yet."""
        request = self.request
        length = body_of(request).length
        if length is None:
            return None
        is_form = request.content_type.lower().startswith("multipart/")
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

    @swagger_auto_schema(**schema.READ_IMAGE)
    def get(self, request, ticket_id, image_id):
        return super().get(request)


class KindsView(ListQueryMixin, ListAPIView):
    """What tickets can be opened by; anyone who may open one may read it."""

    queryset = TicketKind.objects.none()
    serializer_class = KindSerializer
    pagination_class = NumberedPages

    def get_queryset(self):
        return TicketKind.objects.offered()

    @swagger_auto_schema(**schema.LIST_KINDS)
    def get(self, request):
        with one_snapshot():
            return super().get(request)


class KindView(RetrieveAPIView):
    queryset = TicketKind.objects.none()
    serializer_class = KindSerializer
    lookup_field = "name"

    def get_queryset(self):
        return TicketKind.objects.offered()

    @swagger_auto_schema(**schema.READ_KIND)
    def get(self, request, name):
        with one_snapshot():
            return super().get(request)


def keep(response: Response, request, key: str, fingerprint: str, image: Image | None = None) -> None:
    """Keep this answer for repeats of the request. To be called in the transaction that makes it true."""
    idempotency.keep_answer(
        user=request.user,
        key=key,
        path=request.path,
        fingerprint=fingerprint,
        status_code=response.status_code,
        answer=JSONRenderer().render(response.data).decode(),
        location=response["Location"],
        image=image,
    )


def replay(kept, request, fingerprint: str) -> Response:
    """The answer kept for this key, if the request is the same one again."""
    idempotency.require_same(kept, path=request.path, fingerprint=fingerprint)
    return Response(
        json.loads(kept.answer), kept.status_code, headers={"Location": kept.location, "Idempotent-Replayed": "true"}
    )
