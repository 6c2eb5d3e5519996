"""Rate limits: by user, and before log-in by address and account."""

import os
import subprocess
import sys
from ast import literal_eval
from types import SimpleNamespace
from unittest import mock

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.test import SimpleTestCase, override_settings

from apps.common.api.throttles import ScopedThrottle
from apps.tickets.models import Image, Ticket
from hopla.settings import rate
from script.run_tests import dotenv_values
from tests.case import ApiTestCase, HoplaAssertions, at_once
from tests.makers import PASSWORD, client_for, jpeg_bytes, make_ticket, make_user
from tests.scripts.test_environment import load_settings
from tests.test_access import ROUTES

LOGIN = "/api/v1/auth/login/"
REGISTER = "/api/v1/auth/register/"
TICKETS = "/api/v1/tickets/"


class ThrottleTestCase(ApiTestCase):
    def limit(self, **rates: str) -> None:
        self.enterContext(override_settings(THROTTLE_RATES=rates))

    def assert_throttled(self, response, *, longest_seconds: int) -> None:
        self.assert_problem(response, 429, "throttled")
        self.assertIn(int(response["Retry-After"]), range(1, longest_seconds + 1))

    def log_in(self, username="nobody", *, password="wrong", address="198.51.100.1", client=None, **headers):
        body = {"username": username, "password": password}
        return (client or self.client).post(LOGIN, body, REMOTE_ADDR=address, **headers)

    def register(self, name: str, *, address="198.51.100.1"):
        body = {"username": name, "email": f"{name}@example.com", "password": PASSWORD}
        return self.client.post(REGISTER, body, REMOTE_ADDR=address)


class LoginTests(ThrottleTestCase):
    def setUp(self):
        super().setUp()
        self.limit(login="3/minute")

    def test_one_address_has_so_many_tries(self):
        for number in range(3):
            self.assert_problem(self.log_in(f"user-{number}"), 401, "invalid_credentials")

        self.assert_throttled(self.log_in("user-4"), longest_seconds=60)
        self.assertEqual(self.log_in("user-5", address="198.51.100.2").status_code, 401)

    def test_right_password_does_not_help_past_the_limit(self):
        user = make_user()
        for number in range(3):
            self.log_in(f"user-{number}")

        self.assert_throttled(self.log_in(user.username, password=PASSWORD), longest_seconds=60)

    def test_one_account_has_so_many_tries_from_all_addresses(self):
        user = make_user()
        for number, name in enumerate((user.username, user.username.upper(), user.username)):
            self.assertEqual(self.log_in(name, address=f"198.51.100.{number}").status_code, 401)

        self.assert_throttled(self.log_in(user.username, address="198.51.100.9"), longest_seconds=60)
        other = self.log_in(make_user().username, password=PASSWORD, address="198.51.100.9")
        self.assertEqual(other.status_code, 200)

    def test_email_names_an_account_too(self):
        for number in range(3):
            body = {"email": "ann@example.com", "password": "wrong"}
            self.client.post(LOGIN, body, REMOTE_ADDR=f"198.51.100.{number}")

        self.assert_throttled(self.log_in("ann@example.com", address="198.51.100.9"), longest_seconds=60)

    def test_token_does_not_give_more_tries(self):
        client = client_for(make_user())
        for _ in range(3):
            self.log_in(client=client)

        self.assert_throttled(self.log_in(client=client), longest_seconds=60)

    def test_body_that_is_no_object_counts_by_address(self):
        for body in ([1], "text", {"username": ["a"]}):
            self.assertEqual(self.client.post(LOGIN, body, REMOTE_ADDR="198.51.100.1").status_code, 400)

        self.assert_throttled(self.log_in(), longest_seconds=60)

    def test_refused_tries_do_not_prolong_the_wait(self):
        self.limit(login="1/second")
        self.log_in()
        self.assert_throttled(self.log_in(), longest_seconds=1)

        self.wait_until(lambda: self.log_in().status_code == 401)

    def test_registering_is_counted_apart(self):
        for _ in range(4):
            self.log_in()

        self.assertEqual(self.register("ann").status_code, 201)


