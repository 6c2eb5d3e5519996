"""What the published schema says of each operation of tickets and images beyond what the serializers tell."""

from drf_yasg import openapi
from drf_yasg.utils import no_body

from apps.common.api.operations import LOCATION, Refusal, header, operation, response
from apps.tickets import errors
from apps.tickets.api.serializers import (
    ImageSerializer,
    KindSerializer,
    NewTicketSerializer,
    ProgressSerializer,
    TicketDetailSerializer,
    TicketSerializer,
    TicketStatusSerializer,
    TicketWithSlotsSerializer,
)

NEW_TICKET = TicketWithSlotsSerializer.example(
    status="pending",
    progress=ProgressSerializer.example(received=0, stored=0, failed=0, remaining=7, percent=0),
    updated_at=TicketSerializer.example()["created_at"],
)
QUEUED_IMAGE = ImageSerializer.example(status="queued", url=None, thumbnail_url=None, attempts=0, stored_at=None)

IDEMPOTENCY_KEY = header(
    "Idempotency-Key",
    "A name of this request, chosen by the client and good for 24 hours: repeated with the same key and the same "
    "content it does nothing again and gets the first answer, with `Idempotent-Replayed: true`. 1 to 255 printable "
    "ASCII characters, no space at either end.",
    pattern="^[!-~]([ -~]{0,253}[!-~])?$",
    max_length=255,
)
REPLAYED = {
    "Idempotent-Replayed": {
        "type": "string",
        "enum": ["true"],
        "description": "This answer is the kept one of an earlier request with the same Idempotency-Key.",
    }
}
IDEMPOTENCY_REFUSALS = [
    errors.IdempotencyKeyInvalidError,
    errors.IdempotencyInFlightError,
    errors.IdempotencyKeyReusedError,
]

IF_NONE_MATCH = header("If-None-Match", "The ETag of the state that the client knows: 304 while it is still the same.")
VALIDATORS = {
    "ETag": {
        "type": "string",
        "description": "A strong validator, made from the state and the language alone.",
        "x-required": True,
    },
    "Cache-Control": {"type": "string", "enum": ["private, no-cache"], "x-required": True},
}
NOT_MODIFIED = response("The state is the one that If-None-Match names.", headers=VALIDATORS)

