"""One POST to a receiver: to an address that was checked, within a total deadline, without following redirects.

urllib3 gets the address, so that nothing is resolved a second time; Host, SNI and the name that the certificate must
have are given apart from it. It reads no proxies from the environment.
"""

import ssl
import time
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

import certifi
from django.utils.translation import override
from urllib3 import Timeout
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError, ProtocolError
from urllib3.exceptions import SSLError as TLSError
from urllib3.exceptions import TimeoutError as TimedOutError

from apps.common.http.deadlines import DeadlineHTTPPool, DeadlineHTTPSPool, Exchange
from apps.integrations.errors import WebhookUrlRefusedError
from apps.integrations.models.delivery import ANSWER_MAX_LENGTH
from apps.integrations.webhooks.addresses import Destination, Resolve, addresses_of, destination_of

# Of a name with several addresses, one that does not answer must not take all the time.
CONNECT_SECONDS = 5
# Shown as they are; other control characters and what is invisible could mislead whoever reads a log.
PLAIN_CONTROLS = {"\n", "\r", "\t"}
HARMFUL = {"Cc", "Cf", "Co", "Cs", "Cn", "Zl", "Zp"}


@dataclass(frozen=True)
class Answer:
    """What came of an attempt. `text`: the first of the answer's body, or, if no answer came, why."""

    status: int | None
    text: str
    milliseconds: int
    retry_after: str = ""
    interrupted: bool = False  # by the end of this process, before an answer came

    @property
    def is_success(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


def post(
    url: str,
    *,
    body: bytes,
    headers: dict[str, str],
    seconds: float,
    resolve: Resolve | None = None,
    ca_file: str | None = None,
) -> Answer:
    """Post the body to this URL. Raises nothing: whatever happens is an Answer. `ca_file`: in place of public CAs."""
    started = time.monotonic()
    status, text, retry_after = None, "", ""
    with Exchange(seconds) as exchange:
        try:
            with override("en"):  # of its texts, which are kept
                destination = destination_of(url)
                addresses = addresses_of(destination, resolve=resolve, seconds=seconds)
            ends_at = started + seconds
            status, retry_after, text = _exchange(destination, addresses, body, headers, ends_at, exchange, ca_file)
        except WebhookUrlRefusedError as error:
            text = f"hopla: {error.detail}"
        except (HTTPError, OSError, ValueError) as error:
            text = f"hopla: {_why(error, exchange)}"
    return Answer(
        status,
        text,
        milliseconds=int((time.monotonic() - started) * 1000),
        retry_after=retry_after,
        interrupted=status is None and exchange.interrupted,
    )


def _exchange(
    destination: Destination,
    addresses: list[str],
    body: bytes,
    headers: dict[str, str],
    ends_at: float,
    exchange: Exchange,
    ca_file: str | None,
) -> tuple[int, str, str]:
    """Returns status, Retry-After and text of the answer from the first address that can be connected to."""
    headers = headers | {"Host": destination.host_header, "Accept-Encoding": "identity", "Connection": "close"}
    for number, address in enumerate(addresses, start=1):
        pool = _pool(destination, address, ca_file)
        left = max(0.001, ends_at - time.monotonic())
        try:
            response = pool.urlopen(
                "POST",
                destination.target,
                body=body,
                headers=headers,
                redirect=False,
                retries=False,
                preload_content=False,
                timeout=Timeout(connect=min(CONNECT_SECONDS, left) if number < len(addresses) else left, read=left),
            )
            if exchange.was_cut:  # amid the head, which http.client then takes for a whole one
                response.close()
                raise ProtocolError("The head of the answer was cut off.")
            return response.status, response.headers.get("Retry-After", ""), _beginning_of(response)
        except (NewConnectionError, ConnectTimeoutError):
            if number == len(addresses) or exchange.was_cut or time.monotonic() >= ends_at:
                raise
        finally:
            pool.close()
    raise AssertionError("a destination has at least one address")


def _pool(destination: Destination, address: str, ca_file: str | None):
    if destination.scheme == "http":
        return DeadlineHTTPPool(address, destination.port)
    return DeadlineHTTPSPool(address, destination.port, ssl_context=_tls(ca_file), server_hostname=destination.host)


@lru_cache
def _tls(ca_file: str | None) -> ssl.SSLContext:
    """Returns the settings of TLS, made once: reading the CAs takes longer than many a handshake."""
    return ssl.create_default_context(cafile=ca_file or certifi.where())


def _beginning_of(response) -> str:
    """Returns the first KiB of the body, and "" if it is compressed though that was not asked for, or breaks off."""
    try:
        content = response.read(ANSWER_MAX_LENGTH, decode_content=False)
    except (HTTPError, OSError, ValueError):
        return ""  # the status has come, and it alone decides
    finally:
        response.close()
    if response.headers.get("Content-Encoding", "identity").strip().lower() not in ("", "identity"):
        return ""
    return harmless(content.decode(errors="replace"))


def harmless(text: str) -> str:
    """Returns the text with U+FFFD in place of each character that a reader does not see as itself, cut to
    ANSWER_MAX_LENGTH characters.
    """
    kept = (
        each if each in PLAIN_CONTROLS or unicodedata.category(each) not in HARMFUL else "\N{REPLACEMENT CHARACTER}"
        for each in text
    )
    return "".join(kept)[:ANSWER_MAX_LENGTH]


def _why(error: Exception, exchange: Exchange) -> str:
    if exchange.interrupted:
        return "the attempt was interrupted"
    if isinstance(error, TLSError) and not exchange.timed_out:
        return harmless(f"TLS failed: {_reason_of(error)}")
    if isinstance(error, NewConnectionError):
        return "no connection"
    if exchange.timed_out or isinstance(error, TimedOutError):
        return "no answer in time"
    return "the connection ended without an answer"


def _reason_of(error: TLSError) -> str:
    cause = error.args[0] if error.args and isinstance(error.args[0], ssl.SSLError) else error.__cause__
    return getattr(cause, "verify_message", None) or getattr(cause, "reason", None) or "no reason given"
