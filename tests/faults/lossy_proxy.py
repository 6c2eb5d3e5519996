"""A TCP proxy between client and server that loses responses: the request arrives, and its response does not."""

import contextlib
import random
import selectors
import socket
import threading
from urllib.parse import urlsplit

PIECE_BYTES = 64 * 1024


class LossyProxy:
    """Listens at `url` and passes on to `target`. Of all responses it drops the share `loss`, closing the connection.

    As a context manager it runs inside the block; one seed makes the dice repeatable.
    """

    def __init__(self, target: str, *, loss: float, seed: int = 0):
        address = urlsplit(target)
        self._target = address.hostname, address.port
        self._loss = loss
        self._dice = random.Random(seed)
        self._lock = threading.Lock()
        self.dropped = 0

    def __enter__(self) -> "LossyProxy":
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *exc_info) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return  # the block has ended
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError), socket.create_connection(self._target) as server:
            self._pass_on(client, server)

    def _pass_on(self, client: socket.socket, server: socket.socket) -> None:
        """Until one side closes, or a response is lost."""
        both = selectors.DefaultSelector()
        both.register(client, selectors.EVENT_READ)
        both.register(server, selectors.EVENT_READ)
        awaits_answer = False
        with both:
            while True:
                for key, _ in both.select():
                    piece = key.fileobj.recv(PIECE_BYTES)
                    if not piece:
                        return
                    if key.fileobj is server and awaits_answer and self._loses_this_one():
                        return
                    awaits_answer = key.fileobj is client
                    (server if awaits_answer else client).sendall(piece)

    def _loses_this_one(self) -> bool:
        with self._lock:
            lost = self._dice.random() < self._loss
            self.dropped += lost
        return lost