LIST_KINDS = operation(
    "kinds_list",
    "List kinds of tickets",
    "What tickets can be opened by, by name: templates with named places, instructions and examples, which staff make. "
    "Texts are in the language of the request.",
    tag="tickets",
)
READ_KIND = operation(
    "kinds_read",
    "Read a kind of tickets",
    "Texts are in the language of the request; else in English, or in the first language they are written in.",
    tag="tickets",
    responses={200: response("The kind.", KindSerializer, example=KindSerializer.example())},
)
LIST_TICKETS = operation(
    "tickets_list",
    "List your tickets",
    "Newest first, unless `ordering` says otherwise. Staff see the tickets of any user with `owner`.\n\n"
    "Pages are numbered; with `cursor` they are cursor pages instead.",
    tag="tickets",
)
OPEN_TICKET = operation(
    "tickets_create",
    "Open a ticket",
    "Declares how many photos make the set complete. Post them one by one to `images_url`, watch `status_url`.\n\n"
    "With `slots` its first places have names, in order: a photo says which it is for, and `missing` names those that "
    "no photo has taken. They are never changed.",
    tag="tickets",
    body=NewTicketSerializer,
    manual_parameters=[IDEMPOTENCY_KEY],
    responses={
        201: response(
            "The ticket.", TicketWithSlotsSerializer, example=NEW_TICKET, headers={"Location": LOCATION} | REPLAYED
        )
    },
    refusals=IDEMPOTENCY_REFUSALS,
)
READ_TICKET = operation(
    "tickets_read",
    "Read a ticket with its images",
    "The ticket and all of its images, by position.",
    tag="tickets",
    manual_parameters=[IF_NONE_MATCH],
    responses={
        200: response(
            "The ticket and its images.",
            TicketDetailSerializer,
            example=TicketDetailSerializer.example(),
            headers=VALIDATORS,
        ),
        304: NOT_MODIFIED,
    },
)
WATCH_TICKET = operation(
    "tickets_status",
    "Watch a ticket",
    "The short answer for polling: with `If-None-Match` it has no body until something has changed. `completed` comes "
    "exactly when the last declared photo is stored, once, and stays.",
    tag="tickets",
    manual_parameters=[IF_NONE_MATCH],
    responses={
        200: response(
            "Status and progress.",
            TicketStatusSerializer,
            example=TicketStatusSerializer.example(),
            headers=VALIDATORS,
        ),
        304: NOT_MODIFIED,
    },
)
LIST_IMAGES = operation(
    "images_list",
    "List the images of a ticket",
    "By position. Failed ones are among them; the photo that took such a place has the same position.",
    tag="images",
)
POST_IMAGE = operation(
    "images_create",
    "Post one photo",
    "One photo per request, in one of two forms:\n\n"
    "- a multipart form with the photo in the field `image`;\n"
    "- the bare bytes, with `Content-Type: image/*` and, for its name, `Content-Disposition: attachment; "
    'filename="kitchen.jpg"`:\n\n'
    "      curl -H 'Authorization: Token …' -H 'Content-Type: image/jpeg' \\\n"
    "           -H 'Content-Disposition: attachment; filename=\"kitchen.jpg\"' \\\n"
    "           --data-binary @kitchen.jpg https://hopla.example/api/v1/tickets/94/images/\n\n"
    "JPEG, PNG, GIF, WebP, HEIC, AVIF, TIFF and BMP are taken, told by content and not by name; raw files of cameras "
    "are not, nor is base64. On a ticket with slots a photo takes the place that `slot` names; without one, the first "
    "free place that has no name. A refusal takes no place and keeps nothing. The photo is delivered in the "
    "background: read the image, or watch the ticket.",
    tag="images",
    consumes=["multipart/form-data"],
    body=no_body,
    manual_parameters=[
        openapi.Parameter("image", openapi.IN_FORM, "The photo.", type=openapi.TYPE_FILE, required=True),
        openapi.Parameter(
            "slot",
            openapi.IN_QUERY,
            "The name of the place that the photo is for. A form may have it in a field `slot` instead, before or "
            "after the photo.",
            type=openapi.TYPE_STRING,
        ),
        header("Content-Disposition", "For bare bytes: the photo's name. A form names it in the part."),
        IDEMPOTENCY_KEY,
        header(
            "Content-Digest",
            "The sha-256 of the photo or of the whole body (RFC 9530): other bytes are refused.",
            pattern="^sha-256=:[A-Za-z0-9+/]{43}=:$",
        ),
        header(
            "Upload-Complete",
            "For bare bytes that can be resumed, by the IETF's resumable uploads: `?1` when the whole photo follows, "
            "`?0` when it is only its beginning.",
            enum=["?1", "?0"],
        ),
        header("Upload-Draft-Interop-Version", "The version of them that the client speaks.", enum=["6", "8"]),
        header("Upload-Length", "For them: how many bytes the photo has.", pattern="^[0-9]{1,18}$"),
    ],
    responses={
        201: response(
            "The beginning was taken (only for `Upload-Complete: ?0`): `Location` is where to send the rest.",
            headers={"Location": LOCATION}
            | {"Upload-Offset": {"type": "integer"}, "Upload-Complete": {"type": "string"}},
        ),
        202: response(
            "The photo was accepted; its delivery is queued.",
            ImageSerializer,
            example=QUEUED_IMAGE,
            headers={"Location": LOCATION} | REPLAYED,
        ),
    },
    refusals=[
        errors.ImageMissingError,
        errors.ImageEmptyError,
        errors.OneImagePerRequestError,
        errors.DigestInvalidError,
        errors.DigestMismatchError,
        Refusal(400, "parse_error", "The multipart form is malformed."),
        errors.SlotUnknownError,
        errors.SlotAmbiguousError,
        errors.SlotRequiredError,
        errors.SlotTakenError,
        errors.TicketFullError,
        errors.TicketCompletedError,
        errors.TicketCancelledError,
        errors.TicketExpiredError,
        errors.ImageTooLargeError,
        errors.UnsupportedTypeError,
        errors.UnsupportedImageError,
        errors.ImageTooManyPixelsError,
        *IDEMPOTENCY_REFUSALS,
        errors.UploadCompleteInvalidError,
        errors.UploadLengthInvalidError,
        errors.UploadTooLongError,
        errors.UploadOvertakenError,
        errors.UploadQuotaExceededError,
        errors.StagingFullError,
    ],
)
READ_IMAGE = operation(
    "images_read",
    "Read one image",
    "`url` and `thumbnail_url` are set once it is `stored`, `error` once an attempt came to nothing.",
    tag="images",
    responses={200: response("The image.", ImageSerializer, example=ImageSerializer.example())},
)
