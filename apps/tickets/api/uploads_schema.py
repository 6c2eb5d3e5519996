"""What the published schema says of resumable uploads."""

from drf_yasg.utils import no_body

from apps.common.api.operations import LOCATION, header, operation, response
from apps.tickets import errors
from apps.tickets.api.schema import IDEMPOTENCY_KEY, IDEMPOTENCY_REFUSALS, QUEUED_IMAGE, REPLAYED
from apps.tickets.api.serializers import ImageSerializer

TUS = header("Tus-Resumable", "The version of tus.", enum=["1.0.0"], required=True)
TUS_OR_IETF = header("Tus-Resumable", "The version of tus; without it the request is the IETF's.", enum=["1.0.0"])
TUS_ANSWER = {"Tus-Resumable": {"type": "string", "enum": ["1.0.0"], "description": "The version of tus."}}
IETF_ANSWER = {
    "Upload-Complete": {"type": "string", "enum": ["?0", "?1"], "description": "Whether that was all, for the IETF's."},
    "Upload-Limit": {"type": "string", "description": "Limits of an upload, for the IETF's."},
}
INTEROP_VERSION = header("Upload-Draft-Interop-Version", "The version of the IETF's.", enum=["6", "8"])
OFFSET = {"Upload-Offset": {"type": "integer", "description": "So many bytes have come.", "x-required": True}}
EXPIRES = {"Upload-Expires": {"type": "string", "description": "When it expires unless bytes come, an HTTP date."}}
PATH = {"type": "string", "format": "uri-reference", "x-required": True}
IMAGE_PATH = {
    "Content-Location": PATH
    | {"x-required": False, "description": "The path of the image, once the last byte is in and the photo accepted."}
}
LENGTH = header("Upload-Length", "How many bytes the photo has.", pattern="^[0-9]{1,18}$")
CHECKSUM = header(
    "Upload-Checksum",
    "The checksum of this request's body in base64, by `sha1`, `sha256` or `md5`, such as `sha1 <base64>`: other bytes "
    "are forgotten.",
    pattern="^(sha1|sha256|md5) [A-Za-z0-9+/]+={0,2}$",
)
CONTENT_DIGEST = header(
    "Content-Digest",
    "The sha-256 of this request's body (RFC 9530): other bytes end the upload.",
    pattern="^sha-256=:[A-Za-z0-9+/]{43}=:$",
)

TICKET_REFUSALS = [errors.TicketCompletedError, errors.TicketCancelledError, errors.TicketExpiredError]
PLACE_REFUSALS = [
    errors.SlotUnknownError,
    errors.SlotRequiredError,
    errors.SlotTakenError,
    errors.TicketFullError,
    *TICKET_REFUSALS,
]
PHOTO_REFUSALS = [
    errors.ImageEmptyError,
    errors.ImageTooLargeError,
    errors.UnsupportedImageError,
    errors.ImageTooManyPixelsError,
    errors.DigestInvalidError,
    errors.DigestMismatchError,
]
BODY_REFUSALS = [
    errors.ChecksumInvalidError,
    errors.ChecksumMismatchError,
    errors.UploadTooLongError,
    errors.UploadOvertakenError,
    errors.SlowUploadError,
    errors.UploadTypeError,
    errors.UploadLengthInvalidError,
    errors.StagingFullError,
]
HOLD_REFUSALS = [errors.TusVersionError, errors.UploadOvertakenError, errors.UploadExpiredError]
KEY_REFUSALS = [errors.IdempotencyInFlightError, errors.IdempotencyKeyReusedError]

