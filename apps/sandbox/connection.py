"""One client's connection: Cloudinary's paths, the sandbox's own, and on demand every kind of network failure."""

import logging
import secrets
import select
import socket
import struct
import time
from dataclasses import replace
from http.server import BaseHTTPRequestHandler

from apps.sandbox.admin_api import administer
from apps.sandbox.cloud import Request
from apps.sandbox.control import control
from apps.sandbox.delivery import deliver
from apps.sandbox.faults import MESSAGES, Misbehaviour, after_storing_500, refusal, spoil
from apps.sandbox.forms import Body, fields_of, read_form
from apps.sandbox.journal import Arrival
from apps.sandbox.responses import Refused, Response
from apps.sandbox.upload_api import destroy, upload

logger = logging.getLogger(__name__)

PREFLIGHT = Response(
    status=204, headers={"Access-Control-Allow-Methods": "GET, POST, OPTIONS", "Access-Control-Allow-Headers": "*"}
)


class Connection(BaseHTTPRequestHandler):
    """A connection that is kept alive. Its server has `cloud`, and `stopping`, an event that is set when it stops."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 300

    def respond(self) -> None:
        try:
            self._respond()
        except Refused as refused:
            self.close_connection = True  # part of the body may be unread
            self._send(refused.response())

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_OPTIONS = respond

    def _respond(self) -> None:
        cloud, path = self.server.cloud, self.path.partition("?")[0]
        if self.command == "OPTIONS":
            self._send(PREFLIGHT)
            return
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
        # Like a slow server, it carries out the request even when the client has given up.
        if self.server.stopping.wait(cloud.latency_seconds + misbehaviour.latency_seconds):
            self._drop()
        elif not self._failed_before_storing(request):
            response = self._response_to(action, request)
            if arrival:
                arrival.stored = response.status == 200
            self._send_or_spoil(response, request)

    def _action(self, path: str) -> str:
        if not path.startswith("/v1_1/"):
            return "delivery"
        last = path.rstrip("/").rpartition("/")[2]
        return last if self.command == "POST" and last in ("upload", "destroy") else "admin"

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

    def _response_to(self, action: str, request: Request) -> Response:
        try:
            if "store_half" in request.misbehaviour and request.photo:
                request = replace(request, photo=request.photo.half())
            return self._routed(action, request)
        except Refused as refused:
            return refused.response()

    def _routed(self, action: str, request: Request) -> Response:
        cloud = self.server.cloud
        if action == "delivery":
            return deliver(cloud, request)
        _, *segments = request.path.strip("/").split("/")
        if len(segments) < 2:
            raise Refused(404, f"The sandbox knows no {request.path}")
        cloud_name, *segments = segments
        if not cloud.account.is_called(cloud_name):
            raise Refused(401, f"Invalid cloud_name {cloud_name}")
        if action == "admin":
            return administer(cloud, request, segments)
        if action == "destroy":
            return destroy(cloud, request, resource_type=segments[0])
        if segments[0] not in ("image", "auto"):
            raise Refused(400, "The sandbox takes images only")
        return upload(cloud, request)

    # --- Going wrong ---

    def _failed_before_storing(self, request: Request) -> bool:
        misbehaviour = request.misbehaviour
        if "reset_before_storing" in misbehaviour:
            self._reset()
        elif "hang" in misbehaviour:
            self._hang(misbehaviour["seconds"])
        elif "wrong_credentials" in misbehaviour:
            self._send(Refused(401, MESSAGES[401]).response())
        elif "refuse" in misbehaviour:
            self._send(refusal(misbehaviour.fault))
        else:
            return False
        return True

    def _send_or_spoil(self, response: Response, request: Request) -> None:
        misbehaviour = request.misbehaviour
        if "store_then_drop" in misbehaviour:
            self._drop()
        elif "store_then_hang" in misbehaviour:
            self._hang(misbehaviour["seconds"])
        elif "store_then_500" in misbehaviour:
            self._send(after_storing_500() if response.status == 200 else response)
        elif "drip" in misbehaviour:
            self._drip(response, misbehaviour["interval_seconds"])
        elif "cut_answer" in misbehaviour:
            whole = response.as_bytes()
            self.wfile.write(whole[: len(whole) - len(response.body) // 2])
            self._drop()
        else:
            self._send(spoil(response, misbehaviour.fault) if misbehaviour.fault else response)

    def _send(self, response: Response) -> None:
        headers = {"X-Request-Id": secrets.token_hex(16)} | response.headers
        if self.close_connection:
            headers["Connection"] = "close"
        response = replace(response, headers=headers)
        self.log_request(response.status, len(response.body))
        self.wfile.write(response.as_bytes(with_body=self.command != "HEAD"))

    def _drip(self, response: Response, interval_seconds: float) -> None:
        for byte in response.as_bytes():
            self.wfile.write(bytes([byte]))
            if not self._wait(interval_seconds):
                self._drop()
                return

    def _hang(self, seconds: float) -> None:
        self._wait(seconds)
        self._drop()

    def _wait(self, seconds: float) -> bool:
        """Wait. Returns False at once when the client disconnects or the sandbox stops, so that no thread is left."""
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
        """Close with a TCP reset instead of an orderly shutdown."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def log_message(self, format, *args):
        logger.debug(format, *args)
