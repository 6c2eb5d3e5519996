"""What Cloudinary tells hopla of an upload by itself, and what a client passes on of it. Neither is believed without
Cloudinary's signature, and of the client's only what that covers.
"""

import json
import time

from django.utils import timezone

from apps.tickets.direct import settling
from apps.tickets.errors import ConfirmationSignatureError, NotificationSignatureError, NotificationTimeError
from apps.tickets.models import Image
from apps.tickets.models.transition import acting_as
from apps.tickets.storage import cloudinary
from apps.tickets.storage.removal import image_id_of, schedule_removal

# Cloudinary repeats a notification that was not answered; its SDK takes them for as long.
OLDEST_SECONDS = 2 * 60 * 60
CLOCKS_DIFFER_SECONDS = 5 * 60
OTHER_RESOURCES = ("raw", "video")


def require_genuine(*, body: bytes, timestamp: str, signature: str) -> None:
    """Raises NotificationSignatureError, and NotificationTimeError for one that is too old or from the future."""
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
        raise NotificationTimeError
    if not cloudinary.is_signed_notification(body=body, timestamp=timestamp, signature=signature):
        raise NotificationSignatureError
    age = time.time() - int(timestamp)
    if not -CLOCKS_DIFFER_SECONDS <= age <= OLDEST_SECONDS:
        raise NotificationTimeError


def take(body: bytes) -> str:
    """Record what this genuine notification says, and return which of settling.OUTCOMES that is. Safe to repeat."""
    told = _object_in(body)
    image_id = image_id_of(str(told.get("public_id")))
    if image_id is None or told["public_id"] != Image(pk=image_id).public_id:
        return settling.UNKNOWN
    if (told.get("notification_type"), told.get("type")) != ("upload", "upload"):
        return settling.UNKNOWN
    if told.get("resource_type") in OTHER_RESOURCES:
        return _remove_other(image_id, told["resource_type"])
    if told.get("resource_type") != "image":
        return settling.UNKNOWN
    try:
        asset = cloudinary.asset_told(told)
    except cloudinary.AnswerNotTrustedError:
        return settling.UNKNOWN
    if not settling.is_whole(asset):
        look_soon(image_id)
        return settling.UNCHANGED
    with acting_as("cloudinary"):
        return settling.settle(image_id, asset, event="notified")


def _remove_other(image_id, resource_type: str) -> str:
    """The kind of resource is in the URL of an upload, and not signed: a form may bring a file that is no image, under
    the name of its photo and beside it.
    """
    image = Image.objects.find(image_id)
    if image is None or not image.is_direct:
        return settling.UNKNOWN
    schedule_removal(cloudinary.name_of_other(resource_type, image.public_id))
    return settling.REMOVED


def confirm(image: Image, *, public_id: str, version: int, signature: str) -> bool:
    """Have Cloudinary asked soon of this upload, which its client says has come. Returns False if it is settled.

    Raises ConfirmationSignatureError unless Cloudinary has signed that it holds that version.
    """
    is_its_own = public_id == image.public_id
    if not (is_its_own and cloudinary.is_signed_answer(public_id=public_id, version=version, signature=signature)):
        raise ConfirmationSignatureError
    return look_soon(image.pk, asset_version=version)


def look_soon(image_id, **changes) -> bool:
    """Returns whether the upload may still come."""
    return Image(pk=image_id).look_again_at(timezone.now(), **changes)


def _object_in(body: bytes) -> dict:
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}
