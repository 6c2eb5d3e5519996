"""What one request does to an upload, whatever protocol it speaks: find it, bring bytes, end it."""

import uuid
from collections.abc import Callable
from contextlib import ExitStack, contextmanager, suppress

from django.http import Http404
from redis.exceptions import RedisError
from rest_framework.exceptions import APIException

from apps.common.api.errors import TemporarilyUnavailableError
from apps.common.observability import metrics
from apps.tickets.errors import (
    UploadExpiredError,
    UploadLengthInvalidError,
    UploadOvertakenError,
    UploadTooLongError,
)
from apps.tickets.intake.body import IncomingBody
from apps.tickets.intake.digest import require_digest
from apps.tickets.intake.photo_check import require_not_too_large
from apps.tickets.models import Image
from apps.tickets.resumable import allowance, finishing
from apps.tickets.resumable.finishing import find_finished, give_up, gone_when_refused
from apps.tickets.resumable.holding import Hold, UploadGoneError, held
from apps.tickets.resumable.receiving import Checksum, receive


@contextmanager
def held_or_finished(upload_id: uuid.UUID, *, ticket_id: int):
    """Yields the Hold of an unfinished upload of the ticket, and None; or None, and the image of a finished one.

    Raises Http404, UploadExpiredError, and UploadOvertakenError when a newer request has come meanwhile.
    """
    with ExitStack() as stack:
        hold = trouble = image = None
        try:
            hold = stack.enter_context(held(upload_id, ticket_id=ticket_id))
        except (UploadGoneError, UploadExpiredError) as exc:
            trouble = exc
        if hold is None or hold.upload.is_whole:
            image = find_finished(upload_id, ticket_id=ticket_id)
        if image is not None and hold is not None:  # its process was killed after the photo was accepted
            hold.forget()
            hold = None
        if image is None and isinstance(trouble, UploadExpiredError):
            metrics.count("hopla_resumable_uploads", event="expired")
            raise trouble
        if image is None and trouble:
            raise Http404 from trouble
        yield hold, image


@contextmanager
def begun(upload_id: uuid.UUID, *, ticket_id: int):
    """The same of an upload that this request has begun, or whose key it has. That Redis has lost it since is no fault
    of the request: raises TemporarilyUnavailableError in place of Http404, which would mean the ticket.
    """
    with ExitStack() as stack:
        try:
            found = stack.enter_context(held_or_finished(upload_id, ticket_id=ticket_id))
        except Http404 as exc:
            raise TemporarilyUnavailableError from exc
        yield found


@contextmanager
def gone_unless_answered(hold: Hold):
    """Of a new upload whose client learns its address from the answer alone: a refusal, or a body that breaks off,
    would leave it to nobody, with its bytes and its share of the day.
    """
    try:
        yield
    except APIException:
        if not hold.upload.is_whole:  # of a whole one the photo may be accepted
            with suppress(RedisError, UploadOvertakenError):  # it is gone already
                give_up(hold)
                metrics.count("hopla_resumable_uploads", event="refused")
        raise


def declare_length(hold: Hold, length: int) -> None:
    """Say how long the upload is. Raises UploadLengthInvalidError, and as `require_size`; then the upload is gone."""
    most_bytes = hold.upload.most_bytes
    with gone_when_refused(hold):
        hold.declare_length(length)
    if most_bytes > length:
        _renew_allowance(hold, give_back=most_bytes - length)


def send(
    hold: Hold,
    body: IncomingBody,
    *,
    answer_to: Callable[[Image], dict],
    checksums: list[Checksum] = (),
    digest: str | None = None,
    is_last: bool = False,
) -> Image | None:
    """Take in a request's body, at the offset that the upload has. Returns the image if the last byte is in.

    `answer_to`: as of `finishing.finish`. `digest`: the sha256 of the body, in hex, if the client has said. `is_last`:
    nothing follows, the upload ends where the body does; UploadLengthInvalidError when that is not what was said.
    Raises as `receive` and `finish`, too; what stands against the photo ends the upload.
    """
    begins_at = hold.upload.offset
    try:
        with gone_when_refused(hold):
            _require_fit(hold, body, is_last=is_last)
            check = receive(hold, body, checksums=checksums)
            require_digest(digest, photo_sha256=body.sha256, body_sha256=None)
            if is_last:
                declare_length(hold, hold.upload.offset)
            return finishing.finish(hold, check, answer_to=answer_to) if hold.upload.is_whole else None
    finally:
        if hold.upload.offset > begins_at:
            _renew_allowance(hold)
            if begins_at:
                metrics.count("hopla_resumable_uploads", event="resumed")


def finish(hold: Hold, *, answer_to: Callable[[Image], dict]) -> Image:
    """Accept the photo of an upload that is whole, which was not done when its last byte came."""
    with gone_when_refused(hold):
        return finishing.finish(hold, answer_to=answer_to)


def _require_fit(hold: Hold, body: IncomingBody, *, is_last: bool) -> None:
    """Refuse a body, before it is read, that says itself that it goes past the end, or as the last ends before it."""
    stop = hold.upload.offset + (body.length or 0)
    if hold.upload.length is not None and stop > hold.upload.length:
        raise UploadTooLongError
    require_not_too_large(stop)
    if is_last and body.length is not None and hold.upload.length not in (None, stop):
        raise UploadLengthInvalidError


def _renew_allowance(hold: Hold, *, give_back: int = 0) -> None:
    with suppress(RedisError):  # then too much is given back when the lease runs out
        allowance.renew(hold.upload, give_back=give_back)
