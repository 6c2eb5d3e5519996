"""A small client of hopla's API for the scripts in this folder, with only the standard library."""

import http.client
import json
import secrets
import time
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

TIMEOUT_SECONDS = 60


@dataclass(frozen=True)
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: dict

    def __str__(self):
        return f"{self.status} {self.body['code']}" if "code" in self.body else str(self.status)


class Client:
    """Speaks to the API at `url` with one user's token, or anonymously. Any number of threads may share one."""

    def __init__(self, url: str, *, token: str | None = None):
        self.api = url.rstrip("/") + "/api/v1/"
        self.token = token

    def registered(self) -> "Client":
        """The same for a new user."""
        password = secrets.token_urlsafe(16)
        name = f"bench-{secrets.token_hex(6)}"
        user = {"username": name, "email": f"{name}@example.com", "password": password}
        answer = self.post_json("auth/register/", user)
        if answer.status != 201:
            raise SystemExit(f"No user could be registered: {answer.status} {answer.body}")
        return Client(self.api.removesuffix("/api/v1/"), token=answer.body["token"])

    def get(self, path: str) -> Answer:
        return self.call("GET", path)

    def post_json(self, path: str, fields: dict) -> Answer:
        return self.call("POST", path, json.dumps(fields).encode(), {"Content-Type": "application/json"})

    def post_photo(self, ticket_id: int, content: bytes, *, filename: str, bare_as: str | None = None) -> Answer:
        """As a multipart form, or as the bare bytes with the Content-Type `bare_as`."""
        path = f"tickets/{ticket_id}/images/"
        if bare_as:
            disposition = f'attachment; filename="{filename}"'
            return self.call("POST", path, content, {"Content-Type": bare_as, "Content-Disposition": disposition})
        return self.call("POST", path, *form(content, filename=filename))

    def call(self, method: str, path: str, body: bytes | None = None, headers: dict | None = None) -> Answer:
        """`path` counts from /api/v1/; an absolute URL works as well. Each request has its own connection, as with
        curl.
        """
        url = urlsplit(urljoin(self.api, path))
        secure = url.scheme == "https"
        connection_class = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        connection = connection_class(url.netloc, timeout=TIMEOUT_SECONDS)
        authorization = {"Authorization": f"Token {self.token}"} if self.token else {}
        try:
            target = f"{url.path}?{url.query}" if url.query else url.path
            connection.request(method, target, body, authorization | (headers or {}))
            response = connection.getresponse()
            content = response.read()
        finally:
            connection.close()
        return Answer(response.status, response.headers, json.loads(content) if content else {})


def form(content: bytes, *, filename: str) -> tuple[bytes, dict]:
    """The body and the headers of a multipart form with one file, `image`."""
    boundary = secrets.token_hex(16)
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="image"; filename="{filename}"\r\n\r\n'
    body = head.encode() + content + f"\r\n--{boundary}--\r\n".encode()
    return body, {"Content-Type": f"multipart/form-data; boundary={boundary}"}


def asked_to_wait(answer: Answer) -> bool:
    """Waits as long as a 429 or 503 asks; False for any other response, or without a Retry-After, which is wrong."""
    if answer.status not in (429, 503) or "Retry-After" not in answer.headers:
        return False
    time.sleep(int(answer.headers["Retry-After"]))
    return True
