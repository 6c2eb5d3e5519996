"""An event as it is posted: its body, and the headers that go with it."""

import json

from apps.common.api.timestamps import shown_timestamp
from apps.integrations.models import Event

USER_AGENT = "hopla-webhooks/1.0"


def body_of(event: Event) -> bytes:
    """Returns the same bytes at every attempt, since an event never changes. Of one that nobody has read, it makes and
    saves what it tells.
    """
    told = {"type": event.type, "timestamp": shown_timestamp(event.at), "data": event.data}
    return json.dumps(told, separators=(",", ":")).encode()


def headers_of(event: Event) -> dict[str, str]:
    headers = {"Content-Type": "application/json", "User-Agent": USER_AGENT}
    return headers | {"X-Request-ID": event.request_id} if event.request_id else headers
