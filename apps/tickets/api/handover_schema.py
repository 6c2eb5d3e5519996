"""What the published schema says of manifests and archives."""

from drf_yasg import openapi
from rest_framework import serializers

from apps.common.api.operations import answer, operation
from apps.tickets import errors
from apps.tickets.models import Image, Ticket
from apps.tickets.models.statuses import TicketStatus


class ManifestPhotoSerializer(serializers.ModelSerializer):
    """One stored photo, as hopla took it in."""

    slot = serializers.CharField(allow_null=True, read_only=True)
    image_id = serializers.UUIDField(read_only=True)
    asset_id = serializers.CharField(read_only=True, help_text="Cloudinary's own id of the photo.")

    class Meta:
        model = Image
        ref_name = "ManifestPhoto"
        fields = [
            "position",
            "slot",
            "image_id",
            "filename",
            "content_type",
            "size",
            "sha256",
            "width",
            "height",
            "created_at",
            "stored_at",
            "asset_id",
        ]
        read_only_fields = fields


class ManifestSerializer(serializers.ModelSerializer):
    """What a set consists of."""

    ticket_id = serializers.IntegerField(read_only=True)
    reference = serializers.CharField(allow_null=True, read_only=True)
    metadata = serializers.DictField(child=serializers.CharField(), read_only=True)
    status = serializers.ChoiceField(choices=TicketStatus.values, read_only=True)
    issued_at = serializers.DateTimeField(read_only=True)
    photos = ManifestPhotoSerializer(many=True, read_only=True)

    class Meta:
        model = Ticket
        ref_name = "Manifest"
        fields = [
            "ticket_id",
            "reference",
            "metadata",
            "status",
            "num_images",
            "completed_at",
            "issued_at",
            "photos",
        ]
        read_only_fields = fields


MANIFEST = {
    "ticket_id": 94,
    "reference": None,
    "metadata": {},
    "status": "completed",
    "num_images": 1,
    "completed_at": "2026-11-21T10:00:07.842000Z",
    "issued_at": "2026-11-21T10:05:00Z",
    "photos": [
        {
            "position": 1,
            "slot": None,
            "image_id": "7d0f8a34-52b5-4c5c-9a5c-1f6d3b9f0a11",
            "filename": "kitchen.jpg",
            "content_type": "image/jpeg",
            "size": 3482911,
            "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            "width": 4032,
            "height": 3024,
            "created_at": "2026-11-21T10:00:05.310000Z",
            "stored_at": "2026-11-21T10:00:07.842000Z",
            "asset_id": "3515c6000a548515f1134043f9785c2f",
        }
    ],
}

READ_MANIFEST = operation(
    "tickets_manifest",
    "Read the manifest of a ticket",
    "What the set consists of, at this moment and in any state: the stored photos alone, with the size and the sha256 "
    "that hopla counted as they came. The JSON is in the canonical form of RFC 8785: equal manifests have equal "
    "bytes.\n\n"
    "With `Accept: application/jose` the same bytes come signed, as a compact JWS (EdDSA with Ed25519): who holds it "
    "can prove later, offline, which bytes were complete when. The keys are at `/.well-known/jwks.json`.",
    tag="tickets",
    produces=["application/json", "application/jose"],
    answers={
        200: answer(
            "The manifest.",
            ManifestSerializer,
            example=MANIFEST,
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
    "`003-kitchen.jpg`, `manifest.json` and, signed, `manifest.jws`. The sha256 of each photo is compared on the way. "
    "One that does not match breaks the download off: the connection ends before Content-Length is reached, and what "
    "came is to be thrown away.\n\n"
    "HEAD tells the length. Only so many are sent at once; a client that takes less than 32 KiB a second is cut off.",
    tag="tickets",
    produces=["application/zip"],
    answers={
        200: answer(
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
