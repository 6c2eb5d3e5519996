"""A photo posted at once that can be resumed, for clients that ask so: see ietf.py."""

from collections.abc import Callable
from uuid import UUID

from django.urls import reverse
from rest_framework import status
from rest_framework.response import Response

from apps.common.db.release import release_connection
from apps.common.http.request_body import body_of
from apps.tickets.api import ietf
from apps.tickets.api.kept_answers import told_by
from apps.tickets.api.serializers import ImageSerializer
from apps.tickets.errors import IdempotencyKeyReusedError, UploadFinishedError
from apps.tickets.intake import idempotency
from apps.tickets.intake.body import IncomingBody
from apps.tickets.intake.digest import announced_sha256
from apps.tickets.intake.parsers import filename_of
from apps.tickets.intake.stream import FingerprintStream
from apps.tickets.intake.wanted_slot import SLOT, look_for_a_place
from apps.tickets.models import Image, Ticket
from apps.tickets.resumable import beginning, sending
from apps.tickets.resumable.finishing import take_back


def take_photo(request, ticket: Ticket) -> Response:
    """Returns the plain answer to a posted photo; to one that says that more follows, where to send it."""
    is_last = ietf.is_last_in(request)
    length = ietf.announced_length(request, is_last=is_last)
    digest = announced_sha256(request, "Repr-Digest")
    if is_last:  # then the body is the whole photo, if it comes at once
        digest = digest or announced_sha256(request)
    key, named = idempotency.key_of(request), request.query_params.getlist(SLOT)
    asked = {"length": length, "sha256": digest, "named": named, "further": is_last}
    with beginning.known_by(key, user=request.user, ticket=ticket, **asked) as (known, keep):
        image = _image_of(known, ticket) if known else None
        if image is None:
            slot = look_for_a_place(ticket, named)
            name = filename_of(request.META.get("HTTP_CONTENT_DISPOSITION", ""))
            upload = beginning.begin(
                ticket=ticket,
                user=request.user,
                length=length,
                filename=name,
                slot=slot.name,
                sha256=digest or "",
                key=key or "",
            )
            keep(upload.id)
    if image is not None:
        sha256 = skip_body(request)
        if is_last and sha256 != image.sha256:
            raise IdempotencyKeyReusedError
        return accepted(request, image, ticket, replayed=True)
    return _receive(request, ticket, upload.id, is_last=is_last)


def _image_of(upload_id: UUID, ticket: Ticket) -> Image | None:
    """Returns the image of an upload that was begun by the same request before. An unfinished one is taken back, as its
    client sends the photo from its beginning again."""
    with sending.begun(upload_id, ticket_id=ticket.pk) as (hold, image):
        if hold is None:
            return image
        try:
            take_back(hold)
        except UploadFinishedError:
            return Image.objects.find(upload_id)
    return None


def _receive(request, ticket: Ticket, upload_id: UUID, *, is_last: bool) -> Response:
    location = request.build_absolute_uri(reverse("upload", args=[ticket.pk, upload_id]))
    if body_of(request).length != 0:
        ietf.tell_where_to_resume(request, location)
    with sending.begun(upload_id, ticket_id=ticket.pk) as (hold, image):
        if hold is not None:
            release_connection()
            image = sending.send(hold, IncomingBody(request), answer_to=answer_to(request), is_last=is_last)
    if image is not None:
        return accepted(request, image, ticket)
    headers = {"Location": location} | ietf.told_of(hold.upload) | ietf.own_headers(request)
    return Response(status=status.HTTP_201_CREATED, headers=headers)


def skip_body(request) -> str:
    """Read what a repeat brought that has come before. Returns its sha256."""
    stream = FingerprintStream()
    with IncomingBody(request) as body:
        while portion := body.read():
            stream.write(portion)
    return stream.close()


def answer_to(request) -> Callable[[Image], dict]:
    """Returns what makes, of an image with its ticket, what is kept for its upload's Idempotency-Key: that which a post
    of the photo would have been answered."""

    def answer(image: Image) -> dict:
        response = accepted(request, image, image.ticket)
        return {"path": reverse("ticket-images", args=[image.ticket_id])} | told_by(response)

    return answer


def accepted(request, image: Image, ticket: Ticket, *, replayed: bool = False) -> Response:
    """Returns what a photo is answered with that was posted at once."""
    image.ticket = ticket  # whose slots name its place
    location = request.build_absolute_uri(reverse("image", args=[ticket.pk, image.pk]))
    headers = {"Location": location, "Upload-Complete": "?1", "Upload-Offset": str(image.size)}
    headers |= ietf.own_headers(request) | ({"Idempotent-Replayed": "true"} if replayed else {})
    data = ImageSerializer(image, context={"request": request}).data
    return Response(data, status.HTTP_202_ACCEPTED, headers=headers)
