"""What the published schema says of manifests and archives.

apps/tickets/handover/manifest.py writes the JSON itself, in canonical form; its fields are declared here for readers.
"""

from drf_yasg import openapi
from rest_framework.serializers import CharField, ChoiceField, DateTimeField, DictField, IntegerField, UUIDField

from apps.common.api.operations import operation, response
from apps.tickets import errors
from apps.tickets.api.serializers import shown_claims
from apps.tickets.api.shown import ShownSerializer, shown
from apps.tickets.models.statuses import TicketStatus


class ManifestClaimsSerializer(ShownSerializer):
    """What a photo says of itself in its EXIF, which anybody can write."""

    class Meta:
        ref_name = "ManifestClaims"

    captured_at, location, camera = shown_claims()


class ManifestPhotoSerializer(ShownSerializer):
    """One stored photo, as hopla accepted it."""

    class Meta:
        ref_name = "ManifestPhoto"

    position = shown(IntegerField, 1)
    slot = shown(CharField, None, allow_null=True, help_text="The name of its place; null where that has none.")
    image_id = shown(UUIDField, "7d0f8a34-52b5-4c5c-9a5c-1f6d3b9f0a11")
    filename = shown(CharField, "kitchen.jpg")
    content_type = shown(CharField, "image/jpeg")
    size = shown(IntegerField, 3482911)
    sha256 = shown(
        CharField,
        "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        allow_null=True,
        help_text="Null of a direct upload, whose bytes this service has not seen.",
    )
    md5 = shown(CharField, None, allow_null=True, help_text="Of a direct upload alone: what Cloudinary counted.")
    width = shown(IntegerField, 4032)
    height = shown(IntegerField, 3024)
    created_at = shown(DateTimeField, "2026-11-21T10:00:05.310000Z")
    stored_at = shown(DateTimeField, "2026-11-21T10:00:07.842000Z")
    asset_id = shown(CharField, "3515c6000a548515f1134043f9785c2f", help_text="Cloudinary's own id of the photo.")
    claims = shown(ManifestClaimsSerializer, ManifestClaimsSerializer.example())


class ManifestSerializer(ShownSerializer):
    """What a set consists of."""

    class Meta:
        ref_name = "Manifest"

    ticket_id = shown(IntegerField, 94)
    reference = shown(CharField, "", help_text="Your own id of the ticket.")
    metadata = shown(DictField, {}, child=CharField(), help_text="Strings of your own.")
    status = shown(ChoiceField, "completed", choices=TicketStatus.values)
    num_images = shown(IntegerField, 1)
    completed_at = shown(DateTimeField, "2026-11-21T10:00:07.842000Z", allow_null=True)
    issued_at = shown(DateTimeField, "2026-11-21T10:05:00Z")
    photos = shown(ManifestPhotoSerializer, [ManifestPhotoSerializer.example()], many=True)


READ_MANIFEST = operation(
    "tickets_manifest",
    "Read the manifest of a ticket",
    "What the set consists of, at this moment and in any state: the stored photos alone, with the size and the sha256 "
    "that hopla counted while they arrived; of direct uploads with the size and the md5 that Cloudinary counted. What "
    "a photo says of itself is apart from that, in `claims`. The JSON is in the canonical form of RFC 8785: equal "
    "manifests have equal bytes.\n\n"
    "With `Accept: application/jose` the same bytes are returned signed, as a compact JWS (EdDSA with Ed25519): it "
    "proves later, offline, which bytes were complete when. The keys are at `/.well-known/jwks.json`.",
    tag="tickets",
    produces=["application/json", "application/jose"],
    responses={
        200: response(
            "The manifest.",
            ManifestSerializer,
            example=ManifestSerializer.example(),
            headers={
                "Cache-Control": {"type": "string", "enum": ["private, no-store"], "x-required": True},
            },
        )
    },
)
READ_ARCHIVE = operation(
    "tickets_archive",
    "Download the photos of a ticket",
    "A zip, streamed, with Content-Length: the stored photos as they were sent, named by place and slot such as "
    "`003-kitchen.jpg`, `manifest.json` and, signed, `manifest.jws`. The sha256 of each photo, of a direct upload the "
    "md5, is compared on the way. "
    "If one does not match, the download is broken off: the connection ends before Content-Length is reached. Discard "
    "what was received.\n\n"
    "HEAD returns the length. A server sends few archives at once, and disconnects a client that takes less than 32 "
    "KiB a second.",
    tag="tickets",
    produces=["application/zip"],
    responses={
        200: response(
            "The archive.",
            openapi.Schema(type=openapi.TYPE_FILE),
            headers={
                "Content-Length": {"type": "integer", "description": "In bytes.", "x-required": True},
                "Content-Disposition": {"type": "string", "description": "A file name.", "x-required": True},
            },
        )
    },
    refusals=[errors.ArchiveBusyError],
)
