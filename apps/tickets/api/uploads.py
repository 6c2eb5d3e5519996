"""Resumable uploads through the API: begin one, send its bytes in pieces, ask how far it is.

They are begun as tus has it; those that are begun as the IETF's are photos first, see resumed_photo.py. Whoever has
the address of one may go on in either way.
"""

from contextlib import contextmanager, nullcontext
from uuid import UUID

from django.http import Http404
from django.urls import reverse
from drf_yasg.utils import swagger_auto_schema
from rest_framework import status
from rest_framework.permissions import AllowAny
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.common.db.release import release_connection
from apps.common.http.request_body import body_of
from apps.common.observability import metrics
from apps.tickets.api import ietf, tus, uploads_schema
from apps.tickets.api.resumed_photo import accepted, answer_to, skip_body
from apps.tickets.errors import (
    TusVersionError,
    UploadFinishedError,
    UploadOffsetMismatchError,
    UploadTooLongError,
    UploadTypeError,
)
from apps.tickets.intake import acceptance, idempotency
from apps.tickets.intake.body import IncomingBody, uploads
from apps.tickets.intake.digest import announced_sha256
from apps.tickets.intake.places import require_open
from apps.tickets.intake.wanted_slot import SLOT, look_for_a_place
from apps.tickets.models import Image, Ticket
from apps.tickets.resumable import beginning, sending
from apps.tickets.resumable.finishing import REFUSALS, gone_when_refused, take_back
from apps.tickets.resumable.holding import Hold

OVERRIDE = "HTTP_X_HTTP_METHOD_OVERRIDE"  # for clients that cannot send PATCH or DELETE


class ResumableView(APIView):
    """What both views have in common: the version, the ticket, whose owner alone may send, and taking a body in."""

    speaks_tus = True

    def dispatch(self, request, *args, **kwargs):
        with uploads.turn() if request.method != "OPTIONS" else nullcontext():
            return super().dispatch(request, *args, **kwargs)

    def get_permissions(self):
        return [AllowAny()] if self.request.method == "OPTIONS" else super().get_permissions()

    def initial(self, request, *args, **kwargs):
        is_versioned = self.speaks_tus and request.method != "OPTIONS" and hasattr(self, request.method.lower())
        if is_versioned and request.headers.get("Tus-Resumable") != tus.VERSION:
            raise TusVersionError
        super().initial(request, *args, **kwargs)

    def finalize_response(self, request, response, *args, **kwargs):
        response = super().finalize_response(request, response, *args, **kwargs)
        if self.speaks_tus:
            response["Tus-Resumable"] = tus.VERSION
        if response.status_code == status.HTTP_412_PRECONDITION_FAILED:
            response["Tus-Version"] = tus.VERSION
        response["Cache-Control"] = "no-store"
        if request.method == "PATCH" and response.status_code == status.HTTP_409_CONFLICT:
            # Browsers that find a connection cut which they used before send its request again by themselves: all the
            # rest of the photo, from an offset that is wrong by now. Whoever sees no answer asks for the right one.
            response.leaves_body_unread = True
        return response

    def handle_exception(self, exc):
        if isinstance(exc, REFUSALS):
            metrics.count("hopla_photos_refused", code=exc.default_code)
        return super().handle_exception(exc)

    def options(self, request, *args, **kwargs):
        return Response(status=status.HTTP_204_NO_CONTENT, headers=tus.what_is_offered() | ietf.own_headers(request))

    def find_ticket(self, ticket_id: int) -> Ticket:
        try:
            return acceptance.find_ticket(ticket_id=ticket_id, owner=self.request.user)
        except Ticket.DoesNotExist as exc:
            raise Http404 from exc

    def receive(self, hold: Hold, *, is_last: bool = False) -> Image | None:
        """Take in the body of this request. Returns the image if that was the last byte."""
        checksum, digest = tus.checksum_in(self.request), announced_sha256(self.request)
        release_connection()
        return sending.send(
            hold,
            IncomingBody(self.request),
            answer_to=answer_to(self.request),
            checksums=[checksum] if checksum else [],
            digest=digest,
            is_last=is_last,
        )

    def require_type(self, content_type: str) -> None:
        if type_of(self.request) != content_type:
            raise UploadTypeError

    @staticmethod
    def told_of(hold: Hold | None, image: Image | None) -> dict[str, str]:
        """Returns the headers of an answer to a request that may have brought bytes."""
        if image:
            return {"Upload-Offset": str(image.size)} | place_of(image)
        return {"Upload-Offset": str(hold.upload.offset)} | tus.expiry_of(hold.upload)


