"""hopla as it is, but clients that send byte by byte are cut off after half a second, or in a head after three."""

from hopla.wsgi import application  # noqa: F401  sets Django up, which the imports below need

from apps.common.http import slow_clients  # isort: skip
from apps.common.http import body_limits, unread_body

from hopla import web_worker  # isort: skip

slow_clients.watcher.every_seconds = 0.1
body_limits.GRACE_SECONDS = unread_body.MAX_SECONDS = web_worker.UNREAD_SECONDS = 0.5
web_worker.HEAD_SECONDS = 3  # also of the heads that are to be answered
