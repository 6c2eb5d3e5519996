"""What tus 1.0.0 has in headers: read from requests, written to answers. See https://tus.io/protocols/resumable-upload."""

import base64
import binascii
import re

from django.conf import settings
from django.utils.http import http_date

from apps.tickets.errors import (
    ChecksumInvalidError,
    ChecksumMismatchError,
    UploadConcatUnsupportedError,
    UploadLengthInvalidError,
    UploadMetadataInvalidError,
    UploadOffsetInvalidError,
)
from apps.tickets.intake.parsers import text_of
from apps.tickets.models import Image
from apps.tickets.resumable.receiving import ALGORITHMS, Checksum
from apps.tickets.resumable.state import Upload

VERSION = "1.0.0"
EXTENSIONS = "creation,creation-with-upload,creation-defer-length,expiration,checksum,termination"
CONTENT_TYPE = "application/offset+octet-stream"
NUMBER = re.compile(r"[0-9]{1,18}")


def what_is_offered() -> dict[str, str]:
    """Returns the headers of the answer to OPTIONS."""
    return {
        "Tus-Version": VERSION,
        "Tus-Extension": EXTENSIONS,
        "Tus-Max-Size": str(settings.IMAGE_MAX_BYTES),
        "Tus-Checksum-Algorithm": ",".join(ALGORITHMS),
    }


def require_no_concatenation(request) -> None:
    """Refuse a part of a photo: as an upload of its own, the first part would be accepted as the photo."""
    if "HTTP_UPLOAD_CONCAT" in request.META:
        raise UploadConcatUnsupportedError


def announced_length(request) -> int | None:
    """Returns the length of a new upload, None where it is to be said later. Raises UploadLengthInvalidError."""
    later = request.headers.get("Upload-Defer-Length")
    length = length_in(request)
    if (later is None) == (length is None) or later not in (None, "1"):
        raise UploadLengthInvalidError
    return length


def length_in(request) -> int | None:
    """Returns Upload-Length, None without it. Raises UploadLengthInvalidError."""
    return _number(request.headers.get("Upload-Length"), UploadLengthInvalidError)


def offset_in(request) -> int:
    """Raises UploadOffsetInvalidError, also without the header."""
    offset = _number(request.headers.get("Upload-Offset"), UploadOffsetInvalidError)
    if offset is None:
        raise UploadOffsetInvalidError
    return offset


def _number(value: str | None, error: type[Exception]) -> int | None:
    if value is not None and not NUMBER.fullmatch(value):
        raise error
    return None if value is None else int(value)


def metadata_in(request) -> dict[str, str]:
    """Returns the names and values of Upload-Metadata. Raises UploadMetadataInvalidError."""
    header = request.headers.get("Upload-Metadata", "")
    if not header.strip():
        return {}
    values = {}
    for pair in header.split(","):
        name, _, encoded = pair.strip().partition(" ")
        if not re.fullmatch(r"[\x21-\x7e]+", name) or name in values:
            raise UploadMetadataInvalidError
        values[name] = text_of(_decoded(encoded.strip(), UploadMetadataInvalidError).decode("latin-1"))
    return values


def checksum_in(request) -> Checksum | None:
    """Returns Upload-Checksum, None without it. Raises ChecksumInvalidError."""
    header = request.headers.get("Upload-Checksum")
    if header is None:
        return None
    algorithm, _, encoded = header.strip().partition(" ")
    digest = _decoded(encoded.strip(), ChecksumInvalidError)
    if algorithm not in ALGORITHMS or len(digest) != ALGORITHMS[algorithm]().digest_size:
        raise ChecksumInvalidError
    return Checksum(algorithm, digest, ChecksumMismatchError)


def _decoded(encoded: str, error: type[Exception]) -> bytes:
    """Some clients leave the padding out."""
    try:
        return base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except (binascii.Error, ValueError) as exc:
        raise error from exc


def told_of(upload: Upload) -> dict[str, str]:
    """Returns the headers about an unfinished upload."""
    length = {"Upload-Defer-Length": "1"} if upload.length is None else {"Upload-Length": str(upload.length)}
    metadata = {"Upload-Metadata": upload.metadata} if upload.metadata else {}
    return {"Upload-Offset": str(upload.offset), **length, **metadata, **expiry_of(upload)}


def expiry_of(upload: Upload) -> dict[str, str]:
    return {"Upload-Expires": http_date(upload.expires_at)}


def told_of_finished(image: Image) -> dict[str, str]:
    """Likewise about a finished one, of which the image is left."""
    size = str(image.size)
    name = base64.b64encode(image.filename.encode()).decode()
    metadata = {"Upload-Metadata": f"filename {name}"} if name else {}
    return {"Upload-Offset": size, "Upload-Length": size, **metadata}
