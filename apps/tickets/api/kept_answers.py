"""Responses kept for an Idempotency-Key, and replayed to a repeat of their request."""

import json
from collections.abc import Callable

from django.conf import settings
from django.db import transaction
from rest_framework.renderers import JSONRenderer
from rest_framework.response import Response

from apps.tickets.intake import idempotency
from apps.tickets.models import Image


def answer_once(request, *, check: Callable[[], dict], make: Callable[[dict], Response]) -> Response:
    """Returns what `make` returns of what `check` returns; for a repeated Idempotency-Key, the first such response.

    What was good the first time may no longer be, so a repeat is not checked. With a key, `make` runs in the
    transaction that keeps its response.
    """
    key = idempotency.key_of(request)
    if key is None:
        return make(check())
    fingerprint = idempotency.fingerprint_of(request.data)
    with idempotency.held(user=request.user, key=key):
        kept = idempotency.find_answer(user_id=request.user.pk, key=key)
        if kept is not None:
            return replay(kept, request, fingerprint)
        fields = check()
        with transaction.atomic():
            response = make(fields)
            keep(response, request, key, fingerprint)
    return response


def keep(response: Response, request, key: str, fingerprint: str, image: Image | None = None) -> None:
    """Keep this response for repeats of the request. Call it in the transaction that makes it true."""
    idempotency.keep_answer(
        user_id=request.user.pk,
        key=key,
        path=request.path,
        fingerprint=fingerprint,
        image=image,
        **told_by(response),
    )


def told_by(response: Response) -> dict:
    """Returns what is kept of a response itself."""
    return {
        "status_code": response.status_code,
        "answer": JSONRenderer().render(response.data).decode(),
        "location": response["Location"],
    }


def replay(kept, request, fingerprint: str) -> Response:
    """Returns the response kept for this key. Raises IdempotencyKeyReusedError if this is another request."""
    idempotency.require_same(kept, path=request.path, fingerprint=fingerprint)
    answer = json.loads(kept.answer)
    if not settings.KEEP_PHOTO_LOCATION and answer.get("location"):  # the setting was on when the photo arrived
        answer["location"] = None
    return Response(answer, kept.status_code, headers={"Location": kept.location, "Idempotent-Replayed": "true"})
