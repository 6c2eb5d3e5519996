import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import jwt
from django.conf import settings
from django.db import connection
from django.test import SimpleTestCase
from rest_framework_simplejwt.token_blacklist.models import OutstandingToken

from apps.accounts.models import User
from apps.accounts.tokens import end_jwt_sessions, new_jwt_pair
from tests.accounts.credentials import ME, REFRESH, bearer_client, refreshes, works
from tests.case import ApiTestCase, CommittingTestCase
from tests.makers import PASSWORD, client_for, make_user, token_for

CREATE = "/api/v1/auth/jwt/create/"
VERIFY = "/api/v1/auth/jwt/verify/"


class JwtTestCase(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.user = make_user("ana", email="ana@example.com")

    def assert_not_valid(self, response):
        self.assert_problem(response, 401, "token_not_valid")
        self.assertTrue(response["WWW-Authenticate"])

    def dead_tokens(self, kind: str):
        """(why, token) of tokens of this kind, `access` or `refresh`, that were good or look as if they were."""

        def made(user=None):
            refresh = new_jwt_pair(user or self.user)
            return refresh if kind == "refresh" else refresh.access_token

        expired = made()
        expired.set_exp(lifetime=timedelta(seconds=-1))
        yield "expired", expired

        inactive = make_user()
        token = made(inactive)
        User.objects.filter(pk=inactive.pk).update(is_active=False)
        yield "inactive user", token

        deleted = make_user()
        token = made(deleted)
        deleted.delete()
        yield "deleted user", token

        ended = made()
        end_jwt_sessions(self.user)
        self.user.refresh_from_db()
        yield "ended session", ended

        payload = made().payload
        yield "other key", jwt.encode(payload, "another key of at least thirty-two bytes", "HS256")
        yield "no signature", jwt.encode(payload, None, "none")
        yield "no generation", jwt.encode(payload | {"generation": None}, settings.SIMPLE_JWT["SIGNING_KEY"], "HS256")
        yield "half", str(made()).rpartition(".")[0]
        yield "garbage", "garbage"


class CreateTests(JwtTestCase):
    def create(self, **fields):
        return self.client.post(CREATE, {"password": PASSWORD} | fields)

    def test_username_or_email_gives_a_pair_that_works(self):
        for fields in ({"username": "ana"}, {"email": "ANA@example.com"}, {"username": "ana@example.com"}):
            with self.subTest(fields):
                response = self.create(**fields)
                self.assertEqual(response.status_code, 200)
                self.assertEqual(response.json().keys(), {"access", "refresh"})
                self.assertTrue(works(bearer_client(response.json()["access"])))
                self.assertTrue(refreshes(response.json()["refresh"]))

    def test_pairs_stand_side_by_side(self):
        first, second = (self.create(username="ana").json() for _ in range(2))

        self.assertTrue(works(bearer_client(first["access"])))
        self.assertTrue(works(bearer_client(second["access"])))

    def test_last_login_is_noted(self):
        self.create(username="ana")

        self.assertIsNotNone(User.objects.get().last_login)

    def test_unknown_user_wrong_password_and_inactive_user_cannot_be_told_apart(self):
        make_user("gone", is_active=False)
        answers = []
        for fields in ({"username": "nobody"}, {"username": "ana", "password": "wrong"}, {"username": "gone"}):
            with self.subTest(fields):
                response = self.create(**fields)
                self.assert_unauthenticated(response, code="invalid_credentials")
                answers.append({name: value for name, value in response.json().items() if name != "request_id"})
        self.assertEqual(answers[1:], answers[:-1])

    def test_fields_that_must_be_there(self):
        self.assert_invalid(self.create(), ("username", "required"))
        self.assert_invalid(self.client.post(CREATE, {"username": "ana"}), ("password", "required"))


class BearerTests(JwtTestCase):
    def test_dead_access_token_is_refused(self):
        for why, token in self.dead_tokens("access"):
            with self.subTest(why):
                response = bearer_client(token).get(ME)
                self.assertEqual(response.status_code, 401)
                self.assertEqual(response["Content-Type"], "application/problem+json")
                self.assertEqual(response["WWW-Authenticate"], "Token")

    def test_refresh_token_is_no_access_token(self):
        response = bearer_client(new_jwt_pair(self.user)).get(ME)

        self.assert_unauthenticated(response, code="token_not_valid")

    def test_token_that_is_no_jwt(self):
        self.assert_unauthenticated(bearer_client("garbage").get(ME), code="token_not_valid")

    def test_name_of_the_scheme_in_any_case(self):
        tokens = {"bearer": new_jwt_pair(self.user).access_token, "token": token_for(self.user)}
        for scheme, token in tokens.items():
            for spelled in (scheme, scheme.upper(), scheme.title(), f"{scheme[0]}{scheme[1:].upper()} "):
                with self.subTest(spelled):
                    self.client.credentials(HTTP_AUTHORIZATION=f"{spelled} {token}")
                    self.assertTrue(works(self.client))

    def test_opaque_token_sent_as_bearer_and_the_other_way_round_name_the_remedy(self):
        for sent, code, remedy in (
            (f"Bearer {token_for(self.user)}", "token_not_valid", "Authorization: Token …"),
            (f"Token {new_jwt_pair(self.user).access_token}", "authentication_failed", "Authorization: Bearer …"),
        ):
            with self.subTest(sent):
                self.client.credentials(HTTP_AUTHORIZATION=sent)
                response = self.client.get(ME)
                self.assert_unauthenticated(response, code)
                self.assertIn(remedy, response.json()["detail"])

    def test_header_that_is_half_or_too_much(self):
        for token in ("", "one two"):
            with self.subTest(token):
                self.assert_unauthenticated(bearer_client(token).get(ME), code="bad_authorization_header")


class RefreshTests(JwtTestCase):
    def refresh(self, token):
        return self.client.post(REFRESH, {"refresh": str(token)})

    def test_answer_is_the_next_pair_and_both_halves_work(self):
        response = self.refresh(new_jwt_pair(self.user))

        self.assertEqual(response.status_code, 200)
        self.assertEqual(response.json().keys(), {"access", "refresh"})
        self.assertTrue(works(bearer_client(response.json()["access"])))
        self.assertTrue(refreshes(response.json()["refresh"]))

    def test_second_time_is_refused(self):
        refresh = new_jwt_pair(self.user)
        self.refresh(refresh)

        self.assert_not_valid(self.refresh(refresh))

    def test_refresh_token_that_came_of_a_refresh_is_good_once_too(self):
        second = self.refresh(new_jwt_pair(self.user)).json()["refresh"]
        self.refresh(second)

        self.assert_not_valid(self.refresh(second))

    def test_dead_refresh_token_is_refused(self):
        for why, token in self.dead_tokens("refresh"):
            with self.subTest(why):
                self.assert_not_valid(self.refresh(token))

    def test_access_token_is_no_refresh_token(self):
        self.assert_not_valid(self.refresh(new_jwt_pair(self.user).access_token))

    def test_useless_header_is_no_hindrance(self):
        response = bearer_client("expired").post(REFRESH, {"refresh": str(new_jwt_pair(self.user))})

        self.assertEqual(response.status_code, 200)

    def test_no_refresh_token(self):
        self.assert_invalid(self.client.post(REFRESH, {}), ("refresh", "required"))
        self.assert_invalid(self.client.post(REFRESH, {"refresh": ""}), ("refresh", "blank"))
        self.assert_invalid(self.client.post(REFRESH, {"refresh": ["x"]}), ("refresh", "invalid"))

    def test_no_refresh_token_is_kept_in_the_clear(self):
        self.refresh(new_jwt_pair(self.user))

        self.assertEqual(list(OutstandingToken.objects.values_list("token", flat=True)), ["", ""])


class VerifyTests(JwtTestCase):
    def verify(self, token):
        return self.client.post(VERIFY, {"token": str(token)})

    def test_good_tokens_of_both_kinds(self):
        pair = new_jwt_pair(self.user)
        for token in (pair, pair.access_token):
            with self.subTest(token.token_type):
                response = self.verify(token)
                self.assertEqual((response.status_code, response.json()), (200, {}))

    def test_refresh_token_is_not_spent(self):
        refresh = new_jwt_pair(self.user)

        self.verify(refresh)

        self.assertTrue(refreshes(refresh))

    def test_dead_tokens_of_both_kinds(self):
        for kind in ("access", "refresh"):
            for why, token in self.dead_tokens(kind):
                with self.subTest(kind=kind, why=why):
                    self.assert_not_valid(self.verify(token))

    def test_refresh_token_that_was_rotated_out(self):
        refresh = new_jwt_pair(self.user)
        refreshes(refresh)

        self.assert_not_valid(self.verify(refresh))

    def test_opaque_token_is_no_jwt(self):
        token = client_for(self.user)._credentials["HTTP_AUTHORIZATION"].partition(" ")[2]

        self.assert_not_valid(self.verify(token))

    def test_no_token(self):
        self.assert_invalid(self.client.post(VERIFY, {}), ("token", "required"))


class MethodTests(ApiTestCase):
    def test_other_methods(self):
        for url in (CREATE, REFRESH, VERIFY):
            for method in ("get", "put", "patch", "delete"):
                with self.subTest(url=url, method=method):
                    self.assert_problem(getattr(self.client, method)(url), 405, "method_not_allowed")


class SigningKeyTests(SimpleTestCase):
    def test_key_comes_from_the_environment(self):
        key = "a key of the environment, longer than thirty-two bytes"
        source = "from rest_framework_simplejwt.tokens import AccessToken; print(AccessToken())"
        made = subprocess.run(
            [sys.executable, "manage.py", "shell", "--no-imports", "-c", source],
            env=os.environ | {"JWT_SIGNING_KEY": key},
            cwd=settings.BASE_DIR,
            capture_output=True,
            text=True,
            check=True,
        )
        self.assertEqual(jwt.decode(made.stdout.strip(), key, ["HS256"])["token_type"], "access")


class RefreshAtOnceTests(CommittingTestCase):
    def test_of_several_at_once_one_gets_the_next_pair(self):
        refresh = str(new_jwt_pair(make_user()))
        start = Barrier(8)

        def spend(_):
            start.wait()
            try:
                return client_for().post(REFRESH, {"refresh": refresh}).status_code
            finally:
                connection.close()

        with ThreadPoolExecutor(8) as pool:
            statuses = sorted(pool.map(spend, range(8)))

        self.assertEqual(statuses, [200] + [401] * 7)
