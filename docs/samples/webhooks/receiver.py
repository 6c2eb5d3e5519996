"""Receives webhooks of hopla:

pip install standardwebhooks
WEBHOOK_SECRET=whsec_… PORT=8021 python receiver.py
"""

import os
import queue
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

webhook = Webhook(os.environ["WEBHOOK_SECRET"])
events = queue.Queue()  # in earnest a table: what is only in memory is lost with the process
seen = set()  # likewise, with a unique key: a double may come days later


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        try:
            event = webhook.verify(body, headers)  # the bytes as they came, not JSON that was written anew
        except (WebhookVerificationError, ValueError):
            return self.answer(400)
        if headers["webhook-id"] not in seen:
            seen.add(headers["webhook-id"])
            events.put(event)
        return self.answer(204)  # at once: the work is done later

    def answer(self, status):
        self.send_response(status)
        self.end_headers()


def work():
    while True:
        event = events.get()
        print(event["type"], flush=True)


threading.Thread(target=work, daemon=True).start()
ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Receiver).serve_forever()
