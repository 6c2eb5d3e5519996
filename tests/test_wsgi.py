"""Types that break Django's own request, past the real web server."""

import http.client

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
