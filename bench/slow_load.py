"""Clients on slow lines: each posts one photo at a steady number of bytes a second. (Run by a figure.)

One thread for all of them. What to do comes as one JSON object on the standard input (see Work); the seconds that each
took and the answers by status go to the standard output.
"""

import json
import selectors
import socket
import sys
import time
from collections import Counter
from dataclasses import dataclass

from bench.load import small_jpeg

TICK_SECONDS = 0.1
GIVE_UP_AFTER_SECONDS = 180


@dataclass(frozen=True)
class Work:
    port: int
    token: str
    tickets: list[int]  # one for each client
    photo_bytes: int
    bytes_per_second: int


class SlowClient:
    def __init__(self, work: Work, ticket: int):
        photo = small_jpeg().ljust(work.photo_bytes, b"~")
        head = [
            f"POST /api/v1/tickets/{ticket}/images/ HTTP/1.1",
            "Host: 127.0.0.1",
            f"Authorization: Token {work.token}",
            "Content-Type: multipart/form-data; boundary=photo",
        ]
        body = b'--photo\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\n\r\n'
        body += photo + b"\r\n--photo--\r\n"
        head += [f"Content-Length: {len(body)}", "", ""]
        self._unsent = memoryview("\r\n".join(head).encode() + body)
        self.socket = socket.create_connection(("127.0.0.1", work.port))
        self.socket.setblocking(False)

    def send(self, most_bytes: int) -> None:
        try:
            sent = self.socket.send(self._unsent[:most_bytes]) if self._unsent else 0
        except BlockingIOError:
            return
        self._unsent = self._unsent[sent:]


def run(work: Work) -> dict:
    selector, answers, seconds = selectors.DefaultSelector(), Counter(), []
    started = time.monotonic()
    for ticket in work.tickets:
        client = SlowClient(work, ticket)
        selector.register(client.socket, selectors.EVENT_READ, client)
    while (waiting := selector.get_map()) and time.monotonic() - started < GIVE_UP_AFTER_SECONDS:
        tick_ends = time.monotonic() + TICK_SECONDS
        for key in list(waiting.values()):
            key.data.send(int(work.bytes_per_second * TICK_SECONDS))
        while (left := tick_ends - time.monotonic()) > 0:
            for key, _ in selector.select(left):
                answers[status_from(key.data.socket)] += 1
                seconds.append(round(time.monotonic() - started, 2))
                selector.unregister(key.fileobj)
                key.fileobj.close()
            if not waiting:
                break
    return {"answers": answers, "seconds": seconds, "unanswered": len(selector.get_map())}


def status_from(connection: socket.socket) -> int:
    """0 when the connection was cut off."""
    try:
        return int(connection.recv(65536).split(b" ", 2)[1])
    except (OSError, IndexError):
        return 0


if __name__ == "__main__":
    json.dump(run(Work(**json.load(sys.stdin))), sys.stdout)
