"""How gunicorn serves hopla, in development (script/server) and production (Procfile) alike.

Threads, because a photo from a slow phone keeps one for as long as it takes, without working: with 2 x 16 threads 200
clients at 50 KB/s make a healthy one wait 20 seconds, with 2 x 256 it waits 10 milliseconds. ASGI servers are out:
Django's ASGI handler writes every body to a file before a view sees it.
"""

import gc
import os

from gunicorn.glogging import Logger

from hopla import web_worker
from hopla.settings import LOGGING as logconfig_dict  # noqa: F401 (a setting of gunicorn's, by its name)

worker_class = "hopla.web_worker.WebWorker"
workers = int(os.environ.get("WEB_CONCURRENCY", 2))
# So many that 200 slow clients fit into one process, while another one starts again. One that has hardly a thread left
# accepts no more, and leaves new clients to the others; 64 more connections may idle between two requests.
threads = 256
worker_connections = threads + 64

# Platforms kill 30 seconds after SIGTERM. Uploads under way have until shortly before that.
graceful_timeout = int(os.environ.get("STOP_TIMEOUT_SECONDS", 25))

# Workers prove that they live by touching a file: in memory, where a busy disk cannot delay it. macOS has no /dev/shm.
worker_tmp_dir = "/dev/shm" if os.path.isdir("/dev/shm") else None  # noqa: S108 (no file of ours, gunicorn's own)

# gunicorn's remote control: a socket in the home folder that nobody here uses and two instances would share.
control_socket_disable = True

# The most that gunicorn allows. A search of 200 letters outside the Latin alphabet takes up to 2400 bytes of a URL;
# what is longer than this gunicorn refuses by itself, 414.
limit_request_line = 8190

# Whose X-Forwarded headers are believed is TRUSTED_PROXY_HOPS' word alone. gunicorn would believe X-Forwarded-Proto of
# everyone who comes by way of 127.0.0.1, and so of every client of a proxy there that passes it on.
secure_scheme_headers = {}
forwarder_headers = ""


class NoNeedlessAccessLog(Logger):
    """Makes lines of an access log only for whoever asked for one (`--access-logfile`, `--log-syslog`).

    gunicorn makes one for each request as soon as it has a `logconfig_dict`, and then throws it away where no handler
    takes it: an eighth of what a poll answered 304 took.
    """

    @property
    def access_log_enabled(self) -> bool:
        return bool(self.cfg.accesslog or self.cfg.syslog)


logger_class = NoNeedlessAccessLog


def post_worker_init(worker):
    """What is loaded by now stays as long as the process: looking through it for garbage again and again, which
    requests make little of, took a tenth of their processor time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(5_000, 20, 50)


def child_exit(server, worker):
    """In the main process, whichever way the worker has ended."""
    web_worker.forget(worker)
