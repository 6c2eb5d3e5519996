"""hopla with another patience with clients that do not take their archive, and a page that says what memory it took."""

import os
import resource

from hopla.wsgi import application as hopla  # sets Django up, which the import below needs

from apps.tickets.handover import archive  # isort: skip

archive.PATIENCE_SECONDS = float(os.environ.get("PATIENCE_SECONDS", archive.PATIENCE_SECONDS))


def application(environ, start_response):
    if environ["PATH_INFO"] == "/peak-memory":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [str(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024).encode()]
    return hopla(environ, start_response)
