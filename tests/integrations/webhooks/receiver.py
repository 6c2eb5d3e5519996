"""A receiver of webhooks on loopback, which answers as it is told."""

import json
import socket
import ssl
import threading
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Receiver:
    """`requests`: what has come, as (headers, body). `answer`: called with the handler of each, which has its `body`.
    Use it as a context manager.
    """

    def __init__(self, answer=None, *, tls: ssl.SSLContext | None = None):
        self.requests = []
        self.answer = answer or answering(200)
        self.over = threading.Event()  # ends those that hang
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                self.body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                receiver.requests.append((self.headers, self.body))
                with suppress(OSError):  # hopla has hung up
                    receiver.answer(self)

            def log_message(self, *args):
                """Nothing."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 64

            def handle_error(self, request, client_address):
                """Nothing: a handshake failed, or a client hung up."""

        self._server = Server(("127.0.0.1", 0), Handler)
        if tls:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self.port = self._server.server_address[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}/in"

    def __enter__(self) -> "Receiver":
        threading.Thread(target=self._server.serve_forever, args=[0.02], daemon=True).start()
        return self

    def __exit__(self, *exc_info):
        self.over.set()
        self._server.shutdown()
        self._server.server_close()

    @property
    def ids(self) -> list[str]:
        return [headers["webhook-id"] for headers, _ in self.requests]

    @property
    def bodies(self) -> list[dict]:
        return [json.loads(body) for _, body in self.requests]

    def hang(self, handler) -> None:
        self.over.wait()

    def drip(self, handler) -> None:
        """The head of an answer, a byte at a time and without an end."""
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        while not self.over.wait(0.05):
            handler.wfile.write(b"x")


def answering(status: int, body: bytes = b"", **headers):
    """An answer with these; `Retry_After` is the header Retry-After."""

    def answer(handler):
        handler.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)

    return answer


@contextmanager
def closed_port():
    """Yields a port at which nobody listens, and which nobody else gets inside."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]
