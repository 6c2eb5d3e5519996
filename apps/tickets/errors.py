"""Why a photo or a request is refused: each error has its own stable code and HTTP status."""

from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import APIException

from apps.common.api.errors import (
    TemporarilyUnavailableError,  # noqa: F401 (refuses photos, too)
)


class ImageMissingError(APIException):
    status_code = 400
    default_code = "image_missing"
    default_detail = _("No photo came: send one file in the multipart field `image`, or the bare bytes of one.")


class ImageEmptyError(APIException):
    status_code = 400
    default_code = "image_empty"
    default_detail = _("The file is empty.")


class OneImagePerRequestError(APIException):
    status_code = 400
    default_code = "one_image_per_request"
    default_detail = _("Send one photo per request.")


class ImageTooLargeError(APIException):
    status_code = 413
    default_code = "image_too_large"
    default_detail = _("The photo is larger than the limit of {max_bytes} bytes.")

    def __init__(self, *, max_bytes):
        super().__init__(self.default_detail.format(max_bytes=max_bytes))


class UnsupportedImageError(APIException):
    status_code = 415
    default_code = "unsupported_image"
    default_detail = _("This is not a JPEG, PNG, GIF, WebP, HEIC, AVIF, TIFF or BMP image by its content.")


class RawImageError(UnsupportedImageError):
    default_detail = _(
        "This is a camera's raw file, and raw files are not taken: send a JPEG, HEIC or TIFF made from it."
    )


class EncodedImageError(UnsupportedImageError):
    default_detail = _("This is a photo in base64, which is text: send the bytes themselves.")


class UnsupportedTypeError(APIException):
    """The body's Content-Type is neither a form's nor an image's. The detail depends on what was sent."""

    status_code = 415
    default_code = "unsupported_media_type"
    default_detail = _(
        "Send the photo in a multipart form, in the field `image`, or its bytes as the body with their own type, such "
        "as Content-Type: image/jpeg."
    )
    details = {
        "": _(
            "The request has no Content-Type. Send the photo's bytes with their own type, such as Content-Type: "
            "image/jpeg, or a multipart form with the photo in the field `image`."
        ),
        "application/json": _(
            "Photos do not travel in JSON, nor in base64: send the bytes themselves as the body, with a Content-Type "
            "such as image/jpeg, or a multipart form with the photo in the field `image`."
        ),
        "application/x-www-form-urlencoded": _(
            "A form of this type carries no files: send it as multipart/form-data (in HTML: "
            'enctype="multipart/form-data"), with the photo in the field `image`.'
        ),
        "multipart/": _("Of multipart bodies only multipart/form-data is taken, with the photo in the field `image`."),
    }

    def __init__(self, content_type):
        name = content_type.partition(";")[0].strip().lower()
        name = "multipart/" if name.startswith("multipart/") else name
        super().__init__(self.details.get("application/json" if name.endswith("+json") else name))


class ImageTooManyPixelsError(APIException):
    status_code = 422
    default_code = "image_too_many_pixels"
    default_detail = _("The photo has more than {max_pixels} pixels.")

    def __init__(self, *, max_pixels):
        super().__init__(self.default_detail.format(max_pixels=max_pixels))


class DigestMismatchError(APIException):
    status_code = 400
    default_code = "digest_mismatch"
    default_detail = _("The bytes that arrived do not have the sha-256 that Content-Digest announced.")


class DigestInvalidError(APIException):
    status_code = 400
    default_code = "digest_invalid"
    default_detail = _("Content-Digest must hold a sha-256, such as sha-256=:<base64>: (RFC 9530).")


class IdempotencyKeyInvalidError(APIException):
    status_code = 400
    default_code = "idempotency_key_invalid"
    default_detail = _("An Idempotency-Key has 1 to 255 printable ASCII characters.")


class IdempotencyKeyReusedError(APIException):
    status_code = 422
    default_code = "idempotency_key_reused"
    default_detail = _("This Idempotency-Key was used for another request.")


class IdempotencyInFlightError(APIException):
    status_code = 409
    default_code = "idempotency_in_flight"
    default_detail = _("The first request with this Idempotency-Key is still under way.")
    wait = 1


class TicketFullError(APIException):
    status_code = 409
    default_code = "ticket_full"
    default_detail = _("Every place of this ticket is taken.")


class SlotUnknownError(APIException):
    status_code = 400
    default_code = "slot_unknown"
    default_detail = _("This ticket has no slot of that name.")


class SlotAmbiguousError(APIException):
    status_code = 400
    default_code = "slot_ambiguous"
    default_detail = _("More than one slot was named: name one, in the form or in the query.")


class SlotRequiredError(APIException):
    status_code = 400
    default_code = "slot_required"
    default_detail = _("Every place that is free has a name: say which in `slot`.")


class SlotTakenError(APIException):
    status_code = 409
    default_code = "slot_taken"
    default_detail = _("A photo has taken this slot already.")


class TicketCompletedError(APIException):
    status_code = 409
    default_code = "ticket_completed"
    default_detail = _("This ticket is completed: all of its photos are stored.")


class TicketCancelledError(APIException):
    status_code = 409
    default_code = "ticket_cancelled"
    default_detail = _("This ticket was cancelled.")


class TicketExpiredError(APIException):
    status_code = 410
    default_code = "ticket_expired"
    default_detail = _("This ticket has expired.")


