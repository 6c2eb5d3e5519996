"""Secrets that must be read again, encrypted for the database, and keys that are derived from SECRET_KEY.

Secrets that are only compared are hashed instead.
"""

from base64 import urlsafe_b64encode

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

# Never to change: it makes the key of whoever has set none.
DERIVED_FOR = b"hopla: key that encrypts secrets"


class SecretUnreadableError(Exception):
    """None of ENCRYPTION_KEYS decrypts it: the one that encrypted it was taken away, or SECRET_KEY was changed."""


def derived_key(purpose: bytes) -> bytes:
    """32 bytes, always the same for a SECRET_KEY and a purpose, and of no use for another purpose."""
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=purpose).derive(settings.SECRET_KEY.encode())


def encrypt(secret: str) -> str:
    """Returns the secret, encrypted by the first of ENCRYPTION_KEYS: ASCII, four thirds as long and 100 more."""
    return _keys().encrypt(secret.encode()).decode()


def decrypt(encrypted: str) -> str:
    """Returns the secret. Raises SecretUnreadableError."""
    try:
        return _keys().decrypt(encrypted).decode()
    except InvalidToken as exc:
        raise SecretUnreadableError from exc


def _keys() -> MultiFernet:
    keys = settings.ENCRYPTION_KEYS or [derived_key(DERIVED_FOR)]
    return MultiFernet([Fernet(urlsafe_b64encode(key)) for key in keys])
