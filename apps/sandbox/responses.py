"""What a client gets: a response, or a refusal in Cloudinary's words."""

import http.client
import json
from dataclasses import dataclass, field

JSON = "application/json; charset=utf-8"
HTML = "text/html; charset=utf-8"


@dataclass(frozen=True)
class Response:
    status: int = 200
    body: bytes = b""
    content_type: str = JSON
    headers: dict[str, str] = field(default_factory=dict)

    def as_bytes(self, *, with_body: bool = True) -> bytes:
        """The whole response as it goes over the wire; `with_body=False` for HEAD."""
        lines = [
            f"HTTP/1.1 {self.status} {reason_of(self.status)}",
            f"Content-Type: {self.content_type}",
            f"Content-Length: {len(self.body)}",
            "Access-Control-Allow-Origin: *",
            "X-Content-Type-Options: nosniff",
            *(f"{name}: {value}" for name, value in self.headers.items()),
        ]
        head = "\r\n".join(lines) + "\r\n\r\n"
        return head.encode("latin-1", "replace") + (self.body if with_body else b"")


def json_response(payload, *, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(status=status, body=json.dumps(payload).encode(), headers=headers or {})


class Refused(Exception):
    """The response has `status` and Cloudinary's `{"error": {"message": …}}`."""

    def __init__(self, status: int, message: str, headers: dict[str, str] | None = None):
        super().__init__(message)
        self.status, self.message, self.headers = status, message, headers or {}

    def response(self) -> Response:
        one_line = " ".join(self.message.split())
        headers = {"X-Cld-Error": one_line} | self.headers
        return json_response({"error": {"message": self.message}}, status=self.status, headers=headers)


def reason_of(status: int) -> str:
    """The reason phrase; 420 is Cloudinary's own and in no registry."""
    return http.client.responses.get(status, "Enhance Your Calm")
