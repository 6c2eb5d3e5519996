"""The urllib3 pool of calls to Cloudinary, which end by a deadline: see apps/common/http/deadlines.py."""

import socket

from urllib3 import PoolManager
from urllib3.connection import HTTPConnection
from urllib3.filepost import choose_boundary, encode_multipart_formdata

from apps.common.http.deadlines import DeadlineHTTPPool, DeadlineHTTPSPool
from apps.common.jobs.queue import jobs


class DeadlinePoolManager(PoolManager):
    """A PoolManager that never retries or redirects, and whose exchanges can be cut off: see Exchange.

    A job gives its turn back during an exchange. If the last field of a form is a file, it is sent without a copy:
    urllib3 would copy it, and keep the copy until the response has arrived.
    """

    def __init__(self, **kwargs):
        keep_alive = [*HTTPConnection.default_socket_options, (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
        super().__init__(retries=False, socket_options=keep_alive, **kwargs)
        self.pool_classes_by_scheme = {"http": DeadlineHTTPPool, "https": DeadlineHTTPSPool}

    def request_encode_body(self, method, url, fields=None, headers=None, **kwargs):
        if not fields or not isinstance(fields[-1][1], tuple):
            return super().request_encode_body(method, url, fields=fields, headers=headers, **kwargs)
        portions, content_type = _form_of(*fields)
        headers = {**(headers or {}), "Content-Type": content_type, "Content-Length": str(sum(map(len, portions)))}
        return self.urlopen(method, url, body=portions, headers=headers, **kwargs)

    def urlopen(self, *args, **kwargs):
        with jobs.away():
            return super().urlopen(*args, **kwargs)


def _form_of(*fields) -> tuple[list, str]:
    """Returns the body of a form in portions, one of which is the file of its last field, and its Content-Type."""
    *others, (name, (filename, file)) = fields
    boundary = choose_boundary()
    form, content_type = encode_multipart_formdata([*others, (name, (filename, b""))], boundary=boundary)
    end = len(form) - len(f"\r\n--{boundary}--\r\n")
    return [form[:end], file, form[end:]], content_type
