"""What an API key looks like: `hopla_`, 43 letters and digits by chance, and a checksum of them in 6 more.

The beginning and the checksum let scanners find a key that was published, and nothing else; and they tell one that was
not copied whole, without a look at the database. As hard to guess as 32 random bytes.
"""

import hashlib
import re
import secrets
import zlib
from string import ascii_lowercase, ascii_uppercase, digits

BEGINNING = "hopla_"
BASE62 = digits + ascii_uppercase + ascii_lowercase
CHANCE_LENGTH = 43  # 62 ** 43 > 2 ** 256
CHECKSUM_LENGTH = 6  # 62 ** 6 > 2 ** 32
PREFIX_LENGTH = len(BEGINNING) + 6

KEY = re.compile(rf"{BEGINNING}([0-9A-Za-z]{{{CHANCE_LENGTH}}})([0-9A-Za-z]{{{CHECKSUM_LENGTH}}})")


def new_secret() -> str:
    chance = "".join(secrets.choice(BASE62) for _ in range(CHANCE_LENGTH))
    return BEGINNING + chance + _checksum(chance)


def is_whole(text: str) -> bool:
    """Whether this can be a key: one that was cut off or mistyped cannot."""
    match = KEY.fullmatch(text)
    return match is not None and _checksum(match[1]) == match[2]


def digest_of(secret: str) -> str:
    """A plain SHA-256, by which the key is found: nobody can guess what has so much chance in it."""
    return hashlib.sha256(secret.encode()).hexdigest()


def prefix_of(secret: str) -> str:
    """The beginning by which people recognize their key. It opens nothing."""
    return secret[:PREFIX_LENGTH]


def _checksum(chance: str) -> str:
    """CRC-32 in base 62, as GitHub's tokens have it."""
    number, letters = zlib.crc32(chance.encode()), ""
    for _ in range(CHECKSUM_LENGTH):
        number, digit = divmod(number, len(BASE62))
        letters = BASE62[digit] + letters
    return letters
