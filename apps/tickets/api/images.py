"""Photos through the API: post one, list a ticket's, read one."""

from contextlib import nullcontext

from django.conf import settings
from django.db.models import BigIntegerField
from django.http import Http404
from django.shortcuts import get_object_or_404
from drf_yasg.utils import swagger_auto_schema
from rest_framework import status
from rest_framework.generics import ListAPIView, RetrieveAPIView
from rest_framework.response import Response

from apps.common.api.list_query import ListQueryMixin
from apps.common.api.pagination import NumberedPages
from apps.common.db.snapshot import one_snapshot
from apps.common.http.request_body import body_of
from apps.tickets.api import ietf, schema
from apps.tickets.api.kept_answers import keep, replay
from apps.tickets.api.resumed_photo import take_photo
from apps.tickets.api.serializers import ImageSerializer
from apps.tickets.errors import ImageEmptyError, ImageTooLargeError, UnsupportedTypeError
from apps.tickets.intake import acceptance, idempotency
from apps.tickets.intake.body import uploads
from apps.tickets.intake.digest import announced_sha256, require_digest
from apps.tickets.intake.parsers import BarePhotoParser, PhotoFormParser
from apps.tickets.intake.quota import taken_for_photo
from apps.tickets.intake.stream import FingerprintStream, StagedPhoto, reserved_stream
from apps.tickets.intake.wanted_slot import SLOT, WantedSlot, look_for_a_place
from apps.tickets.models import Image, Ticket

# What a multipart body may hold besides the photo: boundaries, part headers, a few short fields.
FORM_OVERHEAD_BYTES = 64 * 1024


class ImagesView(ListQueryMixin, ListAPIView):
    """The photos of one ticket: list them, post one."""

    queryset = Image.objects.none()
    serializer_class = ImageSerializer
    pagination_class = NumberedPages
    parser_classes = [PhotoFormParser, BarePhotoParser]
    throttle_scope = "uploads"
    read_along: tuple = ()

    def dispatch(self, request, *args, **kwargs):
        with uploads.turn() if request.method == "POST" else nullcontext():
            return super().dispatch(request, *args, **kwargs)

    def reads_along(self) -> tuple:
        """The ticket of a new photo is read with the token, see OpaqueTokenAuthentication."""
        ticket_id = self.kwargs["ticket_id"]
        if self.request.method != "POST" or ticket_id > BigIntegerField.MAX_BIGINT:
            return None, {}
        return acceptance.TICKET, {"ticket_id": ticket_id}

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
            if self.read_along:
                ticket = acceptance.ticket_read_along(self.read_along)
            else:
                ticket = acceptance.find_ticket(ticket_id=ticket_id, owner=request.user)
        except Ticket.DoesNotExist as exc:
            raise Http404 from exc
        if ietf.asks_to_resume(request):
            return take_photo(request, ticket)
        key = idempotency.key_of(request)
        if key is None:
            return self._take(ticket)
        with idempotency.held(user=request.user, key=key):
            kept = idempotency.find_answer(user_id=request.user.pk, key=key)
            if kept is None:
                return self._take(ticket, key)
        return self._replay(kept, ticket)  # out here: its body may take long to arrive, and nothing is taken

    def options(self, request, *args, **kwargs):
        response = super().options(request, *args, **kwargs)
        for name, value in ietf.own_headers(request).items():  # to who asks what may be resumed
            response[name] = value
        return response

    def _take(self, ticket: Ticket, key: str | None = None) -> Response:
        named = self.request.query_params.getlist(SLOT)
        slot = look_for_a_place(ticket, named, may_name_later=self._is_form)  # a form may still name one
        length = self._announced_length()
        digest = announced_sha256(self.request)
        user, size = self.request.user, length and min(length, settings.IMAGE_MAX_BYTES)
        with taken_for_photo(user, size) as size_is, reserved_stream(size, user=user.pk) as stream:
            photo, body_sha256 = self._read_body(stream, slot)
            require_digest(digest, photo_sha256=photo.sha256, body_sha256=body_sha256)
            size_is(photo.size)
            if key is None:
                image = acceptance.accept_photo(
                    ticket_id=ticket.pk, photo=photo, position=slot.position, guest_link_id=user.guest_link_id
                )
            else:
                response = self._accept_once(ticket, photo, slot, key)
        # Out here: what fails from now on must not take the bytes of a photo that has its place.
        return self._accepted(image, ticket) if key is None else response

    def _accept_once(self, ticket: Ticket, photo: StagedPhoto, slot: WantedSlot, key: str) -> Response:
        responses = []

        def respond_and_keep(image):
            responses.append(self._accepted(image, ticket))
            fingerprint = idempotency.fingerprint_of_photo(photo.sha256, slot=slot.name)
            keep(responses[0], self.request, key, fingerprint, image=image)

        acceptance.accept_photo(
            ticket_id=ticket.pk,
            photo=photo,
            position=slot.position,
            guest_link_id=self.request.user.guest_link_id,
            also=respond_and_keep,
        )
        return responses[0]

    def _replay(self, kept, ticket: Ticket) -> Response:
        """Returns the kept response, once the photo that came proves to be the same, for the same slot."""
        slot = WantedSlot(ticket, self.request.query_params.getlist(SLOT))
        self._announced_length()
        sha256, _ = self._read_body(FingerprintStream(), slot)
        return replay(kept, self.request, idempotency.fingerprint_of_photo(sha256, slot=slot.name))

    @property
    def _is_form(self) -> bool:
        return self.request.content_type.lower().startswith("multipart/")

    def _read_body(self, stream, slot: WantedSlot):
        """Stream the body into `stream`. Returns what its close() does, and the body's sha256 if one was announced."""
        uploads.hold_connection_only_with_a_turn()
        request = self.request
        # As request.data does it, which looks at the body's type five times.
        parser = request.negotiator.select_parser(request, request.parsers)
        if parser is None:
            raise UnsupportedTypeError(request.content_type)
        body_sha256 = parser.parse(request._request, request.content_type, {"photo": stream, "slot": slot})
        return stream.close(), body_sha256

    def _accepted(self, image: Image, ticket: Ticket) -> Response:
        image.ticket = ticket  # whose slots name its place
        request = self.request._request
        location = request.build_absolute_uri(f"{request.path}{image.pk}/")
        shown = ImageSerializer().to_representation(image)
        return Response(shown, status.HTTP_202_ACCEPTED, headers={"Location": location})

    def _announced_length(self) -> int | None:
        """Returns Content-Length, checked before a byte of the body is read; None for a body in chunks."""
        request = self.request
        length = body_of(request).length
        if length is None:
            return None
        if length > settings.IMAGE_MAX_BYTES + (FORM_OVERHEAD_BYTES if self._is_form else 0):
            raise ImageTooLargeError(max_bytes=settings.IMAGE_MAX_BYTES)
        if length == 0 and not self._is_form:
            raise ImageEmptyError
        return length


class ImageView(RetrieveAPIView):
    queryset = Image.objects.none()
    serializer_class = ImageSerializer
    lookup_url_kwarg = "image_id"

    def get_queryset(self):
        return Image.objects.filter(
            ticket__in=Ticket.objects.visible_to(self.request.user).filter(pk=self.kwargs["ticket_id"])
        ).select_related("ticket")

    @swagger_auto_schema(**schema.READ_IMAGE)
    def get(self, request, ticket_id, image_id):
        return super().get(request)
