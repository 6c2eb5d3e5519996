import gzip
import ipaddress
import os
import socket
import tempfile
import threading
import zlib
from pathlib import Path
from unittest import mock

from django.test import SimpleTestCase, override_settings

from apps.common.http.deadlines import interrupt_all
from apps.integrations.webhooks.dialling import Answer, post
from tests.case import HoplaAssertions
from tests.integrations.webhooks.certificates import server_tls
from tests.integrations.webhooks.receiver import Receiver, answering, closed_port

LOOPBACK = [ipaddress.ip_network("127.0.0.0/8")]


@override_settings(WEBHOOK_ALLOWED_NETWORKS=LOOPBACK)
class DiallingTestCase(HoplaAssertions, SimpleTestCase):
    def receiver(self, answer=None, **options) -> Receiver:
        return self.enterContext(Receiver(answer, **options))

    def post(self, url: str, *, seconds: float = 30, **options) -> Answer:
        return post(url, body=b'{"a":1}', headers={"webhook-id": "1", "X-Own": "yes"}, seconds=seconds, **options)


class PostTests(DiallingTestCase):
    def test_body_and_headers_arrive(self):
        receiver = self.receiver(answering(204))

        answer = self.post(receiver.url)

        self.assertEqual((answer.status, answer.text, answer.is_success), (204, "", True))
        ((headers, body),) = receiver.requests
        self.assertEqual((body, headers["X-Own"], headers["Host"]), (b'{"a":1}', "yes", f"127.0.0.1:{receiver.port}"))

    def test_host_is_the_name_and_the_address_is_the_checked_one(self):
        receiver = self.receiver()

        answer = self.post(f"http://hooks.example:{receiver.port}/a?b=c", resolve=lambda name: ["::ffff:127.0.0.1"])

        self.assertEqual(answer.status, 200)
        self.assertEqual(receiver.requests[0][0]["Host"], f"hooks.example:{receiver.port}")

    def test_name_that_leads_inside_the_second_time_is_asked_once(self):
        receiver, asked = self.receiver(), []

        def resolve(name):
            asked.append(name)
            return ["127.0.0.1" if len(asked) == 1 else "127.0.0.2"]

        with self.settings(WEBHOOK_ALLOWED_NETWORKS=[ipaddress.ip_network("127.0.0.1/32")]):
            url = f"http://hooks.example:{receiver.port}/"
            self.assertEqual(self.post(url, resolve=resolve).status, 200)
            self.assertIsNone(self.post(url, resolve=resolve).status)
        self.assertEqual((asked, len(receiver.requests)), (["hooks.example"] * 2, 1))

    def test_refused_address_is_not_dialled(self):
        receiver = self.receiver(answering(200, b"the secrets of the inside"))
        with self.settings(WEBHOOK_ALLOWED_NETWORKS=[]):
            for url in (receiver.url, receiver.url.replace("http:", "https:"), f"https://localhost:{receiver.port}/"):
                answer = self.post(url)
                self.assertIsNone(answer.status)
                self.assertTrue(answer.text.startswith("hopla: "))
        self.assertEqual(receiver.requests, [])

    def test_next_address_of_the_name_is_tried_when_nobody_is_at_the_first(self):
        receiver = self.receiver()

        answer = self.post(f"http://hooks.example:{receiver.port}/", resolve=lambda name: ["127.0.0.77", "127.0.0.1"])

        self.assertEqual((answer.status, len(receiver.requests)), (200, 1))

    def test_redirect_is_not_followed(self):
        target = self.receiver()
        for status in (301, 302, 303, 307, 308):
            receiver = self.receiver(answering(status, Location=target.url))
            answer = self.post(receiver.url)
            self.assertEqual((answer.status, answer.is_success, len(receiver.requests)), (status, False, 1))
        self.assertEqual(target.requests, [])

    def test_proxy_of_the_environment_is_not_used(self):
        receiver, proxy = self.receiver(), self.receiver()
        names = ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY")
        with mock.patch.dict(os.environ, dict.fromkeys(names, f"http://127.0.0.1:{proxy.port}")):
            self.assertEqual(self.post(receiver.url).status, 200)
        self.assertEqual(proxy.requests, [])

    def test_no_answer(self):
        def hang_up(handler):
            handler.connection.close()

        for url, text in (
            (f"http://127.0.0.1:{self.enterContext(closed_port())}/", "hopla: no connection"),
            (self.receiver(hang_up).url, "hopla: the connection ended without an answer"),
            (self.receiver(lambda it: it.wfile.write(b"no http\r\n\r\n")).url, None),
            (self.receiver().url.replace("http:", "https:"), None),
        ):
            with self.subTest(url):
                answer = self.post(url)
                self.assertEqual((answer.status, answer.is_success, answer.interrupted), (None, False, False))
                self.assertTrue(answer.text.startswith(text or "hopla: "), answer.text)


