"""Cloudinary's signatures, written from its documentation and not from its SDK, so that each checks the other.

https://cloudinary.com/documentation/authentication_signatures
"""

import base64
import hashlib
import hmac
import time
from datetime import datetime, timezone

from apps.sandbox.account import Account
from apps.sandbox.responses import Refused

NEVER_SIGNED = {"file", "cloud_name", "resource_type", "api_key", "signature"}
ALGORITHMS = {40: "sha1", 64: "sha256"}  # by the length of the hex digest
GOOD_FOR_SECONDS = 60 * 60


def string_to_sign(params: dict[str, str], *, version: int = 2) -> str:
    """The parameters as `a=1&b=2`, sorted; version 2 keeps a value's `&` from passing for a separator."""
    pairs = [f"{name}={value}" for name, value in params.items() if name not in NEVER_SIGNED and value != ""]
    if version >= 2:
        pairs = [pair.replace("&", "%26") for pair in pairs]
    return "&".join(sorted(pairs))


def sign(params: dict[str, str], secret: str, *, algorithm: str = "sha1", version: int = 2) -> str:
    """Hex digest of the string to sign followed by the secret. `algorithm` is sha1 or sha256."""
    return _digest(string_to_sign(params, version=version) + secret, algorithm).hex()


def sign_notification(body: bytes, timestamp: str, secret: str, *, algorithm: str) -> str:
    """Hex digest of body, timestamp and secret."""
    return hashlib.new(algorithm, body + f"{timestamp}{secret}".encode(), usedforsecurity=False).hexdigest()


def check_signed(params: dict[str, str], account: Account) -> None:
    """Return when `params` are signed by `account` within the last hour.

    Raises Refused: 401 for a wrong key or signature, 400 for a missing parameter or a stale timestamp.
    """
    if not params.get("signature") and not params.get("api_key"):
        raise Refused(400, "Upload preset must be specified when using unsigned upload")
    for name in ("api_key", "timestamp", "signature"):
        if not params.get(name):
            raise Refused(400, f"Missing required parameter - {name}")
    if not hmac.compare_digest(params["api_key"].encode(), account.api_key.encode()):
        raise Refused(401, f"Unknown API key {params['api_key']}")
    if not _signed_by(account.api_secret, params):
        signature, to_sign = params["signature"], string_to_sign(params)
        raise Refused(401, f"Invalid Signature {signature}. String to sign - '{to_sign}'.")
    _check_fresh(params["timestamp"])


def check_basic(header: str | None, account: Account) -> None:
    """Return when the Authorization header names the account's key and secret, else raise Refused with 401."""
    scheme, _, encoded = (header or "").partition(" ")
    if scheme.lower() != "basic":
        raise Refused(401, "Authorization Required", {"WWW-Authenticate": 'Basic realm="Cloudinary"'})
    try:
        key, _, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
    except ValueError as exc:
        raise Refused(401, "Authorization Required") from exc
    if not hmac.compare_digest(key.encode(), account.api_key.encode()):
        raise Refused(401, "unknown api_key")
    if not hmac.compare_digest(secret.encode(), account.api_secret.encode()):
        raise Refused(401, "api_secret mismatch")


def delivery_signatures(to_sign: str, secret: str) -> set[str]:
    """The `s--…--` components that open a delivery URL: short with sha1 or sha256, long with sha256."""
    sha1 = base64.urlsafe_b64encode(_digest(to_sign + secret, "sha1")).decode()
    sha256 = base64.urlsafe_b64encode(_digest(to_sign + secret, "sha256")).decode()
    return {f"s--{sha1[:8]}--", f"s--{sha256[:8]}--", f"s--{sha256[:32]}--"}


def _signed_by(secret: str, params: dict[str, str]) -> bool:
    signature = params["signature"]
    algorithm = ALGORITHMS.get(len(signature))
    if algorithm is None:
        return False
    candidates = [sign(params, secret, algorithm=algorithm, version=version) for version in (1, 2)]
    return any(hmac.compare_digest(candidate.encode(), signature.encode()) for candidate in candidates)


def _check_fresh(timestamp: str) -> None:
    try:
        reported = datetime.fromtimestamp(int(timestamp), timezone.utc)
    except (ValueError, OverflowError, OSError) as exc:
        raise Refused(400, f"Invalid timestamp - {timestamp}") from exc
    if reported.timestamp() < time.time() - GOOD_FOR_SECONDS:
        when = reported.strftime("%Y-%m-%d %H:%M:%S +0000")
        raise Refused(400, f"Stale request - reported time is {when} which is more than 1 hour ago")


def _digest(text: str, algorithm: str) -> bytes:
    # What Cloudinary's protocol asks for, sha1 too.
    return hashlib.new(algorithm, text.encode(), usedforsecurity=False).digest()
