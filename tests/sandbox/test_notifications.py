import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from cloudinary import utils

from apps.sandbox.faults import FaultError
from tests.sandbox.case import SandboxTestCase
from tests.sandbox.photos import photo


class Listener:
    """A server that keeps what is posted to it, and answers with the next of `statuses`, at last with 200."""

    def __init__(self, *statuses: int):
        self.received = []  # (body, headers, whether the upload had been answered)
        self.is_answered = False
        statuses = iter(statuses)
        listener = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                listener.received.append((body, self.headers, listener.is_answered))
                self.send_response(next(statuses, 200))
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args):
                """Prints nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://localhost:{self._server.server_port}/told"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class NotificationTest(SandboxTestCase):
    def listen(self, *statuses: int) -> Listener:
        self.listener = Listener(*statuses)
        self.addCleanup(self.listener.stop)
        return self.listener

    def post(self, url: str, **params):
        response = self.post_signed(notification_url=url, **params)
        self.listener.is_answered = True
        return response

    def wait_for(self, number: int, condition=lambda received: True):
        ends_at = time.monotonic() + 60
        while len(self.listener.received) < number:
            self.assertLess(time.monotonic(), ends_at, self.listener.received)
            time.sleep(0.01)
        return self.listener.received

    def is_genuine(self, body: bytes, headers) -> bool:
        signed = body.decode() + headers["X-Cld-Timestamp"] + "sandbox-secret"
        algorithm = {40: "sha1", 64: "sha256"}[len(headers["X-Cld-Signature"])]
        return utils.compute_hex_hash(signed, algorithm) == headers["X-Cld-Signature"]

    def test_what_was_stored_is_told_and_signed(self):
        for algorithm in ("sha1", "sha256"):
            with self.subTest(algorithm):
                listener = self.listen()

                answer = self.post(listener.url, algorithm=algorithm, public_id=f"hopla/{algorithm}").json()

                [(body, headers, _)] = self.wait_for(1)
                told = json.loads(body)
                self.assertTrue(self.is_genuine(body, headers))
                self.assertEqual(told["notification_type"], "upload")
                for name in ("public_id", "asset_id", "version", "bytes", "etag", "format", "width", "resource_type"):
                    self.assertEqual(told[name], answer[name])

    def test_nobody_is_told_who_did_not_ask(self):
        self.listen()

        self.post_signed()

        self.assertEqual(self.sandbox.notices, [])

    def test_existing_photo_is_not_told_again(self):
        listener = self.listen()
        self.post(listener.url, overwrite="false")
        self.wait_until(lambda: self.sandbox.notices)

        second = self.post(listener.url, overwrite="false", data=photo(color="blue"))

        self.assertTrue(second.json()["existing"])
        self.assertEqual(len(self.sandbox.notices), 1)

    def test_it_is_repeated_until_it_is_answered_with_200(self):
        self.sandbox.cloud.notification_pauses = (0.01, 0.01, 0.01)
        listener = self.listen(500, 302)

        self.post(listener.url)

        bodies = [body for body, _, _ in self.wait_for(3)]
        self.assertEqual(bodies, bodies[:1] * 3)
        self.assertTrue(all(self.is_genuine(body, headers) for body, headers, _ in listener.received))

    def test_only_this_machine_is_told(self):
        listener = self.listen()
        for url in ("http://192.0.2.1/", "https://example.com/", "ftp://127.0.0.1/", "http://[", "nonsense"):
            with self.subTest(url), self.assertLogs("apps.sandbox", "WARNING"):
                self.assertEqual(self.post(url, public_id=f"hopla/{len(url)}").status, 200)
        self.assertEqual({notice.what for notice in self.sandbox.notices}, {"refused"})

        self.sandbox.cloud.notifies = frozenset({"localhost.localdomain", "127.0.0.1.nip.invalid"})
        self.post(listener.url, public_id="hopla/here")
        self.wait_for(1)

    # --- Faults ---

    def test_notification_lost(self):
        listener = self.listen()
        self.sandbox.misbehave("notification_lost")

        self.post(listener.url)

        self.assertEqual([notice.what for notice in self.sandbox.notices], ["lost"])
        self.assertEqual(listener.received, [])

    def test_notification_doubled(self):
        self.sandbox.misbehave("notification_doubled")

        self.post(self.listen().url)

        first, second = self.wait_for(2)
        self.assertEqual(first[0], second[0])

    def test_notification_forged(self):
        self.sandbox.misbehave("notification_forged")

        self.post(self.listen(403).url)

        forged, genuine = self.wait_for(2)
        self.assertEqual([self.is_genuine(*each[:2]) for each in (forged, genuine)], [False, True])
        self.assertEqual(json.loads(forged[0])["bytes"], json.loads(genuine[0])["bytes"] + 1)

    def test_notification_first(self):
        self.sandbox.misbehave("notification_first")

        self.post(self.listen().url)

        self.assertEqual([is_answered for *_, is_answered in self.listener.received], [False])

    def test_notification_delayed(self):
        self.sandbox.misbehave("notification_delayed", seconds=3)

        self.post(self.listen().url)

        [(_, _, is_answered)] = self.wait_for(1)
        self.assertTrue(is_answered)

    def test_such_faults_are_of_notifications_alone(self):
        for rule in ({"kind": "notification_lost", "action": "upload"}, {"kind": "hang", "action": "notification"}):
            with self.assertRaises(FaultError):
                self.sandbox.misbehave(**rule)
