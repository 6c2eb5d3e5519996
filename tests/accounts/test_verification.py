"""An e-mail address is verified by what was sent there, and until then hopla sends little there and no user's words."""

import re
from datetime import timedelta
from unittest import skipUnless

from django.core import mail
from django.core.management import call_command
from django.db import connection
from django.test import override_settings
from django.utils import timezone
from rq import SimpleWorker

from apps.accounts.emails import send_password_reset, send_verification
from apps.accounts.models import EmailCode, MailAllowance, User
from apps.accounts.tokens import forget_expired_tokens
from apps.accounts.verification import MAX_ATTEMPTS, verify_by_code
from tests.accounts.credentials import ME, both_clients_for
from tests.accounts.mail import LateEmailBackend
from tests.case import ApiTestCase, CommittingTestCase, at_once, default_queue
from tests.makers import PASSWORD, client_for, make_user

AUTH = "/api/v1/auth/"
VERIFY = f"{AUTH}verify-email/"
RESEND = f"{AUTH}verify-email/resend/"
RESET = f"{AUTH}users/reset_password/"
WORDS = "Buy-my-pills"
PUBLIC_URL = "https://hopla.example"


def run_jobs() -> None:
    queue = default_queue()
    SimpleWorker([queue], connection=queue.connection).work(burst=True, logging_level="CRITICAL")


def code_in(sent) -> str:
    return re.search(r"^code: (\d{8})$", sent.body, re.M)[1]


def path_in(sent) -> str:
    return re.search(rf"^{PUBLIC_URL}(/verify-email/[\w-]+/)$", sent.body, re.M)[1]


def everything_in(sent) -> str:
    """Headers and every part, decoded."""
    headers = [f"{name}: {value}" for name, value in sent.message().items()]
    return "\n".join([*headers, sent.subject, sent.body, *(content for content, _ in sent.alternatives)])