class DeadlineTests(DiallingTestCase):
    def assert_timed_out(self, answer: Answer) -> None:
        self.assertEqual((answer.status, answer.text, answer.interrupted), (None, "hopla: no answer in time", False))

    def test_receiver_that_hangs_or_drips(self):
        for behaviour in (Receiver.hang, Receiver.drip):
            receiver = self.receiver()
            receiver.answer = lambda handler, r=receiver, b=behaviour: b(r, handler)
            self.assert_timed_out(self.post(receiver.url, seconds=0.5))
            self.wait_until(lambda r=receiver: r.requests)
            self.assertEqual(len(receiver.requests), 1)

    def test_receiver_that_never_shakes_hands(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.assert_timed_out(self.post(f"https://127.0.0.1:{listener.getsockname()[1]}/", seconds=0.5))

    def test_status_counts_when_the_body_does_not_end(self):
        def endless(handler):
            handler.send_response(200)
            handler.send_header("Content-Length", "1000")
            handler.end_headers()
            handler.wfile.write(b"thanks")
            receiver.over.wait()

        receiver = self.receiver(endless)
        answer = self.post(receiver.url, seconds=3)
        self.assertEqual((answer.status, answer.is_success), (200, True))

    def test_end_of_the_process_interrupts_it(self):
        receiver = self.receiver()
        receiver.answer = receiver.hang
        answers = []
        thread = threading.Thread(target=lambda: answers.append(self.post(receiver.url, seconds=600)))
        thread.start()
        self.wait_until(lambda: receiver.requests)

        interrupt_all()

        thread.join(60)
        self.assertTrue(answers[0].interrupted)


class AnswerTests(DiallingTestCase):
    def text_of(self, body: bytes, **headers) -> str:
        return self.post(self.receiver(answering(500, body, **headers)).url).text

    def test_first_of_it_is_kept(self):
        self.assertEqual(self.text_of(b"out of order\n"), "out of order\n")
        self.assertEqual(self.text_of(b"x" * 100_000), "x" * 1024)

    def test_it_is_made_harmless(self):
        self.assertEqual(self.text_of(b"a\0b\x1b[31mc\xff\x7f"), "a\ufffdb\ufffd[31mc\ufffd\ufffd")
        self.assertEqual(self.text_of("żółw \u202eabc\u200b".encode()), "żółw \ufffdabc\ufffd")

    def test_compressed_one_is_not_unpacked(self):
        bomb = gzip.compress(b"\0" * 10_000_000)
        self.assertEqual(self.text_of(bomb, Content_Encoding="gzip"), "")
        self.assertEqual(self.text_of(zlib.compress(b"x"), Content_Encoding="deflate"), "")

    def test_endless_one_is_not_read_to_its_end(self):
        def endless(handler):
            handler.send_response(500)
            handler.send_header("Transfer-Encoding", "chunked")
            handler.end_headers()
            while not receiver.over.is_set():
                handler.wfile.write(b"400\r\n" + b"x" * 1024 + b"\r\n")

        receiver = self.receiver(endless)
        answer = self.post(receiver.url, seconds=600)
        self.assertEqual((answer.status, answer.text), (500, "x" * 1024))


class TLSTests(DiallingTestCase):
    def served(self, *names: str) -> tuple[Receiver, str]:
        folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        tls, ca_file = server_tls(folder, *names)
        return self.receiver(tls=tls), ca_file

    def to(self, receiver: Receiver, name: str = "hooks.example", **options) -> Answer:
        return self.post(f"https://{name}:{receiver.port}/in", resolve=lambda name: ["127.0.0.1"], **options)

    def test_certificate_of_an_authority_for_the_name(self):
        receiver, ca_file = self.served("hooks.example")

        self.assertEqual(self.to(receiver, ca_file=ca_file).status, 200)
        self.assertEqual(receiver.requests[0][0]["Host"], f"hooks.example:{receiver.port}")

    def test_certificate_for_an_address(self):
        receiver, ca_file = self.served("127.0.0.1")
        self.assertEqual(self.post(receiver.url, ca_file=ca_file).status, 200)

    def test_certificate_that_nobody_known_has_signed(self):
        receiver, _ca_file = self.served("hooks.example")

        answer = self.to(receiver)

        self.assertIsNone(answer.status)
        self.assertIn("TLS failed", answer.text)
        self.assertEqual(receiver.requests, [])

    def test_certificate_for_another_name_or_for_the_address_alone(self):
        for names in (["other.example"], ["127.0.0.1"]):
            receiver, ca_file = self.served(*names)
            answer = self.to(receiver, ca_file=ca_file)
            self.assertIsNone(answer.status, names)
            self.assertIn("TLS failed", answer.text)
            self.assertEqual(receiver.requests, [])

    def test_name_is_sent_for_servers_of_several(self):
        receiver, ca_file = self.served("hooks.example")
        asked = []
        receiver._server.socket.context.sni_callback = lambda sock, name, context: asked.append(name)
        self.to(receiver, ca_file=ca_file)
        self.assertEqual(asked, ["hooks.example"])
