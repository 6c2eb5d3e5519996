"""Example pictures: uploaded in the admin, from memory to Cloudinary; no byte of them is on a disk of hopla's."""

from django.utils.translation import gettext_lazy as _

from apps.tickets import formats
from apps.tickets.models import ExamplePicture, KindSlot
from apps.tickets.storage import cloudinary

# What every browser shows.
FORMATS = ("jpeg", "png", "webp", "gif", "avif")


class ExampleRefusedError(Exception):
    """This picture cannot be kept; the message is for staff."""


def keep_example(content: bytes) -> ExamplePicture:
    """Store it at Cloudinary under a name of its own, and return its row. Raises ExampleRefusedError.

    Not to be called in a transaction: it waits for Cloudinary. What nobody uses in the end stays, and harms nobody.
    """
    try:
        header = formats.read_header(lambda offset, length: content[offset : offset + length], size=len(content))
    except formats.NotAPhotoError as exc:
        raise ExampleRefusedError(_("This is not a picture.")) from exc
    if header.format not in FORMATS:
        raise ExampleRefusedError(_("Not every browser shows such a picture: use JPEG, PNG, WebP, GIF or AVIF."))
    picture = ExamplePicture(size=len(content))
    try:
        asset = cloudinary.put(public_id=picture.public_id, content=content)
    except cloudinary.CloudError as exc:
        message = _("Cloudinary did not take the picture, try again later: {reason}").format(reason=_(exc.detail))
        raise ExampleRefusedError(message) from exc
    picture.asset_version, picture.asset_format = asset.version, asset.format
    picture.save(force_insert=True)
    return picture


def example_url_of(slot: KindSlot) -> str | None:
    """Where the example of this slot can be seen; None when it has none."""
    if (picture := slot.example) is None:
        return slot.example_link or None
    return cloudinary.delivery_url(
        public_id=picture.public_id, version=picture.asset_version, format=picture.asset_format
    )
