"""The account that the sandbox serves: the three values of a CLOUDINARY_URL."""

from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit


class AccountError(ValueError):
    """The address is not a usable CLOUDINARY_URL. The message never repeats the address: it holds the secret."""


@dataclass(frozen=True)
class Account:
    cloud_name: str
    api_key: str
    api_secret: str = field(repr=False)

    def is_called(self, cloud_name: str) -> bool:
        """Whether that is this cloud; Cloudinary's SDK lowers the case of the name it reads from CLOUDINARY_URL."""
        return cloud_name.lower() == self.cloud_name.lower()


def account_of(cloudinary_url: str) -> Account:
    """The account in `cloudinary://KEY:SECRET@CLOUD`. Raises AccountError when a part is missing."""
    address = urlsplit(cloudinary_url)
    cloud_name = address.netloc.rpartition("@")[2]
    if address.scheme != "cloudinary" or not (cloud_name and address.username and address.password):
        raise AccountError("CLOUDINARY_URL is not of the form cloudinary://KEY:SECRET@CLOUD.")
    # Key and secret as written: Cloudinary's SDK does not percent-decode them either.
    return Account(cloud_name, address.username, address.password)


def upload_prefix_of(cloudinary_url: str) -> tuple[str, int] | None:
    """Host and port of the address's `upload_prefix`, None without one: where clients will look for the sandbox."""
    prefixes = parse_qs(urlsplit(cloudinary_url).query).get("upload_prefix")
    if not prefixes:
        return None
    prefix = urlsplit(prefixes[0])
    if not prefix.hostname:
        raise AccountError("The upload_prefix of CLOUDINARY_URL is not a web address such as http://127.0.0.1:8089.")
    return prefix.hostname, prefix.port or 80
