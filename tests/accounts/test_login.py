from datetime import timedelta

from django.test import SimpleTestCase
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from knox.models import get_token_model

from apps.accounts.models import User
from tests.case import ApiTestCase
from tests.makers import PASSWORD, client_for, make_user, token_for

URL = "/api/v1/auth/login/"
TICKETS = "/api/v1/tickets/"


class LoginTests(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.user = make_user("ana", email="ana@example.com", name="Ana Lis")

    def login(self, **fields):
        return self.client.post(URL, {"password": PASSWORD} | fields)

    def assert_refused(self, response):
        self.assert_unauthenticated(response, code="invalid_credentials")
        self.assertEqual(get_token_model().objects.count(), 0)

    def test_username_and_password_give_a_token_that_works(self):
        response = self.login(username="ana")

        self.assertEqual(response.status_code, 200)
        body = response.json()
        self.assertEqual(body.keys(), {"message", "token", "expiry", "user"})
        self.assertEqual(body["user"]["id"], self.user.pk)
        self.client.credentials(HTTP_AUTHORIZATION=f"Token {body['token']}")
        self.assertEqual(self.client.get(TICKETS).status_code, 200)

    def test_email_serves_as_well_in_either_field_and_any_case(self):
        for fields in ({"email": "ana@example.com"}, {"username": "ana@example.com"}, {"email": "ANA@Example.com"}):
            with self.subTest(fields):
                self.assertEqual(self.login(**fields).status_code, 200)

    def test_username_in_another_case(self):
        self.assertEqual(self.login(username="ANA").status_code, 200)

    def test_password_and_its_hash_are_in_no_answer(self):
        content = self.login(username="ana").content.decode()

        self.assertNotIn(PASSWORD, content)
        self.assertNotIn(User.objects.get().password, content)

    def test_token_is_not_kept_in_the_clear(self):
        token = self.login(username="ana").json()["token"]

        kept = get_token_model().objects.get()
        self.assertNotIn(token, (kept.digest, kept.token_key))

    def test_expiry_lies_thirty_days_ahead(self):
        before = timezone.now()
        expiry = parse_datetime(self.login(username="ana").json()["expiry"])

        self.assertGreaterEqual(expiry, before + timedelta(days=30))
        self.assertLessEqual(expiry, timezone.now() + timedelta(days=30))

    def test_last_login_is_noted(self):
        self.login(username="ana")

        self.assertIsNotNone(User.objects.get().last_login)

    def test_earlier_token_goes_on_working(self):
        earlier = client_for(self.user)

        self.login(username="ana")

        self.assertEqual(earlier.get(TICKETS).status_code, 200)

    def test_unknown_user_wrong_password_and_inactive_user_cannot_be_told_apart(self):
        make_user("gone", is_active=False)
        answers = []
        for fields in ({"username": "nobody"}, {"username": "ana", "password": "wrong"}, {"username": "gone"}):
            with self.subTest(fields):
                response = self.login(**fields)
                self.assert_refused(response)
                answers.append({name: value for name, value in response.json().items() if name != "request_id"})
        self.assertEqual(answers[1:], answers[:-1])

    def test_neither_username_nor_email(self):
        self.assert_invalid(self.login(), ("username", "required"))

    def test_no_password(self):
        self.assert_invalid(self.client.post(URL, {"username": "ana"}), ("password", "required"))

    def test_empty_body(self):
        self.assert_invalid(self.client.post(URL, {}), ("password", "required"))

    def test_other_methods(self):
        for method in ("get", "put", "patch", "delete"):
            with self.subTest(method):
                self.assert_problem(getattr(self.client, method)(URL), 405, "method_not_allowed")


class TokenTests(ApiTestCase):
    def get_with(self, authorization: str):
        self.client.credentials(HTTP_AUTHORIZATION=authorization)
        return self.client.get(TICKETS)

    def test_anonymous(self):
        self.assert_unauthenticated(self.client.get(TICKETS))

    def test_token_that_never_was(self):
        self.assert_unauthenticated(self.get_with("Token 0123456789abcdef"), code="authentication_failed")

    def test_header_that_is_half_or_too_much(self):
        for header in ("Token", "Token one two"):
            with self.subTest(header):
                self.assert_unauthenticated(self.get_with(header), code="authentication_failed")

    def test_unknown_scheme(self):
        self.assert_unauthenticated(self.get_with("Digest abc"))

    def test_token_that_has_expired(self):
        token = token_for(make_user())
        get_token_model().objects.update(expiry=timezone.now() - timedelta(seconds=1))

        self.assert_unauthenticated(self.get_with(f"Token {token}"), code="authentication_failed")

    def test_token_of_a_user_who_was_deactivated(self):
        user = make_user()
        token = token_for(user)
        User.objects.filter(pk=user.pk).update(is_active=False)

        self.assert_unauthenticated(self.get_with(f"Token {token}"), code="authentication_failed")

    def test_token_in_bytes_that_are_no_text(self):
        self.assert_unauthenticated(self.get_with("Token \xff\xfe"), code="authentication_failed")


class NameTests(SimpleTestCase):
    def test_names_shown_for_a_user(self):
        user = User(username="ana", name="Ana Lis")
        self.assertEqual((user.get_full_name(), user.get_short_name()), ("Ana Lis", "Ana"))
        self.assertEqual(User(username="ana").get_short_name(), "ana")
