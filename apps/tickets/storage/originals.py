"""Photos as they come back from Cloudinary's delivery host: byte for byte what was sent, read piece by piece.

Whoever reads may be slow, and pauses then cost nothing here: only the time spent waiting for Cloudinary counts.
"""

import logging
import time
from collections.abc import Iterator

import certifi
from urllib3 import Timeout
from urllib3.exceptions import HTTPError

from apps.common.http.deadlines import Exchange
from apps.tickets.storage import cloudinary
from apps.tickets.storage.http_pool import DeadlinePoolManager

logger = logging.getLogger(__name__)

PIECE_BYTES = 64 * 1024
CONNECT_SECONDS = 5
HEAD_SECONDS = 10  # until the head of the response is there, connecting included
SILENCE_SECONDS = 10  # between two pieces
MIN_BYTES_PER_SECOND, GRACE_SECONDS = 32 * 1024, 15  # on average, once the grace is over
TRIES, PAUSE_SECONDS = 3, 0.5  # until the head of a response is there; a kept connection may have been closed

_pool = DeadlinePoolManager(cert_reqs="CERT_REQUIRED", ca_certs=certifi.where())


class OriginalUnavailableError(Exception):
    """Cloudinary does not deliver the photo, or not fast enough. The text says why, for the log."""


class Original:
    """One photo on its way from Cloudinary. To be closed."""

    def __init__(self, response):
        self._response = response

    def pieces(self) -> Iterator[bytes]:
        """Each of at most PIECE_BYTES. Raises OriginalUnavailableError when the rest does not come."""
        received = waited = 0
        while True:
            since = time.monotonic()
            try:
                piece = self._response.read1(PIECE_BYTES)
            except (HTTPError, OSError) as exc:
                raise OriginalUnavailableError(f"the connection failed after {received} bytes") from exc
            waited += time.monotonic() - since
            if not piece:
                return
            received += len(piece)
            if waited > GRACE_SECONDS + received / MIN_BYTES_PER_SECOND:
                raise OriginalUnavailableError(f"only {received} bytes came in {waited:.0f} seconds")
            yield piece

    def close(self) -> None:
        """The connection is kept for the next photo if this one was read to its end."""
        if self._response.length_remaining == 0:
            self._response.release_conn()
        else:
            self._response.close()


def open_original(*, public_id: str, version: int, format: str) -> Original:
    """The photo of this asset, once the head of Cloudinary's response is there. Raises OriginalUnavailableError."""
    url = cloudinary.delivery_url(public_id=public_id, version=version, format=format)
    for number in range(1, TRIES + 1):
        try:
            return Original(_response(url))
        except OriginalUnavailableError as exc:
            if number == TRIES or exc.__cause__ is None:
                raise
            logger.info("fetching %s is tried again: %s", public_id, exc)
        time.sleep(PAUSE_SECONDS)
    raise AssertionError("the last try returns or raises")


def _response(url: str):
    """Raises OriginalUnavailableError, with a cause where another try may help."""
    timeout = Timeout(connect=CONNECT_SECONDS, read=SILENCE_SECONDS)
    try:
        with Exchange(HEAD_SECONDS):
            response = _pool.request(
                "GET",
                url,
                headers={"Accept": "image/*", "Accept-Encoding": "identity"},
                preload_content=False,
                decode_content=False,
                redirect=False,
                timeout=timeout,
            )
    except (HTTPError, OSError) as exc:
        raise OriginalUnavailableError(f"no response came ({type(exc).__name__})") from exc
    if response.status != 200:
        response.close()
        raise OriginalUnavailableError(f"the response is HTTP {response.status}")
    return response
