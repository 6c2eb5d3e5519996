"""The sandbox over HTTP: Cloudinary's paths, the sandbox's own, and on demand every way a network goes wrong."""

import errno
import logging
import select
import socket
import socketserver
import struct
import sys
import threading
import time
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote

from apps.sandbox.account import Account
from apps.sandbox.admin_api import administer
from apps.sandbox.answers import Answer, Refused
from apps.sandbox.assets import DEFAULT_MAX_BYTES, AssetStore
from apps.sandbox.cloud import FREE_PLAN_IMAGE_MAX_BYTES, Cloud, Request
from apps.sandbox.control import control
from apps.sandbox.delivery import deliver
from apps.sandbox.faults import MESSAGES, Fault, Misbehaviour, after_storing_500, make_fault, refusal, spoil
from apps.sandbox.forms import Body, fields_of, read_form
from apps.sandbox.journal import Arrival
from apps.sandbox.upload_api import destroy, upload

logger = logging.getLogger(__name__)


class PortInUseError(OSError):
    """Another process listens there already."""


class SandboxServer:
    """A Cloudinary of one's own, answering from threads of this process.

    As a context manager it serves inside the block. `port=0` picks a free one, which `url` then names; after `stop`
    a second `start` comes back at the same address with the same assets. `image_max_bytes` is the largest photo
    accepted, `max_bytes` what is kept of all of them; `folder` keeps them on disk instead of in memory.
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
    ):
        self.host, self.port = host, port
        self.cloud = Cloud(
            account=Account(cloud_name, api_key, api_secret),
            assets=AssetStore(folder=folder, max_bytes=max_bytes),
            latency_seconds=latency_seconds,
            image_max_bytes=image_max_bytes,
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
    def requests(self) -> dict[str, int]:
        """How many requests of each action came: upload, destroy, admin, delivery."""
        return self.cloud.journal.requests

    def misbehave(self, kind: str, **rule) -> Fault:
        """Put a rule in force (see faults.KINDS and make_fault); its `fired` counts. Raises FaultError."""
        return self.cloud.faults.add(make_fault(kind, **rule))

    def behave(self, fault: Fault | None = None) -> None:
        """Lift one rule, or all of them."""
        if fault:
            self.cloud.faults.lift(fault)
        else:
            self.cloud.faults.clear()

    def start(self) -> "SandboxServer":
        """Listen and answer. Raises PortInUseError."""
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
        """Stop listening and cut every connection, also one in the middle of an answer. Safe to call twice."""
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
        if not isinstance(error, OSError):  # a client that left is everyday life
            logger.error("The sandbox failed to answer %s", client_address, exc_info=error)


class Connection(BaseHTTPRequestHandler):
    """One client's connection, kept alive from request to request."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 300

    def respond(self) -> None:
        try:
            self._respond()
        except Refused as refused:
            self.close_connection = True  # part of the body may lie unread
            self._send(refused.answer())

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_OPTIONS = respond

    def _respond(self) -> None:
        cloud, path = self.server.cloud, self.path.partition("?")[0]
        if path.startswith("/_sandbox/"):
            self._send(control(cloud, self.command, path, self._body().read_all()))
            return
        action = self._action(path)
        cloud.journal.count(action)
        misbehaviour = cloud.faults.draw(action)
        if "drop_before_reading" in misbehaviour:
            self._drop()
            return
        request = self._request(path, misbehaviour)
        arrival = self._note(action, request)
        self._wait(cloud.latency_seconds + misbehaviour.latency_seconds)
        if not self._failed_before_storing(request):
            answer = self._answer(action, request)
            if arrival:
                arrival.stored = answer.status == 200
            self._send_or_spoil(answer, request)

    def _action(self, path: str) -> str:
        if not path.startswith("/v1_1/"):
            return "delivery"
        last = path.rstrip("/").rpartition("/")[2]
        return last if self.command in ("POST", "OPTIONS") and last in ("upload", "destroy") else "admin"

    def _body(self) -> Body:
        if self.headers.get("Transfer-Encoding"):
            raise Refused(411, "The sandbox takes no chunked bodies")
        length = self.headers.get("Content-Length") or "0"
        if not length.isdecimal():
            raise Refused(400, "Invalid Content-Length")
        return Body(self.rfile, int(length))

    def _request(self, path: str, misbehaviour: Misbehaviour) -> Request:
        body, query = self._body(), fields_of(self.path.partition("?")[2])
        content_type = self.headers.get("Content-Type", "")
        form, photo = read_form(body, content_type, max_photo_bytes=self.server.cloud.image_max_bytes)
        return Request(
            method=self.command,
            path=path,
            headers=self.headers,
            fields=query | form,
            base_url=f"http://{self.headers.get('Host', 'localhost')}",
            photo=photo,
            misbehaviour=misbehaviour,
        )

    def _note(self, action: str, request: Request) -> Arrival | None:
        photo, params = request.photo, request.params
        if action != "upload" or photo is None:
            return None
        arrival = Arrival(params.get("public_id", ""), params.get("type") or "upload", photo.size, photo.etag)
        return self.server.cloud.journal.note(arrival)

    def _answer(self, action: str, request: Request) -> Answer:
        try:
            if self.command == "OPTIONS":
                return Answer(status=204, headers={"Access-Control-Allow-Methods": "GET, POST, OPTIONS"})
            if "store_half" in request.misbehaviour and request.photo:
                request = replace(request, photo=request.photo.half())
            return self._routed(action, request)
        except Refused as refused:
            return refused.answer()

    def _routed(self, action: str, request: Request) -> Answer:
        cloud = self.server.cloud
        if action == "delivery":
            return deliver(cloud, request)
        _, cloud_name, *segments = request.path.strip("/").split("/")
        if not cloud.account.is_called(cloud_name):
            raise Refused(401, f"Invalid cloud_name {cloud_name}")
        if action == "admin":
            return administer(cloud, request, segments)
        if segments[0] not in ("image", "auto"):
            raise Refused(400, "The sandbox takes images only")
        return upload(cloud, request) if action == "upload" else destroy(cloud, request)

    # --- Going wrong ---

    def _failed_before_storing(self, request: Request) -> bool:
        misbehaviour = request.misbehaviour
        if "reset_before_storing" in misbehaviour:
            self._reset()
        elif "hang" in misbehaviour:
            self._hang(misbehaviour["seconds"])
        elif "wrong_credentials" in misbehaviour:
            self._send(Refused(401, MESSAGES[401]).answer())
        elif "refuse" in misbehaviour:
            self._send(refusal(misbehaviour.fault))
        else:
            return False
        return True

    def _send_or_spoil(self, answer: Answer, request: Request) -> None:
        misbehaviour = request.misbehaviour
        if "store_then_drop" in misbehaviour:
            self._drop()
        elif "store_then_hang" in misbehaviour:
            self._hang(misbehaviour["seconds"])
        elif "store_then_500" in misbehaviour:
            self._send(after_storing_500() if answer.status == 200 else answer)
        elif "drip" in misbehaviour:
            self._drip(answer, misbehaviour["interval_seconds"])
        elif "cut_answer" in misbehaviour:
            whole = answer.as_bytes()
            self.wfile.write(whole[: len(whole) - len(answer.body) // 2])
            self._drop()
        else:
            self._send(spoil(answer, misbehaviour.fault) if misbehaviour.fault else answer)

    def _send(self, answer: Answer) -> None:
        if self.close_connection:
            answer = replace(answer, headers=answer.headers | {"Connection": "close"})
        self.log_request(answer.status, len(answer.body))
        self.wfile.write(answer.as_bytes(with_body=self.command != "HEAD"))

    def _drip(self, answer: Answer, interval_seconds: float) -> None:
        for byte in answer.as_bytes():
            self.wfile.write(bytes([byte]))
            if not self._wait(interval_seconds):
                self._drop()
                return

    def _hang(self, seconds: float) -> None:
        self._wait(seconds)
        self._drop()

    def _wait(self, seconds: float) -> bool:
        """Let time pass; False at once when the client leaves or the sandbox stops, so that no thread lingers."""
        deadline = time.monotonic() + seconds
        while not self.server.stopping.is_set():
            left = deadline - time.monotonic()
            if left <= 0:
                return True
            if self._client_left():
                return False
            self.server.stopping.wait(min(left, 0.05))
        return False

    def _client_left(self) -> bool:
        poll = select.poll()
        poll.register(self.connection, select.POLLIN)
        return bool(poll.poll(0)) and not self.connection.recv(1, socket.MSG_PEEK)

    def _drop(self) -> None:
        self.close_connection = True

    def _reset(self) -> None:
        """Close with a TCP reset instead of a goodbye."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def log_message(self, format, *args):
        logger.debug(format, *args)


def cut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError as exc:
        logger.debug("A connection was closed already: %s", exc)
