"""The id of the current request, or of the one on whose behalf a job runs later: it is in every log line.

Images and support events store it in their rows, so that it also reaches attempts long after the request, in any
worker, and e-mails.
"""

import re
from contextlib import contextmanager
from contextvars import ContextVar

MAX_LENGTH = 128

_OWN = re.compile(r"[0-9a-f]{32}")

_current: ContextVar[str] = ContextVar("request_id", default="")


def current_request_id() -> str:
    """Returns the id, or "" outside of any request."""
    return _current.get()


@contextmanager
def on_behalf_of(request_id: str):
    """Inside, `current_request_id()` returns this id."""
    token = _current.set(request_id)
    try:
        yield
    finally:
        _current.reset(token)


def has_no_words(request_id: str) -> bool:
    """Returns whether the id has the form of hopla's own, so that it carries no message from a client."""
    return _OWN.fullmatch(request_id) is not None
