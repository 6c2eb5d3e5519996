"""A client of tus, as the tests need one."""

import base64

from tests.case import ApiTestCase
from tests.makers import client_for, jpeg_bytes, make_ticket, make_user

OFFSET_STREAM = "application/offset+octet-stream"
PHOTO = jpeg_bytes(1, size=100_000)


def metadata(**values: str) -> str:
    return ",".join(f"{name} {base64.b64encode(value.encode()).decode()}" for name, value in values.items())


class TusMixin:
    """Requests by the owner of `self.ticket`, with the version of tus unless it is given."""

    def setUp(self):
        super().setUp()
        self.owner = make_user()
        self.ticket = make_ticket(self.owner)
        self.client = client_for(self.owner)

    @property
    def uploads_path(self) -> str:
        return f"/api/v1/tickets/{self.ticket.pk}/uploads/"

    def tus(self, method: str, path: str, body: bytes = b"", *, client=None, **headers):
        """`headers` as HTTP has them, with `_` for `-`; None leaves one out."""
        named = {"Tus_Resumable": "1.0.0"} | headers
        if body and "Content_Type" not in named:
            named["Content_Type"] = OFFSET_STREAM
        content_type = named.pop("Content_Type", "") or ""
        extra = {f"HTTP_{name.upper()}": str(value) for name, value in named.items() if value is not None}
        return (client or self.client).generic(method, path, body, content_type=content_type, **extra)

    def begin(self, body: bytes = b"", *, length: int | None = len(PHOTO), path: str | None = None, **headers):
        sizes = {"Upload_Length": length} if length is not None else {}
        return self.tus("POST", path or self.uploads_path, body, **sizes | headers)

    def begun(self, *arguments, **options) -> str:
        """The path of a new upload."""
        response = self.begin(*arguments, **options)
        self.assertEqual(response.status_code, 201, response.content)
        return response["Location"]

    def send(self, path: str, offset: int, body: bytes, **headers):
        return self.tus("PATCH", path, body, **{"Content_Type": OFFSET_STREAM, "Upload_Offset": offset} | headers)

    def ask(self, path: str, **headers):
        return self.tus("HEAD", path, **headers)

    def offset_of(self, path: str) -> int:
        response = self.ask(path)
        self.assertEqual(response.status_code, 200, response.headers)
        return int(response["Upload-Offset"])


class TusTestCase(TusMixin, ApiTestCase):
    pass