class RegisterTests(ThrottleTestCase):
    def test_one_address_registers_so_many(self):
        self.limit(register="2/hour")
        self.assertEqual([self.register(name).status_code for name in ("ann", "bob")], [201, 201])

        self.assert_throttled(self.register("cid"), longest_seconds=3600)
        self.assertEqual(self.register("cid", address="198.51.100.2").status_code, 201)


class UserTests(ThrottleTestCase):
    def setUp(self):
        super().setUp()
        self.user = make_user()
        self.client = client_for(self.user)

    def open(self, client=None, **headers):
        return (client or self.client).post(TICKETS, {"num_images": 1}, **headers)

    def post_photo(self, client=None, *, ticket):
        url = f"{TICKETS}{ticket.pk}/images/"
        return (client or self.client).generic("POST", url, jpeg_bytes(), "image/jpeg")

    def test_one_user_opens_so_many_tickets_with_any_token_from_any_address(self):
        self.limit(tickets="2/minute")
        self.assertEqual([self.open().status_code for _ in range(2)], [201, 201])

        for response in (self.open(), self.open(client_for(self.user)), self.open(REMOTE_ADDR="198.51.100.2")):
            self.assert_throttled(response, longest_seconds=60)
        self.assertEqual(Ticket.objects.count(), 2)
        self.assertEqual(self.open(client_for(make_user())).status_code, 201)

    def test_one_user_posts_so_many_photos(self):
        ticket, other = (make_ticket(self.user, num_images=5) for _ in range(2))
        self.limit(uploads="2/minute")
        self.assertEqual([self.post_photo(ticket=ticket).status_code for _ in range(2)], [202, 202])

        for refused in (ticket, other):
            self.assert_throttled(self.post_photo(ticket=refused), longest_seconds=60)
        self.assertEqual(Image.objects.count(), 2)

    def test_reading_is_not_limited(self):
        ticket = make_ticket(self.user)
        self.limit(tickets="1/minute", uploads="1/minute")

        for url in (
            TICKETS,
            f"{TICKETS}{ticket.pk}/",
            f"{TICKETS}{ticket.pk}/status/",
            f"{TICKETS}{ticket.pk}/images/",
        ):
            self.assertEqual([self.client.get(url).status_code for _ in range(3)], [200] * 3)

    def test_anonymous_requests_count_for_nobody(self):
        self.limit(tickets="1/minute")
        for _ in range(3):
            self.assert_unauthenticated(self.open(client_for()))

        self.assertEqual(self.open().status_code, 201)

    def test_empty_rate_is_no_limit(self):
        self.limit(tickets="", uploads="", login="", register="")

        self.assertEqual({self.open().status_code for _ in range(40)}, {201})
        self.assertEqual({self.log_in().status_code for _ in range(40)}, {401})


class RequestsAtOnceTests(HoplaAssertions, SimpleTestCase):
    """Checking and counting are one step in Redis: two requests never take the same last one."""

    def test_as_many_pass_as_the_rate_says(self):
        view = SimpleNamespace(throttle_scope="uploads")
        for number in range(5):
            user = SimpleNamespace(pk=number, is_authenticated=True)
            request = SimpleNamespace(method="POST", user=user)
            with self.subTest(number), override_settings(THROTTLE_RATES={"uploads": "7/hour"}):
                allowed = at_once(lambda _, request=request: ScopedThrottle().allow_request(request, view), range(24))

                self.assertEqual(sum(allowed), 7)


