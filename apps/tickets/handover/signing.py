"""Manifests signed by Ed25519, as compact JWS (RFC 7515, RFC 8037), and the public keys for whoever verifies them."""

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from django.conf import settings
from jwt.api_jws import PyJWS
from jwt.exceptions import PyJWTError
from jwt.utils import base64url_decode, base64url_encode

from apps.common.encryption import derived_key

ALGORITHM = "EdDSA"
# What was signed cannot pass for a token of any other kind, nor one of those for a manifest.
TYPE = "hopla-manifest+jws"
# Never to change: it makes the key of whoever has set none.
DERIVED_FOR = b"hopla: key that signs manifests"

_jws = PyJWS(algorithms=[ALGORITHM])


class NotVerifiedError(Exception):
    """The text says, in a sentence, what is wrong with a signed manifest."""


@dataclass(frozen=True)
class SigningKey:
    seed: bytes  # 32 bytes: the private key, as RFC 8032 has it

    def sign(self, payload: bytes) -> str:
        """The payload as a compact JWS."""
        return _jws.encode(payload, self._private_key, ALGORITHM, {"typ": TYPE, "kid": self.id})

    @cached_property
    def id(self) -> str:
        """The thumbprint of the public key (RFC 7638)."""
        members = json.dumps(self._public_members, sort_keys=True, separators=(",", ":"))
        return base64url_encode(hashlib.sha256(members.encode()).digest()).decode()

    @property
    def jwk(self) -> dict[str, str]:
        """The public key (RFC 7517, RFC 8037)."""
        return self._public_members | {"kid": self.id, "use": "sig", "alg": ALGORITHM}

    @cached_property
    def _private_key(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self.seed)

    @cached_property
    def _public_members(self) -> dict[str, str]:
        public = self._private_key.public_key().public_bytes_raw()
        return {"crv": "Ed25519", "kty": "OKP", "x": base64url_encode(public).decode()}


def signing_keys() -> list[SigningKey]:
    """Those of MANIFEST_SIGNING_KEY, the first of which signs; without any, one derived from SECRET_KEY."""
    return [SigningKey(seed) for seed in settings.MANIFEST_SIGNING_KEY or [derived_key(DERIVED_FOR)]]


def sign(payload: bytes) -> str:
    return signing_keys()[0].sign(payload)


def public_keys() -> dict:
    """The JWK Set of all keys."""
    return {"keys": [key.jwk for key in signing_keys()]}


def verified_payload(jws: str, jwks: dict) -> bytes:
    """What was signed, if one of these keys has signed it as a manifest. Raises NotVerifiedError."""
    parts = jws.split(".")
    if len(parts) != 3 or not all(map(_is_base64url, parts)):
        raise NotVerifiedError("This is not a compact JWS: three parts in base64url, joined by dots.")
    try:
        header = _jws.get_unverified_header(jws)
        if (header.get("alg"), header.get("typ")) != (ALGORITHM, TYPE):
            raise NotVerifiedError(f"Its header does not say that it is a manifest: {ALGORITHM}, {TYPE}.")
        return _jws.decode(jws, _public_key(header.get("kid"), jwks), algorithms=[ALGORITHM])
    except (PyJWTError, RecursionError) as exc:
        raise NotVerifiedError("The signature is not that of the key that it names.") from exc


def _public_key(kid, jwks: dict) -> Ed25519PublicKey:
    for jwk in jwks["keys"]:
        if isinstance(jwk, dict) and jwk.get("kid") == kid is not None:
            try:
                return Ed25519PublicKey.from_public_bytes(base64url_decode(jwk["x"]))
            except (KeyError, TypeError, ValueError, UnsupportedAlgorithm) as exc:
                raise NotVerifiedError(f"The key {kid} cannot be used: it is none of Ed25519.") from exc
    raise NotVerifiedError(f"It is signed by the key {kid}, which is not among those to verify with.")


def _is_base64url(part: str) -> bool:
    """In the one spelling that its bytes have: others would be read as the same."""
    try:
        return base64url_encode(base64url_decode(part)).decode() == part
    except ValueError:
        return False
