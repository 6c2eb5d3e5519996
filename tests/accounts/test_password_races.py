"""A log-in, and a change of the password, beside another change: on real connections."""

from concurrent.futures import ThreadPoolExecutor
from unittest import skipUnless

from django.contrib.auth.hashers import make_password
from django.contrib.auth.tokens import default_token_generator
from django.db import connection, transaction
from django.test import override_settings

from apps.accounts.models import AuthToken, User
from apps.accounts.passwords import encode_uid
from tests.accounts.credentials import bearer_client, works
from tests.case import CommittingTestCase, _and_disconnect, at_once
from tests.makers import PASSWORD, client_for, make_user

AUTH = "/api/v1/auth/"
NEW_PASSWORD = "another-horse-battery"


@skipUnless(connection.vendor == "postgresql", "needs PostgreSQL: SQLite has one writer at a time")
class PasswordRaceTests(CommittingTestCase):
    def setUp(self):
        super().setUp()
        self.user = make_user("ana")

    def beside_a_change(self, request):
        """What is answered to `request`, which is made while a change of the password is written and not committed."""
        with ThreadPoolExecutor(1) as pool:
            with transaction.atomic():
                changed = User.objects.get(pk=self.user.pk)
                changed.set_password(NEW_PASSWORD)
                changed.save()
                answer = pool.submit(_and_disconnect, request)
                self.wait_until(lambda: answer.done() or self._somebody_waits())
            return answer.result()

    def log_in(self, path: str):
        return client_for().post(f"{AUTH}{path}", {"username": "ana", "password": PASSWORD})

    def test_log_in_with_the_old_password_leaves_no_token_alive(self):
        response = self.beside_a_change(lambda: self.log_in("login/"))

        self.assertEqual(AuthToken.objects.count(), 0)
        self.assert_unauthenticated(response, "invalid_credentials")

    def test_pair_of_the_old_password_is_refused(self):
        response = self.beside_a_change(lambda: self.log_in("jwt/create/"))

        self.assert_unauthenticated(response, "invalid_credentials")

    def test_log_in_before_the_change_ends_with_it(self):
        access = self.log_in("jwt/create/").json()["access"]
        client = client_for()
        client.credentials(HTTP_AUTHORIZATION=f"Token {self.log_in('login/').json()['token']}")

        self.beside_a_change(lambda: None)

        self.assertEqual([works(client), works(bearer_client(access))], [False, False])

    def test_change_by_the_password_that_another_change_has_replaced(self):
        client = client_for(self.user)
        body = {"current_password": PASSWORD, "new_password": "third-horse-battery"}

        response = self.beside_a_change(lambda: client.post(f"{AUTH}users/set_password/", body))

        self.assert_invalid(response, ("current_password", "invalid_password"))
        self.assertTrue(User.objects.get().check_password(NEW_PASSWORD))

    def test_reset_beside_a_change(self):
        body = {"uid": encode_uid(self.user.pk), "token": default_token_generator.make_token(self.user)}
        body["new_password"] = "third-horse-battery"

        response = self.beside_a_change(lambda: client_for().post(f"{AUTH}users/reset_password_confirm/", body))

        self.assert_invalid(response, ("token", "invalid_token"))
        self.assertTrue(User.objects.get().check_password(NEW_PASSWORD))


@override_settings(PASSWORD_HASHERS=[f"django.contrib.auth.hashers.{name}PasswordHasher" for name in ("MD5", "PBKDF2")])
class HashedAnewTests(CommittingTestCase):
    def test_log_ins_at_once_that_all_find_an_old_hash_all_succeed(self):
        user = make_user("ana")
        User.objects.filter(pk=user.pk).update(password=make_password(PASSWORD, hasher="pbkdf2_sha256"))
        paths = ["login/", "jwt/create/"] * 3

        responses = at_once(
            lambda path: client_for().post(f"{AUTH}{path}", {"username": "ana", "password": PASSWORD}), paths
        )

        self.assertEqual([response.status_code for response in responses], [200] * 6)
        self.assertTrue(User.objects.get().password.startswith("md5$"))
        self.assertEqual(AuthToken.objects.count(), 3)
