"""`script/server --lan`: hopla at an address that phones in the same network reach."""

import os
import socket
from ipaddress import IPv4Address

import environ

from script.servers import CannotStart

LOOPBACK = "127.0.0.1"
FIND = "find it"  # no address
# Those of the settings in development.
LOCAL_HOSTS = ("localhost", LOOPBACK, "[::1]")
# RFC 5737: nobody has it, so that the way to it is the way out of this machine.
SOMEWHERE_ELSE = ("192.0.2.1", 9)


def address_in_network(named: str = FIND) -> str:
    """This machine's own address, as named or as the system chooses it to reach others. CannotStart when there is none
    or the whole Internet can reach it."""
    address = found_address() if named == FIND else own_address(named)
    require_private(address)
    return address


def own_address(named: str) -> str:
    try:
        address = str(IPv4Address(named))
        with socket.socket() as probe:
            probe.bind((address, 0))
    except (ValueError, OSError) as error:
        raise CannotStart(f"--lan={named} is no IPv4 address of this machine ({error}).") from error
    if IPv4Address(address).is_unspecified:
        raise CannotStart(f"--lan={named} names all addresses of this machine. Name one of them.")
    return address


def found_address() -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(SOMEWHERE_ELSE)  # sends nothing
            address = probe.getsockname()[0]
        except OSError:
            address = LOOPBACK
    if IPv4Address(address).is_loopback or IPv4Address(address).is_unspecified:
        raise CannotStart(
            "--lan found no network that this machine is in. Connect it to one, or name its address there: "
            "script/server --lan=192.168.1.5"
        )
    return address


def require_private(address: str) -> None:
    if IPv4Address(address).is_global:
        raise CannotStart(
            f"{address} is a public address: --lan would open a development server to the whole Internet. Name this "
            "machine's address in a private network: script/server --lan=192.168.1.5"
        )


def open_to_network(address: str, *, port: int) -> None:
    """Write into the environment that hopla answers at this address, and that its links begin with it."""
    hosts = environ.Env().list("ALLOWED_HOSTS", default=[]) or LOCAL_HOSTS
    os.environ["ALLOWED_HOSTS"] = ",".join([*hosts, address])
    os.environ["PUBLIC_URL"] = os.environ.get("PUBLIC_URL") or f"http://{address}:{port}"