@override_settings(PUBLIC_URL=PUBLIC_URL)
class VerificationTestCase(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.user = make_user("ana", verified=False)
        self.client = client_for(self.user)

    def mails(self) -> list:
        """The mails since the last time, oldest first."""
        run_jobs()
        sent, mail.outbox[:] = list(mail.outbox), []
        return sent

    def mail_with_code(self):
        self.assertEqual(self.client.post(RESEND).status_code, 204)
        (sent,) = self.mails()
        return sent

    def is_verified(self, user=None) -> bool:
        shown = client_for(user or self.user).get(ME).json()["email_verified"]
        self.assertEqual(User.objects.get(pk=(user or self.user).pk).email_verified, shown)
        return shown

    def assert_code_invalid(self, response):
        self.assert_problem(response, 400, "code_invalid")


class FirstMailTests(VerificationTestCase):
    def register(self, path: str, **headers):
        body = {"username": "bea", "email": "Bea@Example.com", "password": PASSWORD, "name": WORDS}
        response = client_for().post(f"{AUTH}{path}", body, **headers)
        self.assertEqual(response.status_code, 201)
        return response.json()

    def test_registering_sends_a_link_and_a_code_and_no_word_of_the_users(self):
        for path in ("register/", "users/"):
            with self.subTest(path):
                User.objects.filter(username="bea").delete()
                answer = self.register(path)
                self.assertIs((answer.get("user") or answer)["email_verified"], False)
                (sent,) = self.mails()
                self.assertEqual(sent.to, ["Bea@example.com"])
                self.assertIn(code_in(sent), sent.alternatives[0][0])
                self.assertIn(f'href="{PUBLIC_URL}{path_in(sent)}"', sent.alternatives[0][0])
                self.assertNotIn(WORDS, everything_in(sent))
                for word in ("bea", "Buy"):  # as words: ids and tokens may have these letters by chance
                    self.assertNotRegex(everything_in(sent), rf"\b{word}\b")

    def test_language_is_the_requests(self):
        self.register("register/", headers={"Accept-Language": "pl"})

        (sent,) = self.mails()
        self.assertIn('<html lang="pl">', sent.alternatives[0][0])

    def test_id_that_a_client_made_up_is_not_sent_on(self):
        for request_id, sent_on in ((WORDS, False), ("0f4b6c1d2e8a4f0c9d3b7a6e5c4d3b2a", True)):
            with self.subTest(request_id):
                User.objects.filter(username="bea").delete()
                self.register("register/", headers={"X-Request-ID": request_id})
                (sent,) = self.mails()
                self.assertEqual(request_id in everything_in(sent), sent_on)

    def test_neither_code_nor_link_is_kept_in_the_clear(self):
        sent = self.mail_with_code()

        (kept,) = EmailCode.objects.values()
        for secret in (code_in(sent), path_in(sent).split("/")[2]):
            self.assertNotIn(secret, str(kept))
            self.assertNotIn(secret, str(default_queue().connection.keys()))

    def test_mail_server_away_at_first(self):
        LateEmailBackend.refusals = 2
        self.client.post(RESEND)

        with override_settings(EMAIL_BACKEND="tests.accounts.mail.LateEmailBackend"):
            (sent,) = self.mails()
        self.assertEqual(self.client.post(VERIFY, {"code": code_in(sent)}).status_code, 204)


class CodeTests(VerificationTestCase):
    def verify(self, code, client=None):
        return (client or self.client).post(VERIFY, {"code": code})

    def test_code_verifies_the_address_whichever_the_credentials(self):
        for kind, client in both_clients_for(self.user).items():
            with self.subTest(kind):
                User.objects.update(verified_email="")
                response = self.verify(code_in(self.mail_with_code()), client)
                self.assertEqual((response.status_code, response.content), (204, b""))
                self.assertTrue(self.is_verified())

    def test_spaces_and_hyphens_do_not_count(self):
        code = code_in(self.mail_with_code())

        self.assertEqual(self.verify(f" {code[:4]}-{code[4:]} ").status_code, 204)

    def test_it_works_once(self):
        code = code_in(self.mail_with_code())
        self.verify(code)

        self.assert_code_invalid(self.verify(code))
        self.assertTrue(self.is_verified())

    def test_newer_one_makes_it_void(self):
        old, new = code_in(self.mail_with_code()), code_in(self.mail_with_code())
        self.assert_code_invalid(self.verify(old))

        self.assertEqual(self.verify(new).status_code, 204)

    def test_it_expires(self):
        code = code_in(self.mail_with_code())
        EmailCode.objects.update(expires_at=timezone.now() - timedelta(seconds=1))

        self.assert_code_invalid(self.verify(code))
        self.assertFalse(self.is_verified())

    def test_after_so_many_attempts_the_right_one_is_refused_too(self):
        code = code_in(self.mail_with_code())
        wrong = str((int(code) + 1) % 10**8).zfill(8)
        for _ in range(MAX_ATTEMPTS):
            self.assert_code_invalid(self.verify(wrong))

        self.assert_code_invalid(self.verify(code))
        self.assertFalse(self.is_verified())

    def test_code_of_another_user(self):
        stranger = make_user(verified=False)
        code = code_in(self.mail_with_code())

        self.assert_code_invalid(self.verify(code, client_for(stranger)))
        self.assertFalse(self.is_verified(stranger))
        self.assertEqual(self.verify(code).status_code, 204)

    def test_before_any_was_sent(self):
        self.assert_code_invalid(self.verify("00000000"))

    def test_bad_input(self):
        self.assert_invalid(self.client.post(VERIFY, {}), ("code", "required"))
        self.assert_invalid(self.verify(12345678), ("code", "invalid"))
        self.assert_invalid(self.verify(""), ("code", "blank"))
        self.assert_code_invalid(self.verify("ż٣" * 4))

    def test_anonymous_and_other_methods(self):
        for url in (VERIFY, RESEND):
            self.assert_unauthenticated(client_for().post(url, {"code": "00000000"}))
            for method in ("get", "put", "patch", "delete"):
                self.assert_problem(getattr(self.client, method)(url), 405, "method_not_allowed")


class LinkTests(VerificationTestCase):
    def setUp(self):
        super().setUp()
        self.path = path_in(self.mail_with_code())
        self.browser = client_for()

    def post(self, path=None):
        return self.browser.post(path or self.path, {}, format="multipart")

    def test_following_it_shows_a_button_and_changes_nothing(self):
        response = self.browser.get(self.path)

        self.assertContains(response, '<form method="post"><button>')
        self.assertContains(response, "ana@example.com")
        self.assertIn("no-store", response["Cache-Control"])
        self.assertFalse(self.is_verified())

    def test_button_verifies_without_a_log_in_or_a_cookie(self):
        response = self.post()

        self.assertContains(response, "is confirmed")
        self.assertTrue(self.is_verified())

    def test_second_click_is_no_error(self):
        self.post()

        self.assertContains(self.post(), "is confirmed")
        self.assertContains(self.browser.get(self.path), "is confirmed")

    def test_used_link_does_not_verify_the_address_again(self):
        self.post()
        User.objects.update(verified_email="")

        self.assertEqual(self.post().status_code, 404)
        self.assertFalse(self.is_verified())

    def test_page_in_three_languages(self):
        for language in ("en", "es", "pl"):
            response = self.browser.get(self.path, headers={"Accept-Language": language})
            self.assertContains(response, f'<html lang="{language}">')

    def test_made_up_old_and_outdated_ones_lead_nowhere(self):
        newer = path_in(self.mail_with_code())
        for path in ("/verify-email/nonsense/", "/verify-email/ż/", self.path):
            with self.subTest(path):
                self.assertEqual((self.browser.get(path).status_code, self.post(path).status_code), (404, 404))
        EmailCode.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
        self.assertEqual(self.post(newer).status_code, 404)
        self.assertFalse(self.is_verified())


class ChangeTests(VerificationTestCase):
    def test_another_address_starts_anew_and_what_was_sent_to_the_old_one_is_void(self):
        self.client.post(VERIFY, {"code": code_in(self.mail_with_code())})
        for change in (
            lambda email: User.objects.filter(pk=self.user.pk).update(email=email),
            lambda email: self._save(email),
        ):
            with self.subTest():
                User.objects.update(email="ana@example.com", verified_email="ana@example.com")
                change("other@example.com")
                self.assertFalse(self.is_verified())

        code = code_in(self.mail_with_code())
        User.objects.update(email="third@example.com")
        self.assert_problem(self.client.post(VERIFY, {"code": code}), 400, "code_invalid")
        self.assertFalse(self.is_verified())

    def _save(self, email: str):
        user = User.objects.get(pk=self.user.pk)
        user.email = email
        user.save()

    def test_older_copy_that_is_saved_does_not_set_it_back(self):
        older = User.objects.get(pk=self.user.pk)
        self.client.post(VERIFY, {"code": code_in(self.mail_with_code())})

        older.name = "Ana"
        older.save()

        self.assertTrue(self.is_verified())

    def test_password_reset_verifies_the_address_that_its_mail_went_to(self):
        self.client.post(RESET, {"email": "ana@example.com"})
        (sent,) = self.mails()
        body = {name: re.search(rf"^{name}: (\S+)$", sent.body, re.M)[1] for name in ("uid", "token")}

        body["new_password"] = "another-horse-battery"
        self.assertEqual(self.client.post(f"{AUTH}users/reset_password_confirm/", body).status_code, 204)

        self.assertTrue(self.is_verified())

    def test_superuser_made_on_the_server_needs_no_mail(self):
        call_command("createsuperuser", "--no-input", username="boss", email="boss@example.com", verbosity=0)

        self.assertTrue(User.objects.get(username="boss").email_verified)

    def test_user_without_an_address(self):
        User.objects.filter(pk=self.user.pk).update(email="")

        self.assertFalse(self.is_verified())
        self.assertEqual(self.client.post(RESEND).status_code, 204)
        self.assertEqual(self.mails(), [])


class ResendTests(VerificationTestCase):
    def test_verified_address_gets_none(self):
        self.client.post(VERIFY, {"code": code_in(self.mail_with_code())})

        self.assertEqual(self.client.post(RESEND).status_code, 204)

        self.assertEqual(self.mails(), [])

    @override_settings(THROTTLE_RATES={"verification": "2/hour"})
    def test_it_is_throttled(self):
        self.assertEqual([self.client.post(RESEND).status_code for _ in range(3)], [204, 204, 429])

    def test_sixth_of_a_day_is_refused_with_the_time_to_wait(self):
        for _ in range(5):
            self.mail_with_code()

        response = self.client.post(RESEND)

        self.assert_problem(response, 429, "throttled")
        self.assertIn(int(response["Retry-After"]), range(23 * 3600, 24 * 3600 + 1))
        self.assertEqual(self.mails(), [])


class AllowanceTests(VerificationTestCase):
    def test_reset_mail_to_an_address_that_is_not_verified_has_no_name_and_the_first_a_code(self):
        User.objects.update(name=WORDS)
        for _ in range(2):
            client_for().post(RESET, {"email": "ana@example.com"}, headers={"X-Request-ID": WORDS})
        first, second = self.mails()

        self.assertNotIn(WORDS, everything_in(first) + everything_in(second))
        self.assertIn(code_in(first), first.alternatives[0][0])
        self.assertNotIn("code:", second.body)
        self.assertEqual(self.client.post(VERIFY, {"code": code_in(first)}).status_code, 204)

    def test_mails_of_all_kinds_to_all_spellings_of_all_accounts_are_five_a_day(self):
        addresses = [
            "ana@bücher.example",
            "ana+1@bücher.example",
            "A.N.A@XN--bcher-kva.example",
            "ana+2@bücher.example",
        ]
        users = [make_user(f"u{n}", email=address, verified=False) for n, address in enumerate(addresses)]
        for user in users:
            send_verification(user.pk, "en")
            send_password_reset(user.email, "en")
        User.objects.filter(pk=users[0].pk).delete()
        send_verification(make_user("again", email=addresses[0], verified=False).pk, "en")

        self.assertEqual(len(mail.outbox), 5)
        send_password_reset(make_user("bea", verified=False).email, "en")
        self.assertEqual(len(mail.outbox), 6)

    def test_a_day_later_there_are_five_more(self):
        for _ in range(7):
            send_verification(self.user.pk, "en")
        self.assertEqual(len(mail.outbox), 5)
        self.assertEqual(forget_expired_tokens(), 0)

        allowance = MailAllowance.objects.get()
        allowance.mails = [[mail_id, at - 86_401] for mail_id, at in allowance.mails]
        allowance.save()

        for _ in range(7):
            send_verification(self.user.pk, "en")
        self.assertEqual(len(mail.outbox), 10)

    def test_verified_address_is_not_counted(self):
        User.objects.update(verified_email="ana@example.com")
        for _ in range(7):
            send_password_reset("ana@example.com", "en")

        self.assertEqual(len(mail.outbox), 7)
        self.assertFalse(MailAllowance.objects.exists())

    def test_mail_that_is_tried_again_is_counted_once(self):
        LateEmailBackend.refusals = 3
        self.client.post(RESEND)
        with override_settings(EMAIL_BACKEND="tests.accounts.mail.LateEmailBackend"):
            self.assertEqual(len(self.mails()), 1)

        self.assertEqual(len(MailAllowance.objects.get().mails), 1)

    def test_count_and_code_that_are_over_are_forgotten(self):
        self.mail_with_code()
        yesterday = timezone.now() - timedelta(days=1, seconds=1)
        MailAllowance.objects.update(last_at=yesterday)
        EmailCode.objects.update(expires_at=yesterday)

        self.assertEqual(forget_expired_tokens(), 2)
        self.assertFalse(MailAllowance.objects.exists() or EmailCode.objects.exists())

    def test_log_in_tickets_and_photos_need_no_verification(self):
        body = {"username": "ana", "password": PASSWORD}
        self.assertEqual(client_for().post(f"{AUTH}login/", body).status_code, 200)
        self.assertEqual(self.client.post("/api/v1/tickets/", {"num_images": 1}).status_code, 201)


class AtOnceTests(CommittingTestCase):
    def test_mails_sent_at_once_are_five(self):
        users = [make_user(email=f"ana+{number}@example.com", verified=False) for number in range(8)]

        at_once(lambda user: send_verification(user.pk, "en"), users)

        self.assertEqual(len(mail.outbox), 5)

    @skipUnless(connection.vendor == "postgresql", "needs PostgreSQL: SQLite has one writer at a time")
    def test_attempts_made_at_once_are_counted_each(self):
        user = make_user(verified=False)
        code = EmailCode.objects.renew(user).code
        wrong = str((int(code) + 1) % 10**8).zfill(8)

        self.assertFalse(any(at_once(lambda guess: verify_by_code(user, guess), [wrong] * 8)))

        self.assertEqual(EmailCode.objects.get().attempts, MAX_ATTEMPTS)
        self.assertFalse(verify_by_code(user, code))

    def test_code_used_at_once_works_once(self):
        user = make_user(verified=False)
        code = EmailCode.objects.renew(user).code

        self.assertEqual(sum(at_once(lambda guess: verify_by_code(user, guess), [code] * 4)), 1)
