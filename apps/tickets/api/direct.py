"""Direct uploads through the API: begin one, take it back, confirm it; and what Cloudinary tells of them."""

from django.http import Http404
from drf_yasg.utils import swagger_auto_schema
from rest_framework import status
from rest_framework.generics import GenericAPIView
from rest_framework.permissions import AllowAny
from rest_framework.response import Response
from rest_framework.reverse import reverse
from rest_framework.views import APIView

from apps.common.api.errors import RequestTooLargeError
from apps.common.http.request_body import body_of
from apps.common.observability import metrics
from apps.tickets.api import direct_schema as schema
from apps.tickets.api.kept_answers import keep, replay
from apps.tickets.api.serializers import (
    ConfirmationSerializer,
    DirectUploadSerializer,
    ImageSerializer,
    NewDirectUploadSerializer,
)
from apps.tickets.direct import beginning, notifications, settling
from apps.tickets.errors import (
    DirectUploadSettledError,
    NotADirectUploadError,
    NotificationSignatureError,
    NotificationTimeError,
)
from apps.tickets.intake import acceptance, idempotency
from apps.tickets.intake.wanted_slot import SLOT, look_for_a_place
from apps.tickets.models import Image, Ticket

NOTIFICATION_MAX_BYTES = 256 * 1024


class DirectUploadsView(GenericAPIView):
    """Begin a direct upload."""

    queryset = Image.objects.none()
    serializer_class = NewDirectUploadSerializer
    throttle_scope = "uploads"

    @swagger_auto_schema(**schema.BEGIN_DIRECT_UPLOAD)
    def post(self, request, ticket_id):
        try:
            ticket = acceptance.find_ticket(ticket_id=ticket_id, owner=request.user)
        except Ticket.DoesNotExist as exc:
            raise Http404 from exc
        beginning.require_direct_uploads()
        key = idempotency.key_of(request)
        if key is None:
            return self._begin(ticket)
        fingerprint = idempotency.fingerprint_of([request.data, request.query_params.getlist(SLOT)])
        with idempotency.held(user=request.user, key=key):
            kept = idempotency.find_answer(user_id=request.user.pk, key=key)
            if kept is not None:
                return replay(kept, request, fingerprint)
            return self._begin(ticket, lambda *answer: keep(answer[0], request, key, fingerprint, image=answer[1]))

    def _begin(self, ticket: Ticket, keep_answer=lambda response, image: None) -> Response:
        new = self.get_serializer(data=self.request.data)
        new.is_valid(raise_exception=True)
        announced = dict(new.validated_data)
        beginning.require_acceptable(content_type=announced.pop("content_type"), size=announced["size"])
        named = [*self.request.query_params.getlist(SLOT), announced.pop("slot")]
        position = look_for_a_place(ticket, named).position
        responses = []

        def respond(image: Image) -> None:
            responses.append(self._begun(image, ticket))
            keep_answer(responses[0], image)

        beginning.begin(ticket=ticket, user=self.request.user, position=position, also=respond, **announced)
        return responses[0]

    def _begun(self, image: Image, ticket: Ticket) -> Response:
        image.ticket = ticket  # whose slots name its place
        location = reverse("image", kwargs={"ticket_id": ticket.pk, "image_id": image.pk}, request=self.request)
        upload = {"form": beginning.form_of(image), "expires_at": image.upload_expires_at}
        begun = DirectUploadSerializer({"image": image, "upload": upload})
        return Response(begun.data, status.HTTP_201_CREATED, headers={"Location": location})


class OwnImage:
    """Mixin of views: one photo of a ticket, for its owner and guests."""

    queryset = Image.objects.none()

    def get_image(self) -> Image:
        of_owner = Image.objects.filter(ticket__owner_id=self.request.user.pk).select_related("ticket")
        found = of_owner.filter(ticket_id=self.kwargs["ticket_id"], pk=self.kwargs["image_id"]).first()
        if found is None:
            raise Http404
        return found


class DirectUploadView(OwnImage, APIView):
    """Take a direct upload back."""

    @swagger_auto_schema(**schema.TAKE_BACK_DIRECT_UPLOAD)
    def delete(self, request, ticket_id, image_id):
        image = self.get_image()
        if not image.is_direct:
            raise Http404
        if not settling.give_up(image.pk):
            raise DirectUploadSettledError
        return Response(status=status.HTTP_204_NO_CONTENT)


class ConfirmationView(OwnImage, GenericAPIView):
    """Say that a direct upload has come."""

    serializer_class = ConfirmationSerializer
    throttle_scope = "uploads"

    @swagger_auto_schema(**schema.CONFIRM_DIRECT_UPLOAD)
    def post(self, request, ticket_id, image_id):
        image = self.get_image()
        if not image.is_direct:
            raise NotADirectUploadError
        told = self.get_serializer(data=request.data)
        told.is_valid(raise_exception=True)
        may_still_come = notifications.confirm(image, **told.validated_data)
        answer_status = status.HTTP_202_ACCEPTED if may_still_come else status.HTTP_200_OK
        if not may_still_come:
            image = self.get_image()  # it may have been settled since it was read
        return Response(ImageSerializer(image).data, answer_status)


class NotificationsView(APIView):
    """For Cloudinary, which has no credentials here and signs what it says."""

    authentication_classes = []
    permission_classes = [AllowAny]

    @swagger_auto_schema(**schema.TAKE_NOTIFICATION)
    def post(self, request):
        body = self._read_body()
        try:
            notifications.require_genuine(
                body=body,
                timestamp=request.headers.get("X-Cld-Timestamp", ""),
                signature=request.headers.get("X-Cld-Signature", ""),
            )
        except (NotificationSignatureError, NotificationTimeError) as exc:
            metrics.count("hopla_notifications_refused", code=exc.default_code)
            raise
        return Response({"outcome": notifications.take(body)})

    def _read_body(self) -> bytes:
        """As it came, since the signature is of its bytes."""
        length = body_of(self.request).length
        if length is None or length <= NOTIFICATION_MAX_BYTES:
            body = self.request._request.read(NOTIFICATION_MAX_BYTES + 1)
            if len(body) <= NOTIFICATION_MAX_BYTES:
                return body
        raise RequestTooLargeError
