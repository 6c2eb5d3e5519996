"""Where webhooks may be sent. Users name the URLs, so none may lead into the network that hopla runs in.

A URL is taken apart here and nowhere else, so that what is checked is what is dialled. Names are resolved once for each
attempt, all the addresses of a name are checked, and what is dialled is one of these (webhooks/dialling.py): that the
name leads elsewhere a moment later is of no use to anyone.
"""

import ipaddress
import re
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

import idna
from django.conf import settings
from django.utils.translation import gettext as _

from apps.integrations.errors import WebhookUrlRefusedError
from apps.integrations.models.endpoint import URL_MAX_LENGTH

IPAddress = IPv4Address | IPv6Address
Resolve = Callable[[str], list[str]]  # of a name to addresses; raises OSError

# By the IANA's registries of special-purpose addresses: of hosts, networks and purposes that are not the internet's,
# and what wraps an IPv4 address, behind which any of those may be.
REFUSED_V4 = tuple(
    ipaddress.IPv4Network(each)
    for each in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
    )
)
GLOBAL_V6 = ipaddress.IPv6Network("2000::/3")  # all others are local, reserved, multicast, or wrap an IPv4 address
REFUSED_V6 = tuple(
    ipaddress.IPv6Network(each)
    for each in (
        "2001::/23",  # Teredo, benchmarks, ORCHID: the IETF's own purposes
        "2001:db8::/32",
        "2002::/16",  # 6to4
        "3fff::/20",
    )
)

DEFAULT_PORTS = {"https": 443, "http": 80}
FIRST_PORT_OF_USERS = 1024
RESOLVE_SECONDS = 5  # when an endpoint is created

_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[0-9a-f:]+\]|[^\[\]/?#@:\\\s]+)(?::(?P<port>[0-9]{1,5}))?(?P<path>(?:/[^?#]*)?)(?P<query>(?:\?[^#]*)?)",
    re.ASCII | re.IGNORECASE,
)
# What may stand in a path and a query by RFC 3986, and a few characters more that clients send as they are.
_IN_TARGET = re.compile(r"[!$-;=?-Z_a-z~|\[\]^{}%]*")
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")  # as resolvers read it: a host that ends in one is an IPv4 address
NAME_MAX_LENGTH = 253


