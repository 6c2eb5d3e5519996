"""Audits that every `stored` image and every example picture has its asset at Cloudinary, and every asset there has its
image or its example picture.
"""

from dataclasses import dataclass, field
from datetime import timedelta
from itertools import islice

from django.utils import timezone
from django.utils.translation import gettext_noop

from apps.tickets.lifecycle import outcomes
from apps.tickets.models import AssetRemoval, ExamplePicture, Image
from apps.tickets.models.kind import EXAMPLE_PREFIX
from apps.tickets.models.statuses import ImageStatus
from apps.tickets.models.transition import acting_as
from apps.tickets.storage import cloudinary, removal

# Cloudinary's listing may lag behind an upload, so images stored more recently are not reported as missing.
GRACE = timedelta(minutes=10)
CHUNK = 500


@dataclass
class Findings:
    """The findings of an audit. If the lists are empty, both sides agree."""

    assets: int = 0
    images: int = 0
    orphans: list[str] = field(default_factory=list)  # public_ids at Cloudinary without an image
    missing: list[Image] = field(default_factory=list)  # stored images without an asset
    different: list[Image] = field(default_factory=list)  # stored images whose asset has another number of bytes
    missing_examples: list[ExamplePicture] = field(default_factory=list)  # which only staff can choose anew

    @property
    def agree(self) -> bool:
        return not (self.orphans or self.missing or self.different or self.missing_examples)


def audit_assets(*, grace: timedelta = GRACE) -> Findings:
    """Compare both sides. One Admin call for 500 assets. Raises cloud.CloudError.

    Photos in flight, and assets already scheduled for removal, are not findings.
    """
    before = timezone.now() - grace  # before the listing: images stored during it are too recent to check
    bytes_by_id = {asset.public_id: asset.bytes for asset in cloudinary.list_assets()}
    findings = Findings(assets=len(bytes_by_id), orphans=_unclaimed(bytes_by_id))
    for image in _stored(before=before):
        findings.images += 1
        if image.public_id not in bytes_by_id:
            findings.missing.append(image)
        elif bytes_by_id[image.public_id] != image.size:
            findings.different.append(image)
    _compare_examples(findings, before=before)
    return findings


def mend(findings: Findings) -> None:
    """Schedule the removal of orphans, and mark images whose photo is missing as failed."""
    for public_id in findings.orphans:
        # The row of an example picture is written after its upload: whoever removes it looks once more whether it came.
        wait = GRACE if removal.example_id_of(public_id) else timedelta()
        removal.schedule_removal(public_id, due_at=timezone.now() + wait)
    with acting_as("audit"):
        for image in findings.missing:
            outcomes.record_asset_lost(
                image, code="asset_missing", detail=gettext_noop("Cloudinary no longer holds this photo.")
            )
        for image in findings.different:
            outcomes.record_asset_lost(
                image, code="asset_changed", detail=gettext_noop("Cloudinary holds other bytes than were sent.")
            )


def _compare_examples(findings: Findings, *, before) -> None:
    """`assets` counts photos alone."""
    there = {asset.public_id for asset in cloudinary.list_assets(EXAMPLE_PREFIX)}
    pictures = {picture.public_id: picture for picture in ExamplePicture.objects.all()}
    leaving = set(AssetRemoval.objects.values_list("public_id", flat=True))
    findings.orphans += sorted(there - pictures.keys() - leaving)
    findings.missing_examples += [
        picture for name, picture in pictures.items() if name not in there and picture.created_at < before
    ]


def _stored(*, before):
    """Yields rows in chunks by primary key, one query each: none holds the connection, or memory for all rows."""
    chunk = images = Image.objects.filter(status=ImageStatus.STORED, stored_at__lt=before).order_by("pk")
    while found := list(chunk[:CHUNK]):
        yield from found
        chunk = images.filter(pk__gt=found[-1].pk)


def _unclaimed(public_ids) -> list[str]:
    leaving = set(AssetRemoval.objects.values_list("public_id", flat=True))
    remaining = iter(public_ids)
    orphans = []
    while chunk := list(islice(remaining, CHUNK)):
        image_ids = [image_id for public_id in chunk if (image_id := removal.image_id_of(public_id))]
        claiming = Image.objects.that_may_have_an_asset().filter(pk__in=image_ids)
        kept = leaving | {image.public_id for image in claiming.only("pk")}
        orphans += [public_id for public_id in chunk if public_id not in kept]
    return orphans
