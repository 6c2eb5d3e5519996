"""What a schema-driven fuzzer found (see script/fuzz)."""

import json
from base64 import urlsafe_b64encode

from tests.case import ApiTestCase
from tests.makers import client_for, make_ticket, make_user


class FuzzFindingsTests(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.user = make_user()
        self.client = client_for(self.user)

    def test_moments_in_zones_further_off_than_postgresql_knows(self):
        ticket = make_ticket(self.user)
        response = self.client.get("/api/v1/tickets/", {"created_after": "2000-02-29T07:34:00+21:14"})
        self.assertEqual([each["id"] for each in response.json()["results"]], [ticket.pk])

    def test_cursor_forged_with_such_a_zone(self):
        make_ticket(self.user)
        forged = cursor("n", "2400-02-29T07:34:00-23:59", 1)
        response = self.client.get("/api/v1/tickets/", {"cursor": forged})
        self.assertEqual(len(response.json()["results"]), 1)

    def test_cursor_forged_with_a_moment_out_of_range(self):
        response = self.client.get("/api/v1/tickets/", {"cursor": cursor("n", "9999-12-31T23:59:59-12:00", 1)})
        self.assert_invalid(response, ("cursor", "invalid"))

    def test_week_dates_are_no_dates(self):
        response = self.client.get("/api/v1/tickets/", {"created_before": "2026-W47-6"})
        self.assert_invalid(response, ("created_before", "invalid"))

    def test_post_to_an_unknown_path_is_not_found(self):
        client = client_for()
        client.handler.enforce_csrf_checks = True
        self.assert_problem(client.post("/api/v1/tickets/null,null/images/"), 404, "not_found")

    def test_a_number_is_no_name(self):
        response = self.client.patch("/api/v1/auth/users/me/", {"name": 7, "phone": 34600123456})
        self.assert_invalid(response, ("name", "invalid"), ("phone", "invalid"))


def cursor(*edge) -> str:
    return urlsafe_b64encode(json.dumps(edge).encode()).decode()
