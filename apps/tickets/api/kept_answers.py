"""Responses kept for an Idempotency-Key, and replayed to a repeat of their request."""

import json

from django.conf import settings
from rest_framework.renderers import JSONRenderer
from rest_framework.response import Response

from apps.tickets.intake import idempotency
from apps.tickets.models import Image


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
