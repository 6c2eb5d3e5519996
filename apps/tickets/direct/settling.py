"""A direct upload is counted by what Cloudinary says of its asset, or failed, under its ticket's lock.

Whoever learned of the asset calls `settle`: two notifications at once, or one beside the reconciler's look, end in one
photo on one place. A photo that failed because it did not come in time may still be counted, until it has been looked
for once more after its form has ended (`Image.may_still_come`); once that is over its asset is only removed. So none is
ever counted whose asset hopla may have removed.
"""

import re
from contextlib import suppress

from django.conf import settings
from django.db import models, transaction
from django.utils.translation import gettext_noop
from rest_framework.exceptions import APIException

from apps.common.db.compiled_queries import CompiledQuery, Parameter
from apps.common.observability import metrics
from apps.common.observability.request_id import on_behalf_of
from apps.tickets.direct.formats import FORMATS
from apps.tickets.intake.places import free_position
from apps.tickets.lifecycle import outcomes
from apps.tickets.models import Image, Ticket
from apps.tickets.models.statuses import ImageStatus
from apps.tickets.storage.cloudinary import StoredAsset
from apps.tickets.storage.removal import remove_asset_of

STORED, FAILED, REMOVED, UNCHANGED, UNKNOWN = OUTCOMES = ("stored", "failed", "removed", "unchanged", "unknown")


def is_whole(asset: StoredAsset) -> bool:
    """Returns whether that is all of what a photo is judged by; lists of the Admin API may leave some out."""
    return bool(re.fullmatch("[0-9a-f]{32}", asset.etag or "") and asset.width and asset.height)


def settle(image_id, asset: StoredAsset, *, event: str) -> str:
    """Record what this asset means for its image, and return which of OUTCOMES that is. Safe to repeat and to call
    late. `asset` is whole. `event`: how hopla learned of it, for the metrics.
    """
    with transaction.atomic():
        image = _locked(image_id)
        if image is None:
            return UNKNOWN
        with on_behalf_of(image.request_id):
            outcome = _settle(image, asset)
        if outcome in (STORED, FAILED):
            transaction.on_commit(lambda: metrics.count("hopla_direct_uploads", event=event), robust=True)
    return outcome


def give_up(image_id) -> bool:
    """Fail an upload that its client takes back. Returns whether it does not hold a place any more, and never will."""
    with transaction.atomic():
        image = _locked(image_id)
        if image is None:
            return True
        if image.status == ImageStatus.FAILED and image.may_still_come:
            _await_no_late_one(image)
        given_up = outcomes.record_not_received(
            image, code="direct_upload_given_up", detail=gettext_noop("The upload was taken back.")
        )
        if given_up:
            transaction.on_commit(lambda: metrics.count("hopla_direct_uploads", event="given_up"), robust=True)
    return given_up or image.status == ImageStatus.FAILED


def _locked(image_id) -> Image | None:
    """Returns the image as it is under its ticket's lock; None if it is deleted, or no direct upload."""
    image = Image.objects.find(image_id)
    if image is None or not image.is_direct:
        return None
    try:
        ticket = Ticket.objects.lock(image.ticket_id)
    except Ticket.DoesNotExist:
        return None
    image = Image.objects.find(image_id)
    if image is not None:
        image.ticket = ticket
    return image


def _settle(image: Image, asset: StoredAsset) -> str:
    if image.status == ImageStatus.AWAITING_UPLOAD:
        if wrong := what_is_wrong(image, asset):
            code, detail = wrong
            outcomes.record_not_received(image, code=code, detail=detail)
            return FAILED
        outcomes.record_received(image, facts=_facts(image, asset))
        return STORED
    if image.status == ImageStatus.FAILED:
        return _settle_late(image, asset)
    return UNCHANGED


def _settle_late(image: Image, asset: StoredAsset) -> str:
    position = None
    if image.may_still_come and not what_is_wrong(image, asset):
        with suppress(APIException):  # its place is taken, or the ticket takes none any more
            position = free_position(image.ticket, wanted=image.position)
    if position is None:
        _await_no_late_one(image)
        return REMOVED
    outcomes.record_received(image, facts=_facts(image, asset), late_at=position)
    transaction.on_commit(lambda: metrics.count("hopla_direct_uploads", event="late"), robust=True)
    return STORED


def _await_no_late_one(image: Image) -> None:
    """Of an upload that has failed: from now on its asset is only removed."""
    image.look_again_at(None)
    remove_asset_of(image)


def what_is_wrong(image: Image, asset: StoredAsset) -> tuple[str, str] | None:
    """Returns the code and the sentence of what stands against this asset as the announced photo."""
    if asset.format not in FORMATS:
        return "direct_upload_unsupported", gettext_noop("This is not a photo in one of the formats that are taken.")
    if asset.bytes > settings.IMAGE_MAX_BYTES:
        return "direct_upload_too_large", gettext_noop("The photo is larger than the limit.")
    if asset.width * asset.height > settings.IMAGE_MAX_PIXELS:
        return "direct_upload_too_many_pixels", gettext_noop("The photo has more pixels than the limit.")
    if image.size not in (None, asset.bytes):
        return "direct_upload_size_mismatch", gettext_noop(
            "The photo that came does not have the size that was announced."
        )
    if image.md5 not in ("", asset.etag):
        return "direct_upload_md5_mismatch", gettext_noop(
            "The photo that came does not have the md5 that was announced."
        )
    return None


def _facts(image: Image, asset: StoredAsset) -> dict:
    format = FORMATS[asset.format]
    twin = _TWIN.first(ticket_id=image.ticket_id, md5=asset.etag, size=asset.bytes)
    return {
        "asset_id": asset.asset_id,
        "asset_version": asset.version,
        "asset_format": asset.format,
        "size": asset.bytes,
        "md5": asset.etag,
        "content_type": f"image/{format}",
        "format": format,
        "width": asset.width,
        "height": asset.height,
        "duplicate_of": twin and twin[0],
    }


# Of the same bytes, the first such photo that is stored is the original.
_TWIN = CompiledQuery(
    lambda: (
        Image.objects.filter(
            ticket=Parameter("ticket_id", models.BigIntegerField()),
            status=ImageStatus.STORED,
            md5=Parameter("md5", models.CharField()),
            size=Parameter("size", models.PositiveIntegerField()),
        )
        .order_by("created_at")
        .values_list("pk")[:1]
    )
)
