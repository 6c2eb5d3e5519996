"""Clients that post photos or poll as fast as they get responses, and use little CPU themselves. (Run by a figure.)

One thread and one kept-alive connection for each client, on raw sockets. What to do comes as one JSON object on the
standard input (see Work), what was seen goes as one to the standard output: answers by status, and the milliseconds
of each one with the status that was hoped for.
"""

import io
import json
import os
import random
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path

from PIL import Image

TIMEOUT_SECONDS = 120
BOUNDARY = b"--4d1c0f6b8a2e4a7f9b3c5d7e8f901234"  # as long as libraries make it: a short one is slow to find


@dataclass(frozen=True)
class Work:
    port: int
    clients: int
    token: str = ""
    seconds: float = 3600  # after that each client ends with its next response
    requests: int | None = None  # in all; None: as many as the seconds allow
    tickets: list[int] = field(default_factory=list)  # to fill, `places` photos each, one after the other by one client
    places: int = 0
    together: bool = False  # all clients fill one ticket after the other
    tus: bool = False  # to a tus server, each photo with the request that creates its upload
    photo_bytes: int = 0
    keys: bool = False  # an Idempotency-Key with each photo
    get: str = ""  # poll this path, with `headers`, instead of posting photos
    headers: dict[str, str] = field(default_factory=dict)
    pause_seconds: float = 0  # before each request

    @property
    def hoped_for(self) -> tuple[int, ...]:
        return (200, 304) if self.get else (201 if self.tus else 202,)


class Clients:
    """All the clients of one run; what they share is taken under the lock."""

    def __init__(self, work: Work):
        self.work = work
        self.answers = Counter()
        self.milliseconds = []
        self._left = work.requests if work.requests is not None else sys.maxsize
        self._tickets = iter(work.tickets)
        self._places_of_all = (ticket for ticket in work.tickets for _ in range(work.places))
        self._lock = threading.Lock()
        self._picture = small_jpeg()
        self._noise = random.Random(1).randbytes(max(0, work.photo_bytes - len(self._picture) - 16))

    def run(self) -> float:
        """The seconds until the last response."""
        started = time.monotonic()
        self._ends_at = started + self.work.seconds
        threads = [threading.Thread(target=self._client) for _ in range(self.work.clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return time.monotonic() - started

    def _client(self) -> None:
        connection = Connection(self.work.port)
        for request in self._requests():
            time.sleep(self.work.pause_seconds)
            started = time.monotonic()
            status = connection.exchange(request)
            with self._lock:
                self.answers[status] += 1
                if status in self.work.hoped_for:
                    self.milliseconds.append(round((time.monotonic() - started) * 1000, 2))

    def _requests(self):
        places, ticket = 0, None
        while self._take_turn():
            if self.work.get:
                yield self._head("GET", self.work.get, **self.work.headers)
                continue
            if self.work.tus:
                yield self._create()
                continue
            if self.work.together:
                with self._lock:
                    ticket = next(self._places_of_all)
            elif not places:
                with self._lock:
                    ticket, places = next(self._tickets), self.work.places
            places -= 1
            yield self._post(ticket)

    def _take_turn(self) -> bool:
        with self._lock:
            self._left -= 1
            return self._left >= 0 and time.monotonic() < self._ends_at

    def _post(self, ticket: int) -> bytes:
        photo = self._photo()
        part = BOUNDARY + b'\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\n'
        body = b"".join([part, b"Content-Type: image/jpeg\r\n\r\n", photo, b"\r\n", BOUNDARY, b"--\r\n"])
        kind = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY[2:].decode()}", "Content-Length": len(body)}
        if self.work.keys:
            kind["Idempotency-Key"] = uuid.uuid4()
        return self._head("POST", f"/api/v1/tickets/{ticket}/images/", **kind) + body

    def _create(self) -> bytes:
        photo = self._photo()
        headers = {"Tus-Resumable": "1.0.0", "Upload-Length": len(photo), "Upload-Metadata": "filename YS5qcGc="}
        headers |= {"Content-Type": "application/offset+octet-stream", "Content-Length": len(photo)}
        return self._head("POST", "/files", **headers) + photo

    def _photo(self) -> bytes:
        return b"".join([self._picture, os.urandom(16), self._noise])  # each one is different

    def _head(self, method: str, path: str, **headers) -> bytes:
        headers = {"Host": "127.0.0.1", "Authorization": f"Token {self.work.token}"} | headers
        lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
        return "\r\n".join(lines).encode()


def run_load(**work) -> dict:
    """Runs these clients (see Work) in a process of their own, and returns what they saw."""
    command = [sys.executable, "-m", "bench.load"]
    asked = json.dumps(asdict(Work(**work)))
    root = Path(__file__).resolve().parent.parent
    answer = subprocess.run(command, cwd=root, input=asked, text=True, capture_output=True)
    if answer.returncode:
        raise RuntimeError(f"The load failed:\n{answer.stderr}")
    seen = json.loads(answer.stdout)
    if not seen["milliseconds"]:
        raise RuntimeError(f"Nothing but these answers came (number by status): {seen['answers']}")
    return seen


def small_jpeg() -> bytes:
    """What follows it in a file, here noise to make up the size, is ignored by decoders."""
    buffer = io.BytesIO()
    Image.new("RGB", (64, 48), "teal").save(buffer, "JPEG")
    return buffer.getvalue()


class Connection:
    """Reopened when the server has closed it."""

    def __init__(self, port: int):
        self._port = port
        self._socket = None
        self.body = b""  # of the last response

    def exchange(self, request: bytes) -> int:
        """The status of the response; 0 without one."""
        is_used = self._socket is not None
        try:
            if not is_used:
                self._socket = socket.create_connection(("127.0.0.1", self._port), timeout=TIMEOUT_SECONDS)
            self._socket.sendall(request)
            return self._read_answer()
        except OSError:
            self._close()
            return self.exchange(request) if is_used else 0  # an idle connection may be closed at any moment

    def _read_answer(self) -> int:
        received = b""
        while (end := received.find(b"\r\n\r\n")) < 0:
            received += self._read()
        head = received[:end].lower()
        length = int(head.partition(b"content-length:")[2].split(b"\r\n")[0] or 0)
        while len(received) < end + 4 + length:
            received += self._read()
        self.body = received[end + 4 :]
        if b"connection: close" in head:
            self._close()
        return int(head.split()[1])

    def _read(self) -> bytes:
        data = self._socket.recv(65536)
        if not data:
            raise ConnectionResetError
        return data

    def _close(self) -> None:
        if self._socket is not None:
            self._socket.close()
        self._socket = None


if __name__ == "__main__":
    clients = Clients(Work(**json.load(sys.stdin)))
    seconds = clients.run()
    json.dump({"seconds": seconds, "answers": clients.answers, "milliseconds": clients.milliseconds}, sys.stdout)
