"""A client such as one would write for real: it repeats what went unanswered or got 5xx, with the same key."""

import hashlib
import io
import json
import random
import socket
import threading
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field
from functools import cache
from urllib.parse import urlsplit

import urllib3
from PIL import Image as Picture

TIMEOUT_SECONDS = 30
PATIENCE_SECONDS = 240
LONGEST_WAIT_SECONDS = 2


class OutOfPatienceError(Exception):
    """The request got no final response in all that time."""


class RefusedError(Exception):
    """A final response, but not the expected one."""


@dataclass(frozen=True)
class Answer:
    status: int
    body: dict
    headers: dict

    @property
    def code(self) -> str:
        return self.body.get("code", "")


@dataclass
class Diary:
    """What the clients of one world have seen, safe to write from many threads."""

    answers: Counter = field(default_factory=Counter)  # by "status code", or the kind of network error
    accepted_at: list[float] = field(default_factory=list)  # by the monotonic clock
    md5_by_sha256: dict[str, str] = field(default_factory=dict)  # of every photo that was ever sent
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, what: str) -> None:
        with self._lock:
            self.answers[what] += 1

    def note_accepted(self) -> None:
        with self._lock:
            self.accepted_at.append(time.monotonic())


class Client:
    """Talks to the API at `url` with a user's token. Safe to use from several threads."""

    def __init__(self, url: str, token: str, *, diary: Diary | None = None, patience_seconds: float = PATIENCE_SECONDS):
        self.url = url
        self.diary = diary or Diary()
        self.patience_seconds = patience_seconds
        self.headers = {"Authorization": f"Token {token}"}
        self._http = urllib3.PoolManager(maxsize=32, retries=False, timeout=urllib3.Timeout(TIMEOUT_SECONDS))

    # --- One request ---

    def once(self, method: str, path: str, body: bytes | None = None, **headers) -> Answer:
        """One exchange. Raises urllib3's HTTPError when there is no response."""
        headers = self.headers | {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            response = self._http.request(method, f"{self.url}/api/v1/{path}", body=body, headers=headers)
        except urllib3.exceptions.HTTPError as error:
            self.diary.note(type(error).__name__)
            raise
        answer = Answer(response.status, json.loads(response.data or b"{}"), response.headers)
        self.diary.note(f"{method} {answer.status} {answer.code}".strip())
        return answer

    def repeatedly(self, method: str, path: str, body: bytes | None = None, **headers) -> Answer:
        """Repeat until the response is final: not 5xx, not 429, not 408, not 409 over the same key in flight."""
        give_up_at = time.monotonic() + self.patience_seconds
        while True:
            try:
                answer = self.once(method, path, body, **headers)
            except urllib3.exceptions.HTTPError as error:
                wait, last = 0.2, error
            else:
                if not _is_passing(answer):
                    return answer
                wait, last = float(answer.headers.get("Retry-After", 0.2)), answer
            if time.monotonic() > give_up_at:
                raise OutOfPatienceError(f"{method} {path}: {last}")
            time.sleep(min(wait, LONGEST_WAIT_SECONDS) * random.uniform(0.5, 1))

    # --- The story ---

    def open_ticket(self, num_images: int, **fields) -> int:
        """The id of a new ticket, opened once however often it has to be asked for. Raises RefusedError."""
        body = json.dumps({"num_images": num_images} | fields).encode()
        answer = self.repeatedly("POST", "tickets/", body, Content_Type="application/json", Idempotency_Key=new_key())
        if answer.status != 201:
            raise RefusedError(answer)
        return answer.body["id"]

    def post_photo(self, ticket_id: int, content: bytes, *, key: str | None = None) -> Answer:
        """The final response to this photo; 202 unless the ticket takes no more."""
        self.remember(content)
        headers = {"Content_Type": "image/jpeg", "Idempotency_Key": key or new_key()}
        answer = self.repeatedly("POST", f"tickets/{ticket_id}/images/", content, **headers)
        if answer.status == 202:
            self.diary.note_accepted()
        return answer

    def post_photo_once(self, ticket_id: int, content: bytes, **headers) -> Answer:
        self.remember(content)
        return self.once("POST", f"tickets/{ticket_id}/images/", content, Content_Type="image/jpeg", **headers)

    def read_ticket(self, ticket_id: int) -> dict:
        return self.repeatedly("GET", f"tickets/{ticket_id}/").body

    def fill_ticket(self, ticket_id: int, photos: list[bytes]) -> dict:
        """Post all of them and see to it that all are stored: a photo that failed is posted again, with its own key.

        Answers the completed ticket. Raises OutOfPatienceError.
        """
        keys = {new_key(): content for content in photos}
        for key, content in keys.items():
            self.post_photo(ticket_id, content, key=key)
        return self.see_to_completion(ticket_id, keys)

    def see_to_completion(self, ticket_id: int, photos: dict[str, bytes]) -> dict:
        """Post again whichever of these photos, by their keys, is neither stored nor on its way, until all are stored.

        Answers the ticket, completed or ended otherwise. Raises OutOfPatienceError.
        """
        key_by_sha256 = {hashlib.sha256(content).hexdigest(): key for key, content in photos.items()}
        give_up_at = time.monotonic() + self.patience_seconds
        while (ticket := self.read_ticket(ticket_id))["status"] not in ("completed", "cancelled", "expired"):
            there = {image["sha256"] for image in ticket["images"] if image["status"] != "failed"}
            for sha256 in key_by_sha256.keys() - there:
                self.post_photo(ticket_id, photos[key_by_sha256[sha256]], key=key_by_sha256[sha256])
            if time.monotonic() > give_up_at:
                raise OutOfPatienceError(f"ticket {ticket_id}: {ticket}")
            time.sleep(0.2)
        return ticket

    def remember(self, content: bytes) -> None:
        """For the books: this photo is sent."""
        self.diary.md5_by_sha256[hashlib.sha256(content).hexdigest()] = hashlib.md5(content).hexdigest()


def _is_passing(answer: Answer) -> bool:
    return answer.status >= 500 or answer.status in (408, 429) or answer.code == "idempotency_in_flight"


def new_key() -> str:
    return str(uuid.uuid4())


@cache
def _picture() -> bytes:
    buffer = io.BytesIO()
    Picture.new("RGB", (64, 48), "teal").save(buffer, "JPEG")
    return buffer.getvalue()


def photo(seed: int | str, *, size: int = 4000) -> bytes:
    """A JPEG of that many bytes, another for each seed: its tail is noise that decoders ignore."""
    return _picture() + random.Random(seed).randbytes(size - len(_picture()))


class CutUpload:
    """A photo of which the first half is sent and the rest never comes. As a context manager it then hangs up."""

    def __init__(self, client: Client, ticket_id: int, content: bytes, **headers):
        address = urlsplit(client.url)
        self._socket = socket.create_connection((address.hostname, address.port), timeout=TIMEOUT_SECONDS)
        headers = client.headers | {"Host": address.netloc, "Content_Type": "image/jpeg"} | headers
        lines = [f"POST /api/v1/tickets/{ticket_id}/images/ HTTP/1.1", f"Content-Length: {len(content)}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self._socket.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + content[: len(content) // 2])

    def __enter__(self) -> "CutUpload":
        return self

    def __exit__(self, *exc_info) -> None:
        self._socket.close()
