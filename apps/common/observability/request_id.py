"""The id of the current request, or of the one on whose behalf a job runs later: it is in every log line.

With it goes who asked, where that is to be told apart from the user: the API key.

Images and support events store it in their rows, so that it also reaches attempts long after the request, in any
worker, and e-mails.
"""

import re
from contextlib import contextmanager
from contextvars import ContextVar

MAX_LENGTH = 128

_OWN = re.compile(r"[0-9a-f]{32}")

_current: ContextVar[str] = ContextVar("request_id", default="")
_requester: ContextVar[str] = ContextVar("requester", default="")


def current_request_id() -> str:
    """Returns the id, or "" outside of any request."""
    return _current.get()


@contextmanager
def on_behalf_of(request_id: str):
    """Inside, `current_request_id()` returns this id."""
    token, requester = _current.set(request_id), _requester.set("")
    try:
        yield
    finally:
        _current.reset(token)
        _requester.reset(requester)


def requested_by(requester: str) -> None:
    """Note who has made the current request, such as `user 5, key 3`, for its log lines and the history."""
    _requester.set(requester)


def current_requester() -> str:
    """Returns what was noted of the current request; "" if its user says it all."""
    return _requester.get()


def has_no_words(request_id: str) -> bool:
    """Returns whether the id has the form of hopla's own, so that it carries no message from a client."""
    return _OWN.fullmatch(request_id) is not None