BEGIN_UPLOAD = operation(
    "uploads_create",
    "Begin a resumable upload",
    "By tus 1.0.0 (https://tus.io), with any of its clients: `creation`, `creation-with-upload`, "
    "`creation-defer-length`, `expiration`, `checksum`, `termination`. Then PATCH the bytes to `Location`. The upload "
    "takes no place of the ticket until its last byte is in; then it is an image with the same id.",
    tag="uploads",
    consumes=["application/offset+octet-stream"],
    body=no_body,
    manual_parameters=[
        TUS,
        LENGTH,
        header("Upload-Defer-Length", "`1`: a PATCH will say how long it is.", enum=["1"]),
        header(
            "Upload-Metadata",
            "Pairs of a name and a value in base64, separated by commas. `filename`, `filetype` and `slot` are read.",
        ),
        IDEMPOTENCY_KEY,
        CHECKSUM,
        CONTENT_DIGEST,
        header("Repr-Digest", "The sha-256 of the whole photo (RFC 9530).", pattern="^sha-256=:[A-Za-z0-9+/]{43}=:$"),
    ],
    responses={
        201: response(
            "The upload has begun.",
            headers={"Location": PATH | {"description": "Where to send its bytes."}}
            | OFFSET
            | EXPIRES
            | IMAGE_PATH
            | TUS_ANSWER
            | REPLAYED,
        )
    },
    refusals=[
        errors.UploadMetadataInvalidError,
        errors.UploadConcatUnsupportedError,
        errors.SlotAmbiguousError,
        *PLACE_REFUSALS,
        *PHOTO_REFUSALS,
        *BODY_REFUSALS,
        *IDEMPOTENCY_REFUSALS,
        *HOLD_REFUSALS,
        errors.UploadQuotaExceededError,
    ],
)
ASK_UPLOAD = operation(
    "uploads_ask",
    "Ask how far an upload is",
    "A request that still sends bytes is ended by it, so that `Upload-Offset` is final.",
    tag="uploads",
    manual_parameters=[TUS_OR_IETF, INTEROP_VERSION],
    responses={
        200: response("So far, by tus.", headers=OFFSET | EXPIRES | IMAGE_PATH | TUS_ANSWER),
        204: response("So far, by the IETF's.", headers=OFFSET | IETF_ANSWER),
    },
    refusals=[*PLACE_REFUSALS, *PHOTO_REFUSALS, *KEY_REFUSALS, *HOLD_REFUSALS],
)
SEND_BYTES = operation(
    "uploads_send",
    "Send bytes of an upload",
    "From `Upload-Offset` on. Of a request that breaks off, what came is kept: ask how far the upload is, and go on "
    "there. The newest request wins: an older one under way is ended. With the last byte the photo is accepted, and "
    "`Content-Location` says where its image is. What stands against the photo is answered to the request that shows "
    "it, and the upload is gone.\n\n"
    "By the IETF's resumable uploads the bytes are `application/partial-upload`, with `Upload-Complete`.",
    tag="uploads",
    consumes=["application/offset+octet-stream", "application/partial-upload"],
    body=no_body,
    manual_parameters=[
        TUS_OR_IETF,
        INTEROP_VERSION,
        header("Upload-Complete", "For the IETF's: whether the photo ends with this request.", enum=["?1", "?0"]),
        header("Upload-Offset", "So many bytes have come.", pattern="^[0-9]{1,18}$", required=True),
        LENGTH,
        CHECKSUM,
        CONTENT_DIGEST,
    ],
    responses={
        202: response(
            "By the IETF's: that was all. The photo was accepted; its delivery is queued.",
            ImageSerializer,
            example=QUEUED_IMAGE,
            headers={"Location": LOCATION} | OFFSET | IETF_ANSWER,
        ),
        204: response("They were taken.", headers=OFFSET | EXPIRES | IMAGE_PATH | TUS_ANSWER | IETF_ANSWER),
    },
    refusals=[
        errors.UploadCompleteInvalidError,
        errors.UploadOffsetInvalidError,
        errors.UploadOffsetMismatchError,
        *PLACE_REFUSALS,
        *PHOTO_REFUSALS,
        *BODY_REFUSALS,
        *KEY_REFUSALS,
        *HOLD_REFUSALS,
    ],
)
TAKE_BACK_UPLOAD = operation(
    "uploads_delete",
    "Take an upload back",
    "Its bytes are dropped. One whose photo has been accepted stays.",
    tag="uploads",
    manual_parameters=[TUS_OR_IETF],
    responses={204: response("It is gone.", headers=TUS_ANSWER)},
    refusals=[errors.UploadFinishedError, *HOLD_REFUSALS],
)
