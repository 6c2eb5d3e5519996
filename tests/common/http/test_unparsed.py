"""Requests that gunicorn or Django refuse before hopla sees them get a problem document, too."""

import json

from django.test import SimpleTestCase

from tests.case import PROBLEM_FIELDS
from tests.web_server import RawClient, running_web_server


class UnparsedTests(SimpleTestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.address = cls.enterClassContext(running_web_server())

    def assert_problem(self, request: str, status: int, code: str) -> dict:
        client = RawClient(self.address)
        self.addCleanup(client.close)
        client.send(request.encode("latin-1") + b"Host: localhost\r\n\r\n")
        answer = client.answer()
        problem = json.loads(answer.read())
        self.assertEqual((answer.status, problem["status"], problem["code"]), (status, status, code))
        self.assertEqual(answer.headers["Content-Type"], "application/problem+json")
        self.assertEqual(answer.headers["X-Request-ID"], problem["request_id"])
        self.assertEqual(problem.keys(), PROBLEM_FIELDS)
        self.assertTrue(problem["title"] and problem["detail"])
        return problem

    def test_headers(self):
        for header, status, code, named in (
            ("Content-Length: 1\r\nContent-Length: 1", 400, "bad_request", "CONTENT-LENGTH"),
            ("Content-Length: -1", 400, "bad_request", "CONTENT-LENGTH"),
            ("Content-Length: 1\r\nTransfer-Encoding: chunked", 400, "bad_request", "CONTENT-LENGTH"),
            ("Transfer-Encoding: magic", 501, "unsupported_transfer_coding", "chunked"),
            ("Expect: a-miracle", 417, "expectation_failed", "100-continue"),
            ("X-Filler: " + "x" * 9000, 431, "headers_too_large", ""),
            ("No colon", 400, "bad_request", ""),
            ("X-Text: a\x00b", 400, "bad_request", "X-TEXT"),
        ):
            with self.subTest(header[:40]):
                problem = self.assert_problem(f"POST /api/v1/tickets/ HTTP/1.1\r\n{header}\r\n", status, code)
                self.assertIn(named, problem["detail"])

    def test_request_line(self):
        self.assert_problem("GET /api/v1/tickets/?search=" + "x" * 9000 + " HTTP/1.1\r\n", 414, "request_line_too_long")
        for line in ("GET", "G€T / HTTP/1.1".replace("€", "\x80"), "GET /api/ż/".replace("ż", "\xff") + " HTTP/1.1"):
            with self.subTest(line):
                self.assert_problem(f"{line}\r\n", 400, "bad_request")

    def test_path_with_slashes_to_spare(self):
        for path in ("//api/v1/tickets/", "///api/v1/auth/login/"):
            with self.subTest(path):
                self.assert_problem(f"GET {path} HTTP/1.1\r\n", 404, "not_found")
