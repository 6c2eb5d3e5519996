"""Whose cloud the sandbox plays: the three values of a CLOUDINARY_URL, read the way Cloudinary's own SDK reads them."""

from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit


class AccountError(ValueError):
    """The address is not a usable CLOUDINARY_URL. The message never repeats the address: it holds the secret."""


@dataclass(frozen=True)
class Account:
    cloud_name: str
    api_key: str
    api_secret: str = field(repr=False)


def account_of(cloudinary_url: str) -> Account:
    """The account in `cloudinary://KEY:SECRET@CLOUD`. Raises AccountError when a part is missing."""
    address = urlsplit(cloudinary_url)
    # As the SDK: the cloud name in lower case, key and secret as written, without percent-decoding.
    if address.scheme != "cloudinary" or not (address.hostname and address.username and address.password):
        raise AccountError("CLOUDINARY_URL is not of the form cloudinary://KEY:SECRET@CLOUD.")
    return Account(address.hostname, address.username, address.password)


def upload_prefix_of(cloudinary_url: str) -> tuple[str, int] | None:
    """Host and port of the address's `upload_prefix`, None without one: where clients will look for the sandbox."""
    prefixes = parse_qs(urlsplit(cloudinary_url).query).get("upload_prefix")
    if not prefixes:
        return None
    prefix = urlsplit(prefixes[0])
    if not prefix.hostname:
        raise AccountError("The upload_prefix of CLOUDINARY_URL is not a web address such as http://127.0.0.1:8089.")
    return prefix.hostname, prefix.port or 80
