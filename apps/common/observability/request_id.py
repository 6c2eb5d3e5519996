"""The id of the request that is being answered, or on whose behalf something is done later: in every log line.

An image and an event of the desk keep it in their rows, so that it also reaches attempts long after the request, by
whatever worker, and the e-mail.
"""

import re
from contextlib import contextmanager
from contextvars import ContextVar

MAX_LENGTH = 128

_OWN = re.compile(r"[0-9a-f]{32}")

_current: ContextVar[str] = ContextVar("request_id", default="")


def current_request_id() -> str:
    """ "" outside of any request."""
    return _current.get()


@contextmanager
def on_behalf_of(request_id: str):
    """Inside, `current_request_id()` answers this id."""
    token = _current.set(request_id)
    try:
        yield
    finally:
        _current.reset(token)


def has_no_words(request_id: str) -> bool:
    """Whether it has the form of those that hopla makes, so that no client wrote a message in it."""
    return _OWN.fullmatch(request_id) is not None
