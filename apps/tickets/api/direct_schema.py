"""What the published schema says of direct uploads."""

from drf_yasg import openapi

from apps.common.api.operations import LOCATION, Refusal, header, operation, response
from apps.tickets import errors
from apps.tickets.api.schema import IDEMPOTENCY_KEY, IDEMPOTENCY_REFUSALS, REPLAYED
from apps.tickets.api.serializers import (
    AWAITED_IMAGE,
    ConfirmationSerializer,
    DirectUploadSerializer,
    ImageSerializer,
    NewDirectUploadSerializer,
    NotificationOutcomeSerializer,
)
from apps.tickets.api.uploads_schema import PLACE_REFUSALS

BEGIN_DIRECT_UPLOAD = operation(
    "direct_uploads_create",
    "Begin a direct upload",
    "Where `DIRECT_UPLOADS` is on: the client posts the photo straight to Cloudinary, with the signed form that this "
    "returns. The photo takes its place now, and counts as received. It is `stored` once Cloudinary itself says what "
    "it holds; send Cloudinary's answer to `confirm` to hasten that. If it has not come until `expires_at`, it is "
    "`failed` and its place free.\n\n"
    "`size` and `md5` are compared with what comes. Of its type and content Cloudinary decides.",
    tag="direct uploads",
    body=NewDirectUploadSerializer,
    manual_parameters=[IDEMPOTENCY_KEY],
    responses={
        201: response(
            "The form, and the image that awaits its upload.",
            DirectUploadSerializer,
            example=DirectUploadSerializer.example(),
            headers={"Location": LOCATION} | REPLAYED,
        )
    },
    refusals=[
        errors.DirectUploadsOffError,
        errors.ImageEmptyError,
        errors.ImageTooLargeError,
        errors.UnsupportedImageError,
        errors.SlotAmbiguousError,
        *PLACE_REFUSALS,
        *IDEMPOTENCY_REFUSALS,
        errors.UploadQuotaExceededError,
    ],
)
TAKE_BACK_DIRECT_UPLOAD = operation(
    "direct_uploads_delete",
    "Take a direct upload back",
    "Its place is free at once, for the same photo through this API, say. What has come meanwhile, or still comes, is "
    "removed from Cloudinary.",
    tag="direct uploads",
    responses={204: response("It is gone.")},
    refusals=[errors.DirectUploadSettledError],
)
CONFIRM_DIRECT_UPLOAD = operation(
    "images_confirm",
    "Confirm a direct upload",
    "Send Cloudinary's answer to the upload, as it came. Its signature covers `public_id` and `version`; nothing else "
    "in it is read. Cloudinary is then asked within seconds, unless its own notification comes first.",
    tag="direct uploads",
    body=ConfirmationSerializer,
    responses={
        200: response("The photo is settled already.", ImageSerializer, example=ImageSerializer.example()),
        202: response("Cloudinary will be asked.", ImageSerializer, example=AWAITED_IMAGE),
    },
    refusals=[errors.ConfirmationSignatureError, errors.NotADirectUploadError],
)
TAKE_NOTIFICATION = operation(
    "cloudinary_notifications_create",
    "Take a notification of Cloudinary's",
    "For Cloudinary alone, which posts here what came by a form of this service. Of other things it is told without "
    "doing anything.",
    tag="direct uploads",
    public=True,
    body=openapi.Schema(
        type=openapi.TYPE_OBJECT,
        description="As Cloudinary has it.",
        properties={"notification_type": openapi.Schema(type=openapi.TYPE_STRING)},
    ),
    manual_parameters=[
        header("X-Cld-Timestamp", "Seconds since 1970.", required=True),
        header("X-Cld-Signature", "The digest of body, timestamp and secret, in hex.", required=True),
    ],
    responses={
        200: response(
            "It was understood.", NotificationOutcomeSerializer, example=NotificationOutcomeSerializer.example()
        )
    },
    refusals=[
        errors.NotificationSignatureError,
        errors.NotificationTimeError,
        Refusal(413, "request_too_large", "The request is too large."),
    ],
)