class ProxyTests(ThrottleTestCase):
    """X-Forwarded-For: client, proxy, proxy. A client can write anything on its left."""

    def setUp(self):
        super().setUp()
        self.limit(login="1/minute")

    def hops(self, number: int):
        return override_settings(REST_FRAMEWORK=settings.REST_FRAMEWORK | {"NUM_PROXIES": number})

    def tries(self, *forwarded: str) -> list[int]:
        """The statuses of one try from each, all through a proxy at one address."""
        return [
            self.log_in(f"user-{number}", HTTP_X_FORWARDED_FOR=value).status_code
            for number, value in enumerate(forwarded)
        ]

    def test_without_trusted_proxies_the_header_says_nothing(self):
        with self.hops(0):
            self.assertEqual(self.tries("203.0.113.1", "203.0.113.2", "203.0.113.3"), [401, 429, 429])

    def test_behind_one_proxy_the_last_address_is_the_client(self):
        with self.hops(1):
            self.assertEqual(self.tries("203.0.113.1", "203.0.113.2", "203.0.113.1"), [401, 401, 429])

    def test_addresses_that_a_client_makes_up_do_not_count(self):
        with self.hops(1):
            self.assertEqual(self.tries("203.0.113.1", "1.1.1.1, 203.0.113.1", "2.2.2.2, 203.0.113.1"), [401, 429, 429])

    def test_behind_two_proxies_the_last_but_one_is_the_client(self):
        with self.hops(2):
            self.assertEqual(
                self.tries("203.0.113.1, 10.0.0.1", "203.0.113.2, 10.0.0.1", "9.9.9.9, 203.0.113.1, 10.0.0.2"),
                [401, 401, 429],
            )

    def test_variable_names_the_hops(self):
        _, made = load_settings({"TRUSTED_PROXY_HOPS": "2"})

        self.assertIn("'NUM_PROXIES': 2", made["REST_FRAMEWORK"])


class DefaultTests(SimpleTestCase):
    def test_no_limit_is_off_by_default_and_the_example_says_the_same(self):
        example = dotenv_values(settings.BASE_DIR / ".env.example")
        _, made = load_settings({})
        rates = literal_eval(made["THROTTLE_RATES"])

        scopes = {"login", "register", "verification", "tickets", "uploads", "webhooks", "guests"}
        self.assertEqual(rates.keys(), scopes)
        for scope, default in rates.items():
            with self.subTest(scope):
                self.assertTrue(default)
                written = {"THROTTLE_LOGIN": example[f"THROTTLE_{scope.upper()}"]}
                with mock.patch.dict(os.environ, written):
                    self.assertEqual(rate("THROTTLE_LOGIN", default=""), default)

    def test_every_scope_of_a_view_has_a_rate(self):
        rates = literal_eval(load_settings({})[1]["THROTTLE_RATES"])
        scopes = {getattr(getattr(view, "view_class", None), "throttle_scope", None) for view in ROUTES.values()}

        self.assertLessEqual(scopes - {None}, rates.keys())


class RateTests(SimpleTestCase):
    def read(self, value: str | None, *, default="30/min") -> str:
        environment = {} if value is None else {"THROTTLE_LOGIN": value}
        with mock.patch.dict(os.environ, environment):
            if value is None:
                os.environ.pop("THROTTLE_LOGIN", None)
            return rate("THROTTLE_LOGIN", default=default)

    def test_forms(self):
        for written, meant in (
            ("20/min", "20/minute"),
            ("20/minute", "20/minute"),
            ("5/s", "5/second"),
            ("5/sec", "5/second"),
            ("5/second", "5/second"),
            ("100/h", "100/hour"),
            ("100/hour", "100/hour"),
            ("1000/d", "1000/day"),
            ("1000/day", "1000/day"),
            ("  7/min ", "7/minute"),
            ("", ""),
            ("  ", ""),
            (None, "30/minute"),
        ):
            with self.subTest(written):
                self.assertEqual(self.read(written), meant)

    def test_what_is_no_rate(self):
        for written in (
            "0/min",
            "-1/min",
            "20",
            "20/",
            "/min",
            "20/fortnight",
            "20 per minute",
            "1.5/s",
            "20/m",
            "x/min",
        ):
            with self.subTest(written), self.assertRaisesMessage(ImproperlyConfigured, "Write it as 20/min"):
                self.read(written)

    def test_bad_rate_stops_the_start_with_a_sentence(self):
        environment = os.environ | {"THROTTLE_UPLOADS": "plenty"}
        command = [sys.executable, "manage.py", "check"]
        run = subprocess.run(command, env=environment, cwd=settings.BASE_DIR, capture_output=True, text=True)

        self.assertNotEqual(run.returncode, 0)
        self.assertIn("THROTTLE_UPLOADS is 'plenty'. Write it as 20/min", run.stderr)
