"""A receiver of webhooks for development: verifies each, tells of it in a line, and answers as it is told to."""

import json
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from datetime import datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from django.db import connection

from apps.integrations.management.verification import NotVerifiedError, verify

MOST_BYTES = 1024 * 1024
REQUEST_SECONDS = 15
POLL_SECONDS = 0.1  # within that time it stops


class Receiver(ThreadingHTTPServer):
    """Listens at once, and answers inside `serving()`. `tell` gets a line for each request, `show` the body of each
    that is verified; several threads call them, one at a time.
    """

    daemon_threads = True

    def __init__(
        self,
        address: tuple[str, int],
        *,
        tell: Callable[[str], None],
        show: Callable[[bytes], None] = lambda body: None,
        status: int = HTTPStatus.OK,
    ):
        self.secrets: list[str] = []
        self.tell, self.show, self.status = tell, show, status
        self.seen: set[str] = set()
        self.lock = threading.Lock()
        super().__init__(address, Handler)

    @property
    def url(self) -> str:
        host, port = self.server_address[:2]
        return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"

    @contextmanager
    def serving(self):
        thread = threading.Thread(target=self.serve_forever, args=[POLL_SECONDS], name="listen", daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self.shutdown()
            thread.join()

    def receive(self, body: bytes, headers: Mapping[str, str]) -> int:
        """Returns the status of the answer."""
        try:
            verify(body, headers, secrets=self.secrets, now=time.time())
        except NotVerifiedError as refusal:
            with self.lock:
                self.tell(f"{clock()}  NOT VERIFIED  {kind_of(body)}: {refusal}")
            return HTTPStatus.UNAUTHORIZED
        message_id = headers["webhook-id"]
        with self.lock:
            again = "  (again)" if message_id in self.seen else ""
            self.seen.add(message_id)
            answer = "" if self.status < 300 else f"  → {self.status}"
            self.tell(f"{clock()}  {summary_of(json.loads(body))}  {message_id}{again}{answer}")
            self.show(body)
        return self.status


class Handler(BaseHTTPRequestHandler):
    server: Receiver
    protocol_version = "HTTP/1.1"
    timeout = REQUEST_SECONDS

    def do_POST(self):
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > MOST_BYTES:
            self.answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            return
        body = self.rfile.read(int(length))
        try:
            self.answer(self.server.receive(body, {name.lower(): value for name, value in self.headers.items()}))
        finally:
            connection.close()  # this thread's, if it asked the database

    def answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments):
        """Says nothing: the receiver tells of each request."""


def clock() -> str:
    return datetime.now().astimezone().strftime("%H:%M:%S")


def kind_of(body: bytes) -> str:
    try:
        return str(json.loads(body)["type"])
    except (ValueError, KeyError, TypeError):
        return "a request that is no event"


def summary_of(event: dict) -> str:
    """Returns the event in a line: `ticket.completed  ticket 94 "Flat 12" (ORDER-12), completed, 2 of 2 stored  #9`."""
    data = event["data"]
    said = [event["type"]]
    if ticket := data.get("ticket"):
        reference = f" ({ticket['reference']})" if ticket.get("reference") else ""
        title = f' "{ticket["title"]}"' if ticket.get("title") else ""
        progress = ticket["progress"]
        stored = f"{progress['stored']} of {progress['declared']} stored"
        said.append(f"ticket {ticket['id']}{title}{reference}, {ticket['status']}, {stored}")
    if image := data.get("image"):
        said.append(f"photo {image['position']} {image.get('slot') or image['filename']}, {image['status']}".strip())
    if webhook := data.get("webhook"):
        said.append(f"webhook {webhook['id']} {webhook['url']}")
    if "sequence" in data:
        said.append(f"#{data['sequence']}")
    return "  ".join(said)
