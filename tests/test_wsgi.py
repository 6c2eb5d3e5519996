"""Types that break Django's own request, and what a request leaves behind, past the real web server."""

import http.client
import subprocess
import sys
from unittest import skipUnless

from django.conf import settings
from django.db import connection as database
from django.test import SimpleTestCase

from tests.case import CommittingTestCase
from tests.makers import jpeg_bytes, make_ticket, make_user, token_for
from tests.web_server import running_web_server

UNREADABLE = ("; a*=nonsense''x", "; a*0=x; a*=UTF-8''x")


class UnreadableTypeTests(CommittingTestCase):
    def test_parameters_of_a_type_that_cannot_be_read_are_left_out(self):
        ticket = make_ticket(make_user(), num_images=9)
        with running_web_server() as address:
            for parameters in UNREADABLE:
                with self.subTest(parameters):
                    connection = http.client.HTTPConnection(*address, timeout=60)
                    self.addCleanup(connection.close)
                    headers = {"Authorization": f"Token {token_for(ticket.owner)}"}
                    headers |= {"Content-Type": f"image/jpeg{parameters}"}
                    connection.request("POST", f"/api/v1/tickets/{ticket.pk}/images/", jpeg_bytes(), headers)
                    self.assertEqual(connection.getresponse().status, 202)


class LoadingTests(SimpleTestCase):
    def test_views_are_loaded_before_the_first_request(self):
        asked = "import sys, hopla.wsgi; print('hopla.urls' in sys.modules)"
        loaded = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, cwd=settings.BASE_DIR)
        self.assertEqual((loaded.stdout, loaded.stderr), ("True\n", ""))


@skipUnless(database.vendor == "postgresql", "needs PostgreSQL's pool of connections")
class RequestsEndTests(CommittingTestCase):
    def test_thread_that_has_served_a_request_keeps_no_connection_to_the_database(self):
        token = token_for(make_user())
        with running_web_server(WEB_CONCURRENCY="1", DATABASE_POOL_SIZE="1") as address:
            first, second = (http.client.HTTPConnection(*address, timeout=60) for _ in range(2))
            for connection in (first, second):
                self.addCleanup(connection.close)
                connection.request("GET", "/api/v1/tickets/", headers={"Authorization": f"Token {token}"})
                response = connection.getresponse()
                response.read()
                self.assertEqual(response.status, 200)
                connection.sock.sendall(b"GET /")  # its thread waits for the rest, and the next client gets another one