class UploadsView(ResumableView):
    """Begin an upload, perhaps with its first bytes."""

    throttle_scope = "uploads"

    @swagger_auto_schema(**uploads_schema.BEGIN_UPLOAD)
    def post(self, request, ticket_id):
        ticket = self.find_ticket(ticket_id)
        has_body = body_of(request).length != 0
        if has_body:
            self.require_type(tus.CONTENT_TYPE)
        tus.require_no_concatenation(request)
        length, metadata = tus.announced_length(request), tus.metadata_in(request)
        digest, key = announced_sha256(request, "Repr-Digest"), idempotency.key_of(request)
        named = [*request.query_params.getlist(SLOT), metadata.get(SLOT, "")]
        asked = {"length": length, "sha256": digest, "named": named, "further": metadata}
        with beginning.known_by(key, user=request.user, ticket=ticket, **asked) as (upload_id, keep):
            is_repeat = upload_id is not None
            if not is_repeat:
                slot = look_for_a_place(ticket, named)
                upload_id = beginning.begin(
                    ticket=ticket,
                    user=request.user,
                    length=length,
                    filename=metadata.get("filename", ""),
                    slot=slot.name,
                    metadata=request.headers.get("Upload-Metadata", ""),
                    sha256=digest or "",
                    key=key or "",
                ).id
                keep(upload_id)
        headers = {"Location": reverse("upload", args=[ticket.pk, upload_id])}
        if is_repeat:
            headers["Idempotent-Replayed"] = "true"
        with sending.begun(upload_id, ticket_id=ticket.pk) as (hold, image):
            if hold is not None and not hold.upload.offset:
                with nullcontext() if key else sending.gone_unless_answered(hold):
                    image = self.receive(hold)
            else:  # a repeat, of whose bytes some have come: its client goes on from there
                skip_body(request)
            told = self.told_of(hold, image)
        return Response(status=status.HTTP_201_CREATED, headers=headers | told)


class UploadView(ResumableView):
    """One upload: how far it is, its next bytes, its end."""

    def dispatch(self, request, *args, **kwargs):
        if request.method == "POST":
            request.method = request.META.get(OVERRIDE, "POST").strip().upper()
        as_ietf = request.method in ("HEAD", "DELETE") or type_of(request) == ietf.CONTENT_TYPE
        self.speaks_tus = "HTTP_TUS_RESUMABLE" in request.META or not as_ietf
        return super().dispatch(request, *args, **kwargs)

    def handle_exception(self, exc):
        response = super().handle_exception(exc)
        if isinstance(exc, UploadOffsetMismatchError) and not self.speaks_tus:
            ietf.add_mismatch(response, exc)
        return response

    @swagger_auto_schema(**uploads_schema.ASK_UPLOAD)
    def head(self, request, ticket_id, upload_id):
        with self.held_or_finished(upload_id) as (hold, image):
            if hold is not None and hold.upload.is_whole:
                # It broke off before its photo was accepted.
                image = sending.finish(hold, answer_to=answer_to(request))
            wire = tus if self.speaks_tus else ietf
            told = wire.told_of_finished(image) | place_of(image) if image else wire.told_of(hold.upload)
        if self.speaks_tus:
            return Response(status=status.HTTP_200_OK, headers=told)
        return Response(status=status.HTTP_204_NO_CONTENT, headers=told | ietf.own_headers(request))

    @swagger_auto_schema(**uploads_schema.SEND_BYTES)
    def patch(self, request, ticket_id, upload_id):
        self.require_type(tus.CONTENT_TYPE if self.speaks_tus else ietf.CONTENT_TYPE)
        offset, length = tus.offset_in(request), tus.length_in(request)
        is_last = not self.speaks_tus and ietf.is_last_in(request)
        with self.held_or_finished(upload_id) as (hold, image):
            if hold is None:
                self.require_end_of(image, offset)
            else:
                hold.require_offset(offset)
                if length is not None:
                    sending.declare_length(hold, length)
                image = self.receive(hold, is_last=is_last)
        if self.speaks_tus:
            return Response(status=status.HTTP_204_NO_CONTENT, headers=self.told_of(hold, image))
        if image is not None:
            return accepted(request, image, self.ticket)
        headers = ietf.told_of(hold.upload) | ietf.own_headers(request)
        return Response(status=status.HTTP_204_NO_CONTENT, headers=headers)

    def require_end_of(self, image: Image, offset: int) -> None:
        """Refuse a request to a finished upload, unless it is the last one repeated, as its answer was lost."""
        if offset != image.size:
            raise UploadOffsetMismatchError(expected=image.size, provided=offset, is_finished=True)
        if body_of(self.request).length != 0:
            raise UploadTooLongError

    @swagger_auto_schema(**uploads_schema.TAKE_BACK_UPLOAD)
    def delete(self, request, ticket_id, upload_id):
        ticket = self.find_ticket(ticket_id)
        with sending.held_or_finished(upload_id, ticket_id=ticket.pk) as (hold, _image):
            if hold is None:
                raise UploadFinishedError
            take_back(hold)
        return Response(status=status.HTTP_204_NO_CONTENT)

    @contextmanager
    def held_or_finished(self, upload_id: UUID):
        """Yields the Hold and None, or None and the image. An unfinished one goes once its ticket takes no photos."""
        self.ticket = self.find_ticket(self.kwargs["ticket_id"])
        with sending.held_or_finished(upload_id, ticket_id=self.ticket.pk) as (hold, image):
            if hold is not None:
                with gone_when_refused(hold):
                    require_open(self.ticket)
            yield hold, image


def place_of(image: Image) -> dict[str, str]:
    return {"Content-Location": reverse("image", args=[image.ticket_id, image.pk])}


def type_of(request) -> str:
    return request.META.get("CONTENT_TYPE", "").partition(";")[0].strip().lower()
