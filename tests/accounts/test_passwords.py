import re

from django.core import mail
from django.test import override_settings
from rq import SimpleWorker

from apps.accounts.models import User
from apps.accounts.passwords import encode_uid
from apps.accounts.tokens import new_jwt_pair
from tests.accounts.credentials import bearer_client, both_clients_for, refreshes, works
from tests.accounts.mail import LateEmailBackend
from tests.case import ApiTestCase, default_queue
from tests.makers import PASSWORD, client_for, make_user

LOGIN = "/api/v1/auth/login/"
SET_PASSWORD = "/api/v1/auth/users/set_password/"
RESET = "/api/v1/auth/users/reset_password/"
CONFIRM = "/api/v1/auth/users/reset_password_confirm/"
NEW_PASSWORD = "another-horse-battery"


class PasswordTestCase(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.user = make_user("ana-lis", email="ana@example.com")

    def assert_password(self, password: str):
        response = client_for().post(LOGIN, {"username": "ana-lis", "password": password})
        self.assertEqual(response.status_code, 200, response.content)

    def assert_unchanged(self, response, *errors):
        self.assert_invalid(response, *errors)
        self.assertTrue(User.objects.get(pk=self.user.pk).check_password(PASSWORD))

    def ask(self, email="ana@example.com", **headers):
        return self.client.post(RESET, {"email": email}, **headers)

    def mails(self) -> list:
        """What a worker sends until the queue is empty."""
        SimpleWorker([default_queue()], connection=default_queue().connection).work(burst=True, logging_level="ERROR")
        return mail.outbox


class SetPasswordTests(PasswordTestCase):
    def setUp(self):
        super().setUp()
        self.client = client_for(self.user)

    def set_password(self, client=None, **fields):
        body = {"current_password": PASSWORD, "new_password": NEW_PASSWORD} | fields
        body = {name: value for name, value in body.items() if value is not None}
        return (client or self.client).post(SET_PASSWORD, body)

    def test_new_password_logs_in_and_the_old_one_does_not(self):
        response = self.set_password()

        self.assertEqual((response.status_code, response.content), (204, b""))
        self.assert_password(NEW_PASSWORD)
        old = client_for().post(LOGIN, {"username": "ana-lis", "password": PASSWORD})
        self.assert_unauthenticated(old, code="invalid_credentials")

    def test_opaque_token_used_survives_and_all_else_ends(self):
        others = both_clients_for(self.user)
        pair = new_jwt_pair(self.user)

        self.set_password()

        self.assertTrue(works(self.client))
        self.assertEqual({kind: works(client) for kind, client in others.items()}, {"Token": False, "Bearer": False})
        self.assertFalse(refreshes(pair))

    def test_with_a_jwt_every_session_ends(self):
        pair = new_jwt_pair(self.user)

        response = self.set_password(bearer_client(pair.access_token))

        self.assertEqual(response.status_code, 204)
        self.assertFalse(works(bearer_client(pair.access_token)))
        self.assertFalse(refreshes(pair))
        self.assertFalse(works(self.client))

    def test_strangers_sessions_go_on(self):
        strangers = both_clients_for(make_user()).values()

        self.set_password()

        self.assertEqual([works(client) for client in strangers], [True, True])

    def test_wrong_current_password_changes_and_ends_nothing(self):
        other = client_for(self.user)

        response = self.set_password(current_password="wrong")

        self.assert_unchanged(response, ("current_password", "invalid_password"))
        self.assertTrue(works(other))

    def test_fields_that_must_be_there(self):
        self.assert_unchanged(
            self.set_password(current_password=None, new_password=None),
            ("current_password", "required"),
            ("new_password", "required"),
        )
        self.assert_unchanged(self.set_password(new_password=""), ("new_password", "blank"))

    def test_password_that_the_validators_refuse(self):
        for password, code in (
            ("kurz-8x", "password_too_short"),
            ("password1", "password_too_common"),
            ("ana-lis-1", "password_too_similar"),
            ("x" * 129, "max_length"),
        ):
            with self.subTest(code):
                self.assert_unchanged(self.set_password(new_password=password), ("new_password", code))

    def test_password_that_is_a_number(self):
        self.assert_unchanged(self.set_password(new_password=8127364519), ("new_password", "invalid"))

    def test_longest_password_and_outer_spaces_log_in(self):
        password = " " + "correct horse".ljust(126, "x") + " "

        self.assertEqual(self.set_password(new_password=password).status_code, 204)

        self.assert_password(password)
        trimmed = client_for().post(LOGIN, {"username": "ana-lis", "password": password.strip()})
        self.assert_unauthenticated(trimmed, code="invalid_credentials")

    def test_password_longer_than_the_api_would_set_logs_in_too(self):
        self.user.set_password("x" * 300)  # as the admin may
        self.user.save()

        self.assert_password("x" * 300)

    def test_anonymous(self):
        self.assert_unauthenticated(self.set_password(client_for()))

    def test_other_methods(self):
        for method in ("get", "put", "patch", "delete"):
            with self.subTest(method):
                self.assert_problem(getattr(self.client, method)(SET_PASSWORD), 405, "method_not_allowed")


class AskForResetTests(PasswordTestCase):
    def test_mail_holds_uid_and_token_in_text_and_html(self):
        self.ask()

        (sent,) = self.mails()
        self.assertEqual(sent.to, ["ana@example.com"])
        (html, content_type), *others = sent.alternatives
        self.assertEqual((content_type, others), ("text/html", []))
        uid, token = values_in(sent)
        self.assertEqual(uid, encode_uid(self.user.pk))
        self.assertIn(f"<code>{uid}</code>", html)
        self.assertIn(f"<code>{token}</code>", html)

    @override_settings(PASSWORD_RESET_URL="https://app.example.com/reset/{uid}/{token}")
    def test_mail_holds_the_link_when_there_is_a_page_for_it(self):
        self.ask()

        (sent,) = self.mails()
        (link,) = re.findall(rf"https://app\.example\.com/reset/{encode_uid(self.user.pk)}/[\w-]+", sent.body)
        self.assertIn(f'<a href="{link}">', sent.alternatives[0][0])
        self.assertNotIn("token:", sent.body)

    def test_address_in_another_case(self):
        self.ask("ANA@Example.COM")

        (sent,) = self.mails()
        self.assertEqual(sent.to, ["ana@example.com"])

    def test_name_that_is_markup_is_shown_as_text(self):
        User.objects.update(name="<b>Ana</b>")

        self.ask()

        (sent,) = self.mails()
        self.assertIn("<b>Ana</b>", sent.body)
        self.assertNotIn("<b>Ana</b>", sent.alternatives[0][0])

    def test_language_is_the_users_own_or_else_the_requests(self):
        for own, asked, used in (("pl", "es", "pl"), ("", "es", "es"), ("", "tlh", "en")):
            with self.subTest(own=own, asked=asked):
                User.objects.update(language=own)
                mail.outbox.clear()
                self.ask(HTTP_ACCEPT_LANGUAGE=asked)
                (sent,) = self.mails()
                self.assertIn(f'<html lang="{used}">', sent.alternatives[0][0])

    def test_mail_has_the_id_of_the_request_that_asked_for_it(self):
        self.ask(headers={"X-Request-ID": "forgot-it-1"})

        self.assertEqual([sent.extra_headers["X-Request-ID"] for sent in self.mails()], ["forgot-it-1"])

    def test_mail_server_that_is_unavailable_at_first(self):
        LateEmailBackend.refusals = 2
        self.ask()

        with override_settings(EMAIL_BACKEND="tests.accounts.mail.LateEmailBackend"):
            sent = self.mails()
        self.assertEqual((len(sent), LateEmailBackend.refusals), (1, 0))

    def test_known_and_unknown_address_get_the_same_answer_for_the_same_work(self):
        make_user("gone", is_active=False)
        for address in ("ana@example.com", "nobody@example.com", "gone@example.com"):
            with self.subTest(address):
                default_queue().empty()
                with self.assertNumQueries(0):
                    response = self.ask(address)
                self.assertEqual((response.status_code, response.content), (204, b""))
                self.assertEqual(default_queue().count, 1)

    def test_no_mail_to_those_who_cannot_log_in(self):
        make_user("gone", is_active=False)
        make_user("nothing", password=None)
        for address in ("nobody@example.com", "gone@example.com", "nothing@example.com"):
            with self.subTest(address):
                self.ask(address)
                self.assertEqual(self.mails(), [])

    def test_what_is_no_address(self):
        self.assert_invalid(self.ask("ana"), ("email", "invalid"))
        self.assert_invalid(self.client.post(RESET, {}), ("email", "required"))
        self.assertEqual(default_queue().count, 0)

    def test_other_methods(self):
        for method in ("get", "put", "patch", "delete"):
            with self.subTest(method):
                self.assert_problem(getattr(self.client, method)(RESET), 405, "method_not_allowed")


class ConfirmResetTests(PasswordTestCase):
    """With what the mail holds."""

    def setUp(self):
        super().setUp()
        self.ask()
        self.uid, self.token = values_in(self.mails().pop())

    def confirm(self, **fields):
        body = {"uid": self.uid, "token": self.token, "new_password": NEW_PASSWORD} | fields
        return self.client.post(CONFIRM, {name: value for name, value in body.items() if value is not None})

    def test_new_password_logs_in(self):
        response = self.confirm()

        self.assertEqual((response.status_code, response.content), (204, b""))
        self.assert_password(NEW_PASSWORD)

    def test_values_pasted_with_spaces_around_them(self):
        self.assertEqual(self.confirm(uid=f" {self.uid} ", token=f" {self.token} ").status_code, 204)

    def test_every_session_ends(self):
        clients = both_clients_for(self.user).values()
        pair = new_jwt_pair(self.user)

        self.confirm()

        self.assertEqual([works(client) for client in clients], [False, False])
        self.assertFalse(refreshes(pair))

    def test_token_works_once(self):
        self.confirm()

        response = self.confirm(new_password="third-horse-battery")

        self.assert_invalid(response, ("token", "invalid_token"))
        self.assert_password(NEW_PASSWORD)

    def test_token_of_another_user(self):
        stranger = make_user()

        response = self.confirm(uid=encode_uid(stranger.pk))

        self.assert_unchanged(response, ("token", "invalid_token"))
        self.assertTrue(User.objects.get(pk=stranger.pk).check_password(PASSWORD))

    def test_uid_of_no_user(self):
        for uid in ("", encode_uid(10**30), encode_uid(0), encode_uid("ana"), "!", "\u017c", "_w"):
            with self.subTest(uid):
                self.assert_unchanged(self.confirm(uid=uid), ("uid", "invalid_uid" if uid else "blank"))

    def test_token_that_never_was(self):
        for token in ("", "x", "x-y", self.token[:-1], "\u017c-\u017c"):
            with self.subTest(token):
                self.assert_unchanged(self.confirm(token=token), ("token", "invalid_token" if token else "blank"))

    def test_values_that_are_no_text(self):
        self.assert_unchanged(self.confirm(uid=5, token=5), ("uid", "invalid"), ("token", "invalid"))

    def test_fields_that_must_be_there(self):
        for field in ("uid", "token", "new_password"):
            with self.subTest(field):
                self.assert_unchanged(self.confirm(**{field: None}), (field, "required"))

    def test_password_that_the_validators_refuse_leaves_the_token_good(self):
        for password, code in (
            ("kurz-8x", "password_too_short"),
            ("password1", "password_too_common"),
            ("ana-lis-1", "password_too_similar"),
            ("x" * 129, "max_length"),
        ):
            with self.subTest(code):
                self.assert_unchanged(self.confirm(new_password=password), ("new_password", code))
        self.assertEqual(self.confirm().status_code, 204)

    def test_password_changed_meanwhile_makes_the_token_void(self):
        self.user.set_password(NEW_PASSWORD)
        self.user.save()

        self.assert_invalid(self.confirm(new_password="third-horse-battery"), ("token", "invalid_token"))

    def test_other_methods(self):
        for method in ("get", "put", "patch", "delete"):
            with self.subTest(method):
                self.assert_problem(getattr(self.client, method)(CONFIRM), 405, "method_not_allowed")


def values_in(sent) -> tuple[str, str]:
    """The uid and the token that the text part of the mail shows."""
    return re.search(r"^uid: (\S+)$", sent.body, re.M)[1], re.search(r"^token: (\S+)$", sent.body, re.M)[1]
