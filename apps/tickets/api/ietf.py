"""What the IETF's resumable uploads have in headers, by draft-ietf-httpbis-resumable-upload, interop versions 6 and 8.

A client asks for it with `Upload-Complete` on the bare bytes of a photo, and learns where to go on from an interim
answer, 104. No client that does not name a version sees any of it.
"""

import http_sf
from django.conf import settings

from apps.common.http.request_body import body_of
from apps.tickets.api.tus import length_in
from apps.tickets.errors import UploadCompleteInvalidError, UploadLengthInvalidError, UploadOffsetMismatchError
from apps.tickets.models import Image
from apps.tickets.resumable.state import Upload

VERSIONS = ("6", "8")
WITH_LIMITS = "8"
CONTENT_TYPE = "application/partial-upload"
MISMATCH = "https://iana.org/assignments/http-problem-types#mismatching-upload-offset"


def asks_to_resume(request) -> bool:
    """Returns whether a photo that is posted at once is to be resumed if it breaks off."""
    is_bare = request.META.get("CONTENT_TYPE", "").lower().startswith("image/")
    return "HTTP_UPLOAD_COMPLETE" in request.META and is_bare and version_of(request) is not None


def version_of(request) -> str | None:
    """Returns the client's version, None for one that is not known here."""
    version = request.headers.get("Upload-Draft-Interop-Version", "").strip()
    return version if version in VERSIONS else None


def is_last_in(request) -> bool:
    """Returns whether the upload ends with this request. Raises UploadCompleteInvalidError."""
    try:
        value, _parameters = http_sf.parse(request.headers.get("Upload-Complete", "").encode(), tltype="item")
    except ValueError as exc:
        raise UploadCompleteInvalidError from exc
    if not isinstance(value, bool):
        raise UploadCompleteInvalidError
    return value


def announced_length(request, *, is_last: bool) -> int | None:
    """Returns the length of a new upload, None if unknown. Raises UploadLengthInvalidError for two that differ."""
    length, of_body = length_in(request), body_of(request).length
    if not is_last or of_body is None:
        return length
    if length not in (None, of_body):
        raise UploadLengthInvalidError
    return of_body


def tell_where_to_resume(request, location: str) -> None:
    """Send the interim answer 104, if the server and the client can."""
    sock = request.META.get("gunicorn.socket")
    if sock is None or request.META.get("SERVER_PROTOCOL") != "HTTP/1.1":
        return
    fields = {"Location": location, **own_headers(request)}
    lines = ["HTTP/1.1 104 Upload Resumption Supported", *(f"{name}: {value}" for name, value in fields.items())]
    sock.sendall("\r\n".join([*lines, "", ""]).encode("ascii"))


def own_headers(request) -> dict[str, str]:
    """Returns the version that is spoken, and the limits for a client that knows them."""
    version = version_of(request)
    if version is None:
        return {}
    limits = {
        "max-size": settings.IMAGE_MAX_BYTES,
        "max-append-size": settings.IMAGE_MAX_BYTES,
        "max-age": settings.RESUMABLE_TTL_SECONDS,
    }
    of_limits = {"Upload-Limit": http_sf.ser(limits)} if version == WITH_LIMITS else {}
    return {"Upload-Draft-Interop-Version": version} | of_limits


def told_of(upload: Upload) -> dict[str, str]:
    """Returns the headers about an unfinished upload."""
    length = {} if upload.length is None else {"Upload-Length": str(upload.length)}
    return {"Upload-Offset": str(upload.offset), "Upload-Complete": "?0"} | length


def told_of_finished(image: Image) -> dict[str, str]:
    return {"Upload-Offset": str(image.size), "Upload-Complete": "?1", "Upload-Length": str(image.size)}


def add_mismatch(response, error: UploadOffsetMismatchError) -> None:
    """Say in the problem and in the headers where to go on."""
    response.data |= {"type": MISMATCH, "expected-offset": error.expected, "provided-offset": error.provided}
    response["Upload-Offset"] = str(error.expected)
    response["Upload-Complete"] = "?1" if error.is_finished else "?0"
