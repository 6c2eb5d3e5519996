"""How gunicorn serves hopla, both in development (script/server) and in production (Procfile).

Many threads, because a slow phone occupies one for the whole upload while that thread mostly waits: with 2 x 16 threads
200 clients at 50 KB/s make a healthy one wait 20 seconds, with 2 x 256 it waits 10 milliseconds. ASGI servers cannot be
used: Django's ASGI handler writes every body to a file before a view sees it.
"""

import gc
import os

from gunicorn.glogging import Logger

from apps.common.observability.secret_paths import masked_all
from hopla import settings, web_worker

# Loading makes little garbage, and looking for it took a tenth of the time. `post_worker_init` is for requests.
gc.set_threshold(50_000, 20, 50)

logconfig_dict = settings.LOGGING
worker_class = "hopla.web_worker.WebWorker"
workers = settings.WEB_CONCURRENCY
# Enough for 200 slow clients in one process while another one restarts. A process with hardly any thread left accepts
# no more connections and leaves new clients to the others; 64 more connections may be idle between two requests.
threads = 256
worker_connections = threads + 64

# Platforms kill processes 30 seconds after SIGTERM. Uploads in progress have until shortly before that.
graceful_timeout = settings.STOP_TIMEOUT_SECONDS

# Workers show that they are alive by touching a file: in memory, where a busy disk cannot delay it. macOS has no
# /dev/shm.
worker_tmp_dir = "/dev/shm" if os.path.isdir("/dev/shm") else None  # noqa: S108 (no file of ours, gunicorn's own)

# gunicorn's remote control: an unused socket in the home folder that two instances would share.
control_socket_disable = True

# The most that gunicorn allows. A search of 200 letters outside the Latin alphabet takes up to 2400 bytes of a URL;
# gunicorn refuses longer ones by itself, with 414.
limit_request_line = 8190

# TRUSTED_PROXY_HOPS alone decides which X-Forwarded headers are trusted. gunicorn would trust X-Forwarded-Proto in
# every request from 127.0.0.1, and so from every client of a proxy there that passes the header on.
secure_scheme_headers = {}
forwarder_headers = ""
forwarded_allow_ips = ""  # so none is a proxy of gunicorn's, nor is it looked up for each request


class NoNeedlessAccessLog(Logger):
    """Formats lines of the access log only when one is configured (`--access-logfile`, `--log-syslog`).

    gunicorn formats one for each request as soon as it has a `logconfig_dict`, and drops it where no handler takes it:
    an eighth of the CPU time of a poll with 304.
    """

    @property
    def access_log_enabled(self) -> bool:
        return bool(self.cfg.accesslog or self.cfg.syslog)

    def atoms(self, resp, req, environ, request_time):
        """Returns what a line of the access log may have, with the tokens of secret paths masked."""
        return masked_all(super().atoms(resp, req, environ, request_time))


logger_class = NoNeedlessAccessLog


def post_worker_init(worker):
    """Exclude what is loaded by now from garbage collection: it stays as long as the process, requests make little
    garbage, and looking through it again and again took a tenth of their CPU time.

    What requests under way hold outlives the first generation. So the second one is looked through often, and little
    has gathered there: at every twentieth time it took 0.1 s after a rush of 64 clients, in which the process stood.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(5_000, 2, 200)


def child_exit(server, worker):
    """Called in the main process, however the worker ended."""
    web_worker.forget(worker)
