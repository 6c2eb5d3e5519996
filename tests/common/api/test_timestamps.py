"""Timestamps as real programs write them, read alike in filters and in bodies."""

from datetime import date, datetime, timedelta, timezone
from urllib.parse import urlencode

from django.test import SimpleTestCase

from apps.common.api.timestamps import parse_moment, with_lost_plus
from tests.case import ApiTestCase
from tests.makers import client_for, make_ticket, make_user

URL = "/api/v1/tickets/"
MOMENT = datetime(2031, 11, 26, 10, 0, 0, 123456, timezone.utc)
SECOND = MOMENT.replace(microsecond=0)
WRITTEN = {  # each as some program writes it: the moment
    "2031-11-26T10:00:00Z": SECOND,
    "2031-11-26T10:00:00+00:00": SECOND,
    "2031-11-26T10:00:00": SECOND,
    "2031-11-26T10:00Z": SECOND,
    "2031-11-26T10:00": SECOND,
    "2031-11-26T10:00:00.Z": SECOND,
    "2031-11-26T10:00:00.1Z": SECOND.replace(microsecond=100_000),
    "2031-11-26T10:00:00.123456Z": MOMENT,
    "2031-11-26T10:00:00.1234567Z": MOMENT,
    "2031-11-26T10:00:00.123456789Z": MOMENT,
    "2031-11-26T10:00:00,123456789Z": MOMENT,
    "2031-11-26T12:00:00.1234567+02:00": MOMENT,
    "2031-11-26T12:00:00+0200": SECOND,
    "2031-11-26T12:00:00+02": SECOND,
    "2031-11-26T12:00+02": SECOND,
    "2031-11-26T06:30:00-0330": SECOND,
    "2031-11-26t10:00:00z": SECOND,
    "2031-11-26 10:00:00+00:00": SECOND,
    "2031-11-26 12:00:00 +0200": SECOND,
    "2031-11-25T10:01:00-23:59": SECOND,
}
NOT_MOMENTS = (
    "2031-11-26T10",
    "2031-11-26T10:00:00.1234567890Z",
    "2031-11-26T24:00:00Z",
    "2031-11-26T10:60:00Z",
    "2031-02-30T10:00:00Z",
    "2031-11-26T10:00:00+2",
    "2031-11-26T10:00:00+02:",
    "2031-11-26T10:00:00+24:00",
    "2031-11-26TZ",
    "26.11.2031",
    "1795687200",
    "٢٠٣١-11-26",
    "2031-11-26T10:00:00Z\n2",
)


class ParseTests(SimpleTestCase):
    def test_each_spelling_is_its_moment_in_utc(self):
        for text, moment in WRITTEN.items():
            with self.subTest(text):
                parsed = parse_moment(text)
                self.assertEqual((parsed, parsed.utcoffset()), (moment, timedelta(0)))

    def test_date_stays_a_date(self):
        self.assertEqual(parse_moment("2031-11-26"), date(2031, 11, 26))

    def test_what_is_no_moment(self):
        for text in (*NOT_MOMENTS, "9999-12-31T23:59:59-05:00", "0000-01-01", ""):
            with self.subTest(text), self.assertRaises(ValueError):
                parse_moment(text)

    def test_plus_that_arrived_as_a_space(self):
        for text in WRITTEN:
            with self.subTest(text):
                self.assertEqual(parse_moment(with_lost_plus(text.replace("+", " "))), WRITTEN[text])


class MomentsInRequestsTests(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.user = make_user()
        self.client = client_for(self.user)

    def count(self, query: str) -> int:
        response = self.client.get(f"{URL}?{query}")
        self.assertEqual(response.status_code, 200, response.content)
        return response.json()["count"]

    def test_in_filters_escaped_or_not(self):
        make_ticket(self.user, created_at=MOMENT)
        for text, moment in WRITTEN.items():
            for query in (urlencode({"created_before": text}), f"created_before={text.replace(' ', '+')}"):
                with self.subTest(query):
                    self.assertEqual(self.count(query), int(moment >= MOMENT))
                    self.assertEqual(self.count(query.replace("before", "after")), int(moment <= MOMENT))

    def test_in_bodies(self):
        for text, moment in WRITTEN.items():
            with self.subTest(text):
                shown = self.client.post(URL, {"num_images": 1, "expires_at": text}).json()["expires_at"]
                self.assertEqual(shown, moment.isoformat().replace("+00:00", "Z"))

    def test_date_in_a_body_is_its_first_moment(self):
        opened = self.client.post(URL, {"num_images": 1, "expires_at": "2031-11-26"})
        self.assertEqual(opened.json()["expires_at"], "2031-11-26T00:00:00Z")

    def test_what_is_no_moment(self):
        for text in NOT_MOMENTS:
            with self.subTest(text):
                self.assert_invalid(self.client.get(URL, {"created_after": text}), ("created_after", "invalid"))
                opened = self.client.post(URL, {"num_images": 1, "expires_at": text})
                self.assert_invalid(opened, ("expires_at", "invalid"))

    def test_space_in_a_body_is_no_plus(self):
        opened = self.client.post(URL, {"num_images": 1, "expires_at": "2031-11-26T10:00:00 02:00"})
        self.assert_invalid(opened, ("expires_at", "invalid"))
