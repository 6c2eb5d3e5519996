"""The sandbox as a server: start it, stop it, see what it has, tell it to misbehave."""

import errno
import logging
import socket
import socketserver
import sys
import threading
from collections.abc import Iterable
from http.server import ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote

from apps.sandbox.account import Account
from apps.sandbox.assets import DEFAULT_MAX_BYTES, AssetStore
from apps.sandbox.cloud import FREE_PLAN_IMAGE_MAX_BYTES, Cloud
from apps.sandbox.connection import Connection
from apps.sandbox.faults import Fault, make_fault
from apps.sandbox.journal import Arrival, Notice

logger = logging.getLogger(__name__)


class PortInUseError(OSError):
    """Another process listens there already."""


class SandboxServer:
    """A Cloudinary that runs in threads of this process.

    As a context manager it serves inside the block. `port=0` picks a free one, which `url` then names; after `stop`
    a second `start` comes back at the same address with the same assets. `image_max_bytes` is the largest photo
    accepted, `max_bytes` what is kept of all of them; `folder` keeps them on disk instead of in memory. Of uploads that
    ask for it this machine is notified, and the hosts of `notifies`.
    """

    def __init__(
        self,
        *,
        cloud_name: str = "sandbox",
        api_key: str = "sandbox-key",
        api_secret: str = "sandbox-secret",  # noqa: S107
        host: str = "127.0.0.1",
        port: int = 0,
        folder: Path | None = None,
        max_bytes: int = DEFAULT_MAX_BYTES,
        latency_seconds: float = 0.0,
        image_max_bytes: int = FREE_PLAN_IMAGE_MAX_BYTES,
        notifies: Iterable[str] = (),
    ):
        self.host, self.port = host, port
        self.cloud = Cloud(
            account=Account(cloud_name, api_key, api_secret),
            assets=AssetStore(folder=folder, max_bytes=max_bytes),
            latency_seconds=latency_seconds,
            image_max_bytes=image_max_bytes,
            notifies=frozenset(notifies),
        )
        self._listener: Listener | None = None

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    @property
    def cloudinary_url(self) -> str:
        """The CLOUDINARY_URL that sends the official SDK here."""
        account = self.cloud.account
        prefix = quote(self.url, safe=":/")
        return f"cloudinary://{account.api_key}:{account.api_secret}@{account.cloud_name}?upload_prefix={prefix}"

    @property
    def assets(self) -> AssetStore:
        return self.cloud.assets

    @property
    def uploads(self) -> list[Arrival]:
        """Every photo received whole, in order, stored or not."""
        return self.cloud.journal.uploads

    @property
    def notices(self) -> list[Notice]:
        """Every notification, in order."""
        return self.cloud.journal.notices

    @property
    def requests(self) -> dict[str, int]:
        """The number of requests of each action: upload, destroy, admin, delivery."""
        return self.cloud.journal.requests

    def misbehave(self, kind: str, **rule) -> Fault:
        """Add a rule (see faults.KINDS and make_fault), and return it; its `fired` counts. Raises FaultError."""
        return self.cloud.faults.add(make_fault(kind, **rule))

    def behave(self, fault: Fault | None = None) -> None:
        """Remove one rule, or all of them."""
        if fault:
            self.cloud.faults.lift(fault)
        else:
            self.cloud.faults.clear()

    def start(self) -> "SandboxServer":
        """Listen and serve. Raises PortInUseError."""
        self.cloud.stopping.clear()
        try:
            self._listener = Listener(self.cloud, self.host, self.port)
        except OSError as exc:
            if exc.errno != errno.EADDRINUSE:
                raise
            raise PortInUseError(f"Port {self.port} of {self.host} is in use.") from exc
        self.port = self._listener.server_address[1]
        thread = threading.Thread(target=self._listener.serve_forever, args=(0.02,), name="sandbox", daemon=True)
        thread.start()
        return self

    def stop(self) -> None:
        """Stop listening and cut every connection, also one in the middle of a response. Safe to call twice."""
        self.cloud.stopping.set()
        if self._listener:
            self._listener.stop()
            self._listener = None

    def __enter__(self) -> "SandboxServer":
        return self.start()

    def __exit__(self, *exc_info) -> None:
        self.stop()


class Listener(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_port = False
    request_queue_size = 1024

    def __init__(self, cloud: Cloud, host: str, port: int):
        self.cloud = cloud
        self.stopping = threading.Event()
        self._connections: set[socket.socket] = set()
        self._lock = threading.Lock()
        super().__init__((host, port), Connection)

    def server_bind(self):
        socketserver.TCPServer.server_bind(self)  # without HTTPServer's reverse look-up of the host name

    def process_request(self, request, client_address):
        with self._lock:
            self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request):
        with self._lock:
            self._connections.discard(request)
        super().shutdown_request(request)

    def stop(self) -> None:
        self.stopping.set()
        self.shutdown()
        self.server_close()
        with self._lock:
            for connection in self._connections:
                cut(connection)

    def handle_error(self, request, client_address):
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):  # clients that disconnect are normal
            logger.error("The sandbox failed to serve %s", client_address, exc_info=error)


def cut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError as exc:
        logger.debug("A connection was closed already: %s", exc)