@dataclass(frozen=True)
class Destination:
    """A URL, taken apart."""

    scheme: str
    host: str  # in ASCII and small letters: a name, or an address without brackets
    port: int
    target: str  # path and query

    @property
    def address(self) -> IPAddress | None:
        """Returns the host if it is an address, None if it is a name."""
        try:
            return ipaddress.ip_address(self.host)
        except ValueError:
            return None

    @property
    def host_header(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"


def check_url(url: str, *, resolve: Resolve | None = None) -> None:
    """Raise WebhookUrlRefusedError if webhooks are not sent to this URL. Resolves its name: not in a transaction."""
    addresses_of(destination_of(url), resolve=resolve, seconds=RESOLVE_SECONDS)


def destination_of(url: str) -> Destination:
    """Returns the URL taken apart. Raises WebhookUrlRefusedError for one in a form that two programs could read as two
    different ones, or that webhooks are not sent to whoever is there.
    """
    if len(url) > URL_MAX_LENGTH:
        raise WebhookUrlRefusedError(_("The URL is too long."))
    match = _URL.fullmatch(url)
    if match is None:
        raise WebhookUrlRefusedError(
            _("Write the URL as https://host/path, without a user name, a password, a fragment, or spaces.")
        )
    target = (match["path"] or "/") + match["query"]
    if not _IN_TARGET.fullmatch(target):
        raise WebhookUrlRefusedError(_("Write other characters than those of RFC 3986 as %XX in the URL."))
    scheme = match["scheme"].lower()
    port = int(match["port"]) if match["port"] else DEFAULT_PORTS[scheme]
    if port not in DEFAULT_PORTS.values() and not FIRST_PORT_OF_USERS <= port <= 65535:
        raise WebhookUrlRefusedError(_("Webhooks are sent to port 443, to port 80, and to ports above 1023."))
    return Destination(scheme, _host_of(match["host"]), port, target)


def _host_of(written: str) -> str:
    refused = WebhookUrlRefusedError(_("The host of the URL is not written as a name or an address usually is."))
    if written.startswith("["):
        try:
            address = IPv6Address(written[1:-1])
        except ValueError:
            raise refused from None
        if address.ipv4_mapped is not None:
            raise refused
        return str(address)
    host = written.lower()
    if not host.isascii():
        try:
            host = idna.encode(host, uts46=True, std3_rules=True).decode()
        except UnicodeError:  # idna.IDNAError is one
            raise refused from None
    labels = host.split(".")
    if _NUMBER.fullmatch(labels[-1]):
        # The usual form alone, in the digits that were written: 127.1, 0x7f.1 and fullwidth digits are tricks.
        if not _is_usual_v4(written):
            raise refused
    elif len(host) > NAME_MAX_LENGTH or not all(_LABEL.fullmatch(label) for label in labels):
        raise refused
    return host


def _is_usual_v4(text: str) -> bool:
    try:
        return str(IPv4Address(text)) == text
    except ValueError:
        return False


def addresses_of(destination: Destination, *, resolve: Resolve | None = None, seconds: float) -> list[str]:
    """Returns the addresses that may be dialled. Raises WebhookUrlRefusedError if any is refused, or there is none in
    that time: the same for both, since which names exist inside is nobody's business.
    """
    if destination.address is not None:
        found = [destination.host]
    else:
        try:
            found = _within(seconds, resolve or resolved, destination.host)
        except (OSError, UnicodeError):
            found = []
    checked = [_checked(address, must_be_allowed=destination.scheme == "http") for address in found]
    if not checked or None in checked:
        if destination.scheme == "http":
            raise WebhookUrlRefusedError(_("Webhooks are sent by https, to hosts on the public internet."))
        raise WebhookUrlRefusedError(_("The host of the URL is not one on the public internet."))
    return list(dict.fromkeys(checked))


def _checked(address: str, *, must_be_allowed: bool) -> str | None:
    """Returns the address to dial, or None if it is refused. One that wraps an IPv4 address is dialled as that."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return None
    if getattr(parsed, "scope_id", None):
        return None
    parsed = getattr(parsed, "ipv4_mapped", None) or parsed
    if is_allowed(parsed) or not (must_be_allowed or is_refused(parsed)):
        return str(parsed)
    return None


def is_allowed(address: IPAddress) -> bool:
    """Returns whether it is in one of WEBHOOK_ALLOWED_NETWORKS."""
    return any(address in network for network in settings.WEBHOOK_ALLOWED_NETWORKS)


def is_refused(address: IPAddress) -> bool:
    """Returns whether it is not, or may not be, an address of a host on the public internet. `is_global` is asked as
    well, since Python learns of new special purposes; alone it lets several of these pass.
    """
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return is_refused(address.ipv4_mapped)
        if address not in GLOBAL_V6 or any(address in network for network in REFUSED_V6):
            return True
    elif any(address in network for network in REFUSED_V4):
        return True
    return not address.is_global


def resolved(name: str) -> list[str]:
    """Returns the addresses of the name, by the system's resolver. Raises OSError."""
    found = socket.getaddrinfo(name.encode("ascii"), None, type=socket.SOCK_STREAM)
    return [sockaddr[0] for *_, sockaddr in found]


def _within(seconds: float, resolve: Resolve, name: str) -> list[str]:
    """Returns what `resolve` returns, in that time. Raises OSError. The system's resolver has no time-out: it is asked
    in a thread, which may outlive the wait for it.
    """
    answers = []

    def ask():
        try:
            answers.append(resolve(name))
        except (OSError, UnicodeError) as error:
            answers.append(error)

    thread = threading.Thread(target=ask, name="resolve", daemon=True)
    thread.start()
    thread.join(max(0, seconds))
    if not answers:
        raise TimeoutError("the name was not resolved in time")
    if isinstance(answers[0], Exception):
        raise answers[0]
    return answers[0]
