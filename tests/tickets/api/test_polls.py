"""A poll is answered the same whether apps.tickets.api.polls ends it or the views do."""

from datetime import timedelta

from django.test import RequestFactory
from django.utils import timezone

from apps.accounts.models import AuthToken, User
from apps.tickets.api.polls import _polled, is_unchanged
from apps.tickets.models import Ticket
from tests.case import ApiTestCase
from tests.makers import PASSWORD, client_for, make_ticket, make_user, token_for


class PollTests(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.owner = make_user()
        self.token = token_for(self.owner)
        self.ticket = make_ticket(self.owner)
        self.url = f"/api/v1/tickets/{self.ticket.pk}/status/"
        self.etag = self.poll(None)["ETag"]  # and the token's use is written down

    def poll(self, known, *, url=None, authorization=None, **headers):
        headers |= {"Authorization": authorization or f"Token {self.token}"}
        return self.client.get(url or self.url, headers=headers | ({"If-None-Match": known} if known else {}))

    def ends_early(self, **changes) -> bool:
        headers = {"If-None-Match": self.etag, "Authorization": f"Token {self.token}"} | changes
        return is_unchanged(RequestFactory().get(self.url, headers=headers))

    def test_known_state_takes_one_query(self):
        for url in (self.url, f"/api/v1/tickets/{self.ticket.pk}/"):
            with self.subTest(url), self.assertNumQueries(1):
                self.assertEqual(self.poll(self.etag, url=url).status_code, 304)

    def test_name_of_the_scheme_in_any_case(self):
        for scheme in ("token", "TOKEN"):
            with self.subTest(scheme):
                response = self.poll(self.etag, authorization=f"{scheme} {self.token}")
                self.assertEqual(response.status_code, 304)

    def test_both_kinds_are_counted_under_their_own_names(self):
        for url, name in ((self.url, "ticket-status"), (f"/api/v1/tickets/{self.ticket.pk}/", "ticket")):
            with self.subTest(url):
                self.assertEqual(self.poll(self.etag, url=url).wsgi_request.resolver_match.view_name, name)

    def test_application_below_a_prefix(self):
        _polled.cache_clear()
        self.addCleanup(_polled.cache_clear)
        headers = {"If-None-Match": self.etag, "Authorization": f"Token {self.token}"}

        answer = self.client.get(self.url, headers=headers, SCRIPT_NAME="/photos")

        self.assertEqual(answer.status_code, 304)
        self.assertEqual([before for before, _, _ in _polled()], ["/api/v1/tickets/"] * 2)

    def test_headers_are_those_of_the_long_way(self):
        early, late = self.poll(self.etag), self.poll(f'{self.etag}, "other"')

        self.assertEqual((early.status_code, late.status_code), (304, 304))
        self.assertTrue({"ETag", "X-Request-ID"} <= early.headers.keys())
        for name in ("ETag", "Cache-Control", "Vary", "Content-Type"):
            self.assertEqual(early.get(name), late.get(name), name)

    def test_changed_ticket_is_shown(self):
        Ticket.objects.filter(pk=self.ticket.pk).update(version=2)

        self.assertEqual(self.poll(self.etag).status_code, 200)

    def test_etag_of_another_ticket_is_not_this_ones_state(self):
        other = make_ticket(self.owner)

        self.assertEqual(self.poll(other.etag).status_code, 200)

    def test_token_that_ended(self):
        AuthToken.objects.update(expiry=timezone.now() - timedelta(seconds=1))
        self.assert_problem(self.poll(self.etag), 401, "authentication_failed")

        AuthToken.objects.all().delete()
        self.assert_problem(self.poll(self.etag), 401, "authentication_failed")

    def test_good_token_beside_an_ended_one_of_the_same_user(self):
        ended = token_for(self.owner)
        self.poll(None, authorization=f"Token {ended}")
        AuthToken.objects.filter(token_key=ended[:15]).update(expiry=timezone.now() - timedelta(seconds=1))

        self.assert_problem(self.poll(self.etag, authorization=f"Token {ended}"), 401, "authentication_failed")

    def test_user_who_is_shut_out(self):
        User.objects.update(is_active=False)

        self.assert_problem(self.poll(self.etag), 401, "authentication_failed")

    def test_strangers_token(self):
        stranger = token_for(make_user())
        self.poll(None, authorization=f"Token {stranger}")

        self.assert_problem(self.poll(self.etag, authorization=f"Token {stranger}"), 404, "not_found")

    def test_staff_and_web_tokens_are_answered_by_the_views(self):
        staff = client_for(make_user(is_staff=True))
        login = {"username": self.owner.username, "password": PASSWORD}
        bearer = f"Bearer {self.client.post('/api/v1/auth/jwt/create/', login).json()['access']}"

        self.assertEqual(staff.get(self.url, headers={"If-None-Match": self.etag}).status_code, 304)
        self.assertEqual(self.poll(self.etag, authorization=bearer).status_code, 304)

    def test_use_of_a_token_is_written_down_by_polls_too(self):
        AuthToken.objects.update(last_used_at=timezone.now() - timedelta(minutes=2))

        self.assertEqual(self.poll(self.etag).status_code, 304)
        self.assertLess(timezone.now() - AuthToken.objects.get().last_used_at, timedelta(minutes=1))

    def test_what_it_cannot_tell_is_left_to_the_views(self):
        self.assertTrue(self.ends_early())
        for changes in (
            {"If-None-Match": f"W/{self.etag}"},
            {"If-None-Match": "*"},
            {"If-None-Match": f'"0{self.etag[1:]}'},
            {"If-None-Match": '"1-99999999999-en"'},
            {"If-None-Match": self.etag.replace("-en", "-es")},
            {"Accept-Language": "es"},
            {"Cookie": "django_language=es"},
            {"Authorization": f"token {self.token}"},
            {"Authorization": "Token ż"},
            {"Authorization": "Token"},
        ):
            with self.subTest(changes):
                self.assertFalse(self.ends_early(**changes))

    def test_only_a_ticket_and_its_status_are_polled(self):
        for url in (f"/api/v1/tickets/{self.ticket.pk}/images/", "/api/v1/tickets/", "/nothing/", "/"):
            with self.subTest(url):
                self.assertNotEqual(self.poll(self.etag, url=url).status_code, 304)
