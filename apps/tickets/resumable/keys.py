"""One Idempotency-Key is one photo, posted at once or by an upload that goes on: the first to be accepted is it.

The key of an upload is written down in the transaction that accepts its photo, as that of a photo posted at once is. So
a client that gave up going on, or whose upload Redis has forgotten, makes no second one.
"""

from apps.tickets.errors import IdempotencyKeyReusedError
from apps.tickets.intake import idempotency
from apps.tickets.models import Image
from apps.tickets.resumable.state import Upload


def photo_with(
    key: str, *, user_id: int, ticket_id: int, slot: str, size: int | None, sha256: str | None
) -> Image | None:
    """Returns the photo that was accepted with this key, None where there is none yet or it has failed since.

    `size` in bytes and `sha256` are None where the client has not said. Raises IdempotencyKeyReusedError when the key
    was used for anything but such a photo. Certain under the ticket's lock.
    """
    kept = idempotency.find_answer(user_id=user_id, key=key)
    if kept is None:
        return None
    image = Image.objects.find(kept.image_id) if kept.image_id else None
    is_such = (
        image is not None
        and image.ticket_id == ticket_id
        and size in (None, image.size)
        and sha256 in (None, image.sha256)
        and kept.fingerprint == idempotency.fingerprint_of_photo(image.sha256, slot=slot)
    )
    if not is_such:
        raise IdempotencyKeyReusedError
    return image


def keep(upload: Upload, image: Image, *, answer: dict) -> None:
    """Keep the answer that a post of this photo would have got: `path`, `status_code`, `answer`, `location`.

    Call it in the transaction that accepts the photo. Raises IdempotencyInFlightError when the key has just been used
    on another ticket.
    """
    fingerprint = idempotency.fingerprint_of_photo(image.sha256, slot=upload.slot)
    idempotency.keep_answer(user_id=upload.user_id, key=upload.key, fingerprint=fingerprint, image=image, **answer)
