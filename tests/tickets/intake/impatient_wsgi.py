"""hopla as it is, but slow bodies are cut off after half a second instead of ten: for test_body_pace."""

from hopla.wsgi import application  # noqa: F401  sets Django up, which the import below needs

from apps.common.http import slow_clients  # isort: skip
from apps.tickets.intake import body  # isort: skip

body.GRACE_SECONDS = 0.5
slow_clients.watcher.every_seconds = 0.1
