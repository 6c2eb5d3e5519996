"""The manifest of a ticket: what the set consists of, byte for byte, as of one moment.

What hopla knows by itself is in it: the size and sha256 that it counted as the photo came, and when. Of a direct upload
it has what Cloudinary says instead, the size and an md5. What a photo only says of itself stands apart, in `claims`.
Photos that are not stored are no part of the set.
"""

from dataclasses import dataclass
from datetime import timezone
from functools import cached_property

import rfc8785
from django.utils.timezone import now

from apps.tickets.handover import signing
from apps.tickets.models import Image, read_ticket_with_images
from apps.tickets.models.statuses import ImageStatus


@dataclass(frozen=True)
class Manifest:
    content: dict
    images: list[Image]  # those of `photos`, in the same order

    @cached_property
    def canonical(self) -> bytes:
        return canonical(self.content)

    @cached_property
    def signed(self) -> str:
        """The canonical bytes as a JWS."""
        return signing.sign(self.canonical)


def canonical(content: dict) -> bytes:
    """By RFC 8785: equal contents have equal bytes, whoever writes them. Raises ValueError for what JSON cannot say."""
    return rfc8785.dumps(content)


def read_manifest(ticket_id: int, *, reader) -> Manifest:
    """Of the ticket as it is now, if this user may read it: one statement reads it all. Raises Ticket.DoesNotExist."""
    ticket = read_ticket_with_images(ticket_id, reader=reader)
    stored = [image for image in ticket.images_read if image.status == ImageStatus.STORED]
    return Manifest(
        content={
            "ticket_id": ticket.pk,
            "reference": ticket.reference,
            "metadata": ticket.metadata,
            "status": ticket.status,
            "num_images": ticket.num_images,
            "completed_at": _moment(ticket.completed_at),
            "issued_at": _moment(now().replace(microsecond=0)),  # so that no moment makes a longer manifest
            "photos": [_photo(image) for image in stored],
        },
        images=stored,
    )


def _photo(image: Image) -> dict:
    return {
        "position": image.position,
        "slot": image.slot,
        "image_id": str(image.pk),
        "filename": image.filename,
        "content_type": image.content_type,
        "size": image.size,
        "sha256": image.sha256 or None,
        "md5": image.md5 or None,
        "width": image.width,
        "height": image.height,
        "created_at": _moment(image.created_at),
        "stored_at": _moment(image.stored_at),
        "asset_id": image.asset_id,
        "claims": {
            "captured_at": image.captured_at,
            "location": {"latitude": image.latitude, "longitude": image.longitude} if image.shows_location else None,
            "camera": image.camera,
        },
    }


def _moment(moment) -> str | None:
    """As the rest of the API writes it."""
    return moment and moment.astimezone(timezone.utc).isoformat().replace("+00:00", "Z")
