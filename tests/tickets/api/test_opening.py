import json
from datetime import timedelta

from django.test import override_settings
from django.utils import timezone

from apps.tickets.models import Ticket
from tests.case import ApiTestCase
from tests.makers import client_for, make_user

URL = "/api/v1/tickets/"


class OpenTicketTests(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.user = make_user()
        self.client = client_for(self.user)

    def open(self, **fields):
        return self.client.post(URL, {"num_images": 3} | fields)

    def assert_refused(self, response, *errors):
        self.assert_invalid(response, *errors)
        self.assertEqual(Ticket.objects.count(), 0)

    def test_answer_is_the_ticket_in_full(self):
        response = self.open(num_images=7, title="Claim 12", description="Hail damage")

        self.assertEqual(response.status_code, 201)
        ticket = Ticket.objects.get()
        base = f"http://testserver/api/v1/tickets/{ticket.pk}/"
        moment = ticket.created_at.isoformat().replace("+00:00", "Z")
        shown = response.json()
        self.assertTrue(
            {
                "id": ticket.pk,
                "ticket_id": ticket.pk,
                "title": "Claim 12",
                "description": "Hail damage",
                "num_images": 7,
                "status": "pending",
                "review": None,
                "progress": {
                    "declared": 7,
                    "received": 0,
                    "stored": 0,
                    "failed": 0,
                    "rejected": 0,
                    "remaining": 7,
                    "percent": 0,
                },
                "created_at": moment,
                "updated_at": ticket.updated_at.isoformat().replace("+00:00", "Z"),
                "completed_at": None,
                "expires_at": None,
                "images_url": base + "images/",
                "status_url": base + "status/",
            }.items()
            <= shown.items(),
            shown,
        )
        self.assertEqual(response["Location"], base)

    def test_ticket_is_the_callers(self):
        self.open(owner=make_user().pk)

        self.assertEqual(Ticket.objects.get().owner, self.user)

    def test_number_alone_is_enough(self):
        self.assertEqual(self.open(num_images=1).status_code, 201)

    def test_status_and_progress_are_not_the_clients_to_set(self):
        self.open(status="completed", completed_at="2026-01-01T00:00:00Z", id=1234567)

        ticket = Ticket.objects.get()
        self.assertEqual((ticket.status, ticket.completed_at), ("pending", None))
        self.assertNotEqual(ticket.pk, 1234567)

    def test_texts_in_any_script(self):
        response = self.open(title="Zażółć 車 🚗", description="Ñandú\nsecond line")

        self.assertEqual(response.json()["title"], "Zażółć 車 🚗")

    @override_settings(TICKET_MAX_IMAGES=5)
    def test_number_at_and_past_the_limit(self):
        self.assert_refused(self.open(num_images=6), ("num_images", "max_value"))
        self.assertEqual(self.open(num_images=5).status_code, 201)

    def test_number_that_is_none(self):
        for value, code in (
            (0, "min_value"),
            (-1, "min_value"),
            (10**30, "max_value"),
            ("3", "invalid"),
            (3.0, "invalid"),
            (True, "invalid"),
            (None, "required"),
            ([3], "invalid"),
            ({}, "invalid"),
        ):
            with self.subTest(value=value):
                self.assert_refused(self.open(num_images=value), ("num_images", code))

    def test_number_is_required(self):
        self.assert_refused(self.client.post(URL, {"title": "no number"}), ("num_images", "required"))

    def test_texts_that_are_too_long_or_no_text(self):
        for field, value, code in (
            ("title", "x" * 201, "max_length"),
            ("description", "x" * 5001, "max_length"),
            ("title", 7, "invalid"),
            ("title", "a\0b", "null_characters_not_allowed"),
            ("description", ["x"], "invalid"),
        ):
            with self.subTest(field=field, code=code):
                self.assert_refused(self.open(**{field: value}), (field, code))

    def test_null_for_what_may_be_left_out(self):
        shown = self.open(title=None, description=None, expires_at=None).json()

        self.assertEqual((shown["title"], shown["description"], shown["expires_at"]), ("", "", None))

    def test_half_a_character(self):
        body = b'{"num_images": 1, "title": "\\ud800"}'

        response = self.client.generic("POST", URL, body, "application/json")
        self.assert_refused(response, ("title", "surrogate_characters_not_allowed"))

    def test_faults_of_several_fields_are_named_at_once(self):
        self.assert_refused(self.open(num_images=0, title=7), ("num_images", "min_value"), ("title", "invalid"))

    def test_expiry_is_kept_in_utc(self):
        moment = (timezone.now() + timedelta(days=1)).replace(microsecond=0)
        local = (moment + timedelta(hours=2)).replace(tzinfo=None).isoformat() + "+02:00"

        response = self.open(expires_at=local)

        self.assertEqual(response.json()["expires_at"], moment.isoformat().replace("+00:00", "Z"))

    def test_expiry_in_the_past_or_no_moment(self):
        for value, code in (("2020-01-01T00:00:00Z", "in_the_past"), ("tomorrow", "invalid"), (12, "invalid")):
            with self.subTest(value=value):
                self.assert_refused(self.open(expires_at=value), ("expires_at", code))

    def test_body_that_is_no_object(self):
        for body, code in (([3], "invalid"), (3, "invalid"), ("3", "invalid"), (None, "null")):
            with self.subTest(body=body):
                response = self.client.generic("POST", URL, json.dumps(body), content_type="application/json")
                self.assert_refused(response, (None, code))

    def test_no_body_at_all(self):
        response = self.client.generic("POST", URL, b"", content_type="application/json")

        self.assertEqual(response.status_code, 400)
        self.assertEqual(Ticket.objects.count(), 0)

    def test_anonymous(self):
        self.assert_unauthenticated(client_for().post(URL, {"num_images": 3}))
        self.assertEqual(Ticket.objects.count(), 0)