class UploadOffsetMismatchError(APIException):
    """`expected`: the bytes that have come, of a finished one all; `provided`: what the request said."""

    status_code = 409
    default_code = "upload_offset_mismatch"
    default_detail = _("The upload has come to {expected} bytes: go on there.")

    def __init__(self, *, expected, provided, is_finished=False):
        self.expected, self.provided, self.is_finished = expected, provided, is_finished
        super().__init__(self.default_detail.format(expected=expected))


class UploadOvertakenError(APIException):
    status_code = 423  # after 409, clients of tus begin anew
    default_code = "upload_overtaken"
    default_detail = _("A newer request for this upload has taken over. What had come was kept.")


class UploadLengthInvalidError(APIException):
    status_code = 400
    default_code = "upload_length_invalid"
    default_detail = _(
        "Say once how long the upload is: Upload-Length in bytes, or Upload-Defer-Length: 1 to say it later, and not "
        "less than has come."
    )


class UploadCompleteInvalidError(APIException):
    status_code = 400
    default_code = "upload_complete_invalid"
    default_detail = _("Say in Upload-Complete whether the photo ends with this request: ?1, or ?0 when more follows.")


class UploadOffsetInvalidError(APIException):
    status_code = 400
    default_code = "upload_offset_invalid"
    default_detail = _("Say in Upload-Offset how many bytes the upload has come to.")


class UploadMetadataInvalidError(APIException):
    status_code = 400
    default_code = "upload_metadata_invalid"
    default_detail = _("Upload-Metadata has pairs of a name and a value in base64, such as: filename a2l0Y2hlbi5qcGc=")


class UploadConcatUnsupportedError(APIException):
    status_code = 400
    default_code = "upload_concat_unsupported"
    default_detail = _("Uploads are not joined here: send the photo as one upload, without Upload-Concat.")


class UploadTooLongError(APIException):
    status_code = 413
    default_code = "upload_too_long"
    default_detail = _("The body goes past the end of the upload.")


class UploadFinishedError(APIException):
    status_code = 403
    default_code = "upload_finished"
    default_detail = _("The upload is finished, and its photo accepted: it cannot be taken back.")


class UploadExpiredError(APIException):
    status_code = 410
    default_code = "upload_expired"
    default_detail = _("The upload has expired: no byte came for too long. Begin a new one.")


class ChecksumInvalidError(APIException):
    status_code = 400
    default_code = "checksum_invalid"
    default_detail = _("Upload-Checksum has sha1, sha256 or md5 and the checksum in base64, such as: sha1 <base64>")


class ChecksumMismatchError(APIException):
    status_code = 460
    default_code = "checksum_mismatch"
    default_detail = _("The bytes that arrived do not have this checksum. They were forgotten: send them again.")


class TusVersionError(APIException):
    status_code = 412
    default_code = "tus_version"
    default_detail = _("Resumable uploads are taken by version 1.0.0 of tus: send Tus-Resumable: 1.0.0.")


class UploadTypeError(APIException):
    status_code = 415
    default_code = "unsupported_media_type"
    default_detail = _(
        "Send the bytes of an upload with Content-Type: application/offset+octet-stream, as tus does, or "
        "application/partial-upload, as the IETF's resumable uploads do."
    )


class DirectUploadsOffError(APIException):
    status_code = 403
    default_code = "direct_uploads_off"
    default_detail = _("Photos are not sent to Cloudinary directly here: post them to this API.")


class DirectUploadSettledError(APIException):
    status_code = 403
    default_code = "upload_finished"
    default_detail = _("The photo has come, or it was awaited no longer: there is nothing to take back.")


class NotADirectUploadError(APIException):
    status_code = 409
    default_code = "not_a_direct_upload"
    default_detail = _("This photo came through this API: there is nothing to confirm.")


class ConfirmationSignatureError(APIException):
    status_code = 400
    default_code = "confirmation_signature_invalid"
    default_detail = _("This is not an answer that Cloudinary has signed for this photo.")


class NotificationSignatureError(APIException):
    status_code = 403
    default_code = "notification_signature_invalid"
    default_detail = _("This notification is not signed by this service's account at Cloudinary.")


class NotificationTimeError(APIException):
    status_code = 403
    default_code = "notification_time_invalid"
    default_detail = _("This notification is too old, or from the future.")


class SlowUploadError(APIException):
    """Unlike 408, clients that resume take 503 for a reason to go on."""

    status_code = 503
    wait = 1
    default_code = "body_too_slow"
    default_detail = _("The body arrived too slowly. What had come was kept.")


class UploadQuotaExceededError(APIException):
    status_code = 429
    default_code = "upload_quota_exceeded"
    default_detail = _("You have uploaded as many bytes as one day allows. Try again in {wait} seconds.")

    def __init__(self, *, wait):
        self.wait = wait  # seconds; becomes the Retry-After header
        super().__init__(self.default_detail.format(wait=wait))


class StagingFullError(APIException):
    status_code = 503
    default_code = "staging_full"
    default_detail = _("Too many photos are waiting to be delivered. Try again in {wait} seconds.")

    def __init__(self, *, wait):
        self.wait = wait  # seconds; becomes the Retry-After header
        super().__init__(self.default_detail.format(wait=wait))


class ArchiveBusyError(APIException):
    status_code = 503
    default_code = "archive_busy"
    default_detail = _("As many archives as this server sends at once are under way. Try again shortly.")
    wait = 5
