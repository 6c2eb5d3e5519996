"""Content-Digest (RFC 9530): the client says which sha-256 its bytes have, and others are refused."""

import base64
import binascii
import re

from apps.tickets.errors import DigestInvalidError, DigestMismatchError

SHA_256_MEMBER = re.compile(r"(?:^|,)\s*sha-256=:([A-Za-z0-9+/=]*):\s*(?=$|[,;])")


def announced_sha256(request, name: str = "Content-Digest") -> str | None:
    """Returns the sha-256 of the request's Content-Digest, or Repr-Digest, in hex, or None without the header.

    Raises DigestInvalidError.
    """
    header = request.META.get("HTTP_" + name.upper().replace("-", "_"))  # `headers` would hold a copy of all
    if header is None:
        return None
    member = SHA_256_MEMBER.search(header)
    try:
        digest = base64.b64decode(member[1], validate=True) if member else b""
    except binascii.Error as exc:
        raise DigestInvalidError from exc
    if len(digest) != 32:
        raise DigestInvalidError
    return digest.hex()


def require_digest(announced: str | None, *, photo_sha256: str, body_sha256: str | None) -> None:
    """Raise DigestMismatchError unless the announced digest is that of the photo or of the whole body.

    By the RFC it is the body's. For a form that covers boundaries and headers too, and many clients can only hash the
    file they hold: either proves that the photo arrived as it was sent.
    """
    if announced is not None and announced not in (photo_sha256, body_sha256):
        raise DigestMismatchError
