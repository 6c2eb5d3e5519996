"""Behind proxies: which of their headers are believed, with the real web server and production's settings."""

import http.client
import json

from tests.case import CommittingTestCase
from tests.makers import make_user, token_for
from tests.web_server import running_web_server

PRODUCTION = {"DEBUG": "off", "SECRET_KEY": "x" * 50, "ALLOWED_HOSTS": "hopla.example"}


class ProxyTestCase(CommittingTestCase):
    hops = 0

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.address = cls.enterClassContext(running_web_server(**PRODUCTION, TRUSTED_PROXY_HOPS=str(cls.hops)))

    def open_ticket(self, **headers) -> http.client.HTTPResponse:
        """POST tickets/ over http, as a proxy passes it on."""
        connection = http.client.HTTPConnection(*self.address, timeout=60)
        self.addCleanup(connection.close)
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        headers |= {"Authorization": f"Token {token_for(make_user())}", "Content-Type": "application/json"}
        body = json.dumps({"num_images": 1})
        connection.request("POST", "/api/v1/tickets/", body, {"Host": "hopla.example"} | headers)
        return connection.getresponse()


class NoProxyTests(ProxyTestCase):
    def test_nobody_is_believed_to_have_come_by_https(self):
        for headers in ({}, {"X_Forwarded_Proto": "https"}, {"X_Forwarded_Ssl": "on"}):
            with self.subTest(headers):
                response = self.open_ticket(**headers)
                self.assertEqual(response.status, 301)
                self.assertEqual(response.headers["Location"], "https://hopla.example/api/v1/tickets/")


class OneProxyTests(ProxyTestCase):
    hops = 1

    def test_https_is_the_proxys_word(self):
        response = self.open_ticket(X_Forwarded_Proto="https")
        self.assertEqual(response.status, 201)
        self.assertEqual(json.load(response)["images_url"].partition("/api/")[0], "https://hopla.example")
        self.assertIn("max-age=31536000", response.headers["Strict-Transport-Security"])

    def test_http_at_the_proxy_is_sent_on_to_https(self):
        self.assertEqual(self.open_ticket(X_Forwarded_Proto="http").status, 301)

    def test_host_is_the_one_passed_on_and_no_other(self):
        response = self.open_ticket(X_Forwarded_Proto="https", X_Forwarded_Host="evil.example")
        self.assertEqual(json.load(response)["images_url"].partition("/api/")[0], "https://hopla.example")
        self.assertEqual(self.open_ticket(X_Forwarded_Proto="https", Host="evil.example").status, 400)
