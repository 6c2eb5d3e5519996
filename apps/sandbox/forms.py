"""The body of a request: parameters, and at most one photo, held in memory up to the size the cloud accepts."""

import hashlib
import json
from dataclasses import dataclass, field, replace
from functools import cached_property

from django.core.exceptions import SuspiciousOperation
from django.core.files.uploadhandler import FileUploadHandler
from django.http import QueryDict
from django.http.multipartparser import MultiPartParser, MultiPartParserError

from apps.sandbox.responses import Refused

MAX_FORM_BYTES = 1024 * 1024


@dataclass(frozen=True)
class Photo:
    """`data` is empty when `size`, in bytes, is over the limit: such a photo is counted and dropped."""

    filename: str
    size: int
    data: bytes = field(repr=False)

    @cached_property
    def etag(self) -> str:
        return hashlib.md5(self.data, usedforsecurity=False).hexdigest()

    def half(self) -> "Photo":
        data = self.data[: len(self.data) // 2]
        return replace(self, size=len(data), data=data)


class Body:
    """A request's body as a stream that ends where Content-Length says."""

    def __init__(self, stream, length: int):
        self._stream, self.length, self.remaining = stream, length, length

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes. Raises ConnectionAbortedError when the client leaves before the end."""
        wanted = self.remaining if size < 0 else min(size, self.remaining)
        if not wanted:
            return b""
        piece = self._stream.read1(wanted)
        if not piece:
            raise ConnectionAbortedError("the client left before the end of its request")
        self.remaining -= len(piece)
        return piece

    def read_all(self) -> bytes:
        if self.length > MAX_FORM_BYTES:
            raise Refused(413, "Request entity too large")
        return b"".join(iter(self.read, b""))


class PhotoHandler(FileUploadHandler):
    """Keeps the multipart part named `file` in memory, or only its size when it is too large."""

    chunk_size = 256 * 1024

    def __init__(self, max_bytes: int):
        super().__init__()
        self.max_bytes, self.photo = max_bytes, None

    def new_file(self, field_name, file_name, *args, **kwargs):
        super().new_file(field_name, file_name, *args, **kwargs)
        self._pieces, self._size = [], 0

    def receive_data_chunk(self, raw_data, start):
        self._size += len(raw_data)
        if self._size <= self.max_bytes:
            self._pieces.append(raw_data)
        else:
            self._pieces.clear()

    def file_complete(self, file_size):
        if self.field_name == "file":
            self.photo = Photo(self.file_name, self._size, b"".join(self._pieces))


def read_form(body: Body, content_type: str, *, max_photo_bytes: int) -> tuple[dict[str, list[str]], Photo | None]:
    """Fields and photo of a multipart, urlencoded or JSON body. Raises Refused with 400 when it is none of them."""
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type == "multipart/form-data":
        return _read_multipart(body, content_type, max_photo_bytes)
    if media_type == "application/json":
        return _read_json(body), None
    return fields_of(body.read_all()), None


def fields_of(urlencoded: str | bytes) -> dict[str, list[str]]:
    """The fields of a query or an urlencoded body. Raises Refused with 400 when there are absurdly many."""
    try:
        return _lists_joined(QueryDict(urlencoded))
    except SuspiciousOperation as exc:
        raise Refused(400, f"Malformed fields: {exc}") from exc


def _lists_joined(form: QueryDict) -> dict[str, list[str]]:
    """The values of each name; `tags[]=a&tags[]=b` and `tags[0]=a&tags[1]=b` are lists, else the last value counts."""
    fields: dict[str, list[str]] = {}
    for name, values in form.lists():
        name, is_list, _ = name.partition("[")
        fields[name] = fields.get(name, []) + values if is_list else values[-1:]
    return fields


def _read_multipart(body: Body, content_type: str, max_photo_bytes: int) -> tuple[dict[str, list[str]], Photo | None]:
    handler = PhotoHandler(max_photo_bytes)
    meta = {"CONTENT_TYPE": content_type, "CONTENT_LENGTH": body.length}
    try:
        form, _ = MultiPartParser(meta, body, [handler], "utf-8").parse()
    except (MultiPartParserError, SuspiciousOperation) as exc:
        raise Refused(400, f"Malformed multipart body: {exc}") from exc
    return _lists_joined(form), handler.photo


def _read_json(body: Body) -> dict[str, list[str]]:
    try:
        payload = json.loads(body.read_all() or b"{}")
    except ValueError as exc:
        raise Refused(400, "Malformed JSON body") from exc
    if not isinstance(payload, dict):
        raise Refused(400, "The JSON body is not an object")
    return {
        name: [str(item) for item in value] if isinstance(value, list) else [str(value)]
        for name, value in payload.items()
        if value is not None
    }
