"""One address, one account, however its domain is spelled."""

from importlib import import_module

from django.apps import apps
from django.core import mail
from django.test import Client, SimpleTestCase, override_settings
from rq import SimpleWorker

from apps.accounts.models import User
from apps.common.mail.addresses import mailbox_digest, one_form
from tests.case import ApiTestCase, default_queue
from tests.makers import PASSWORD, client_for, make_user

AUTH = "/api/v1/auth/"
SPELLINGS = (
    "ana@bücher.example",
    "ana@xn--bcher-kva.example",
    "ana@BÜCHER.Example",
    "ANA@XN--BCHER-KVA.EXAMPLE",
    "ana@bu\u0308cher.example",
    "ana@\uff42ücher.example",
)
ONE_FORM = "ana@xn--bcher-kva.example"


class FormTests(SimpleTestCase):
    def test_domain_has_one_form(self):
        for spelled in SPELLINGS:
            with self.subTest(ascii(spelled)):
                self.assertEqual(one_form(spelled).lower(), ONE_FORM)

    def test_what_stands_before_the_at_sign_stays(self):
        self.assertEqual(one_form("Ana.Lis+x@Example.COM"), "Ana.Lis+x@example.com")

    def test_what_idna_does_not_know_is_put_into_small_letters(self):
        for text, form in (
            ("ana@some_host.Example", "ana@some_host.example"),
            ("ana@[127.0.0.1]", "ana@[127.0.0.1]"),
            ("ana@xn--A.example", "ana@xn--a.example"),
            ("ana@", "ana@"),
            ("ana", "ana"),
            ("", ""),
            ("ana@" + "ü" * 100_000, "ana@" + "ü" * 100_000),
        ):
            with self.subTest(text[:40]):
                self.assertEqual(one_form(text), form)

    def test_form_of_a_form_is_itself(self):
        for spelled in SPELLINGS:
            self.assertEqual(one_form(one_form(spelled)), one_form(spelled))

    def test_mails_are_counted_by_mailbox(self):
        same = (*SPELLINGS, "ana+1@bücher.example", "a.n.a+2+3@bücher.example")
        self.assertEqual(len({mailbox_digest(address) for address in same}), 1)
        others = ("ana@bucher.example", "anna@bücher.example", "+ana@bücher.example", "+bea@bücher.example")
        self.assertEqual(len({mailbox_digest(address) for address in (same[0], *others)}), 5)


class OneAccountTests(ApiTestCase):
    def register(self, email: str, path="register/", **fields):
        return self.client.post(f"{AUTH}{path}", {"email": email, "password": PASSWORD} | fields)

    def log_in(self, **fields) -> int:
        return client_for().post(f"{AUTH}login/", {"password": PASSWORD} | fields).status_code

    def test_it_is_kept_and_shown_in_one_form(self):
        response = self.register(SPELLINGS[2], username="ana")

        self.assertEqual(response.json()["user"]["email"], ONE_FORM)
        self.assertEqual(User.objects.get().email, ONE_FORM)

    def test_other_spelling_is_taken(self):
        self.register(SPELLINGS[0], username="ana")
        for spelled in SPELLINGS:
            with self.subTest(ascii(spelled)):
                self.assert_invalid(self.register(spelled, username="bea"), ("email", "unique"))

    def test_address_that_serves_as_username_has_one_form_too(self):
        self.assertEqual(self.register(SPELLINGS[0], "users/").json()["username"], ONE_FORM)
        for spelled in SPELLINGS[:4]:  # no username may have the signs of the others
            with self.subTest(ascii(spelled)):
                self.assert_invalid(self.register("bea@example.com", username=spelled), ("username", "unique"))

    def test_log_in_with_any_spelling(self):
        self.register(SPELLINGS[0], username="ana")
        for spelled in SPELLINGS:
            with self.subTest(ascii(spelled)):
                self.assertEqual(self.log_in(email=spelled), 200)
                self.assertEqual(self.log_in(username=spelled), 200)

    def test_log_in_with_an_address_of_before_addresses_had_one_form(self):
        User.objects.filter(pk=make_user("ana").pk).update(email=SPELLINGS[0])

        self.assertEqual(self.log_in(email=SPELLINGS[0]), 200)

    def test_two_accounts_of_before_go_by_their_own_spelling(self):
        for number, (name, email) in enumerate((("ana", SPELLINGS[0]), ("bea", ONE_FORM))):
            user = make_user(name, password=f"{PASSWORD}-{number}")
            User.objects.filter(pk=user.pk).update(email=email)

        self.assertEqual(self.log_in(email=SPELLINGS[0], password=f"{PASSWORD}-0"), 200)
        self.assertEqual(self.log_in(email=ONE_FORM, password=f"{PASSWORD}-1"), 200)

    def test_password_reset_by_any_spelling(self):
        self.register(SPELLINGS[0], username="ana")
        default_queue().empty()
        for spelled in SPELLINGS:
            self.client.post(f"{AUTH}users/reset_password/", {"email": spelled})
        queue = default_queue()
        SimpleWorker([queue], connection=queue.connection).work(burst=True, logging_level="ERROR")

        self.assertGreater(len(mail.outbox), 0)
        self.assertEqual({address for sent in mail.outbox for address in sent.to}, {ONE_FORM})

    def test_staff_find_it_by_any_spelling_and_add_no_other(self):
        self.register(SPELLINGS[0], username="ana")
        boss = make_user("boss", is_staff=True, is_superuser=True)
        admin, client = Client(), client_for(boss)
        admin.force_login(boss)
        for spelled in SPELLINGS:
            with self.subTest(ascii(spelled)):
                self.assertContains(admin.get("/admin/accounts/user/", {"q": spelled}), "1 user")
                self.assertEqual(client.get(f"{AUTH}users/", {"search": spelled}).json()["count"], 1)
                form = {"username": "bea", "email": spelled, "password1": PASSWORD, "password2": PASSWORD}
                self.assertContains(admin.post("/admin/accounts/user/add/", form), "This e-mail address is taken.")

    @override_settings(THROTTLE_RATES={"login": "3/minute"})
    def test_other_spelling_gives_no_more_tries(self):
        statuses = [
            self.client.post(
                f"{AUTH}login/", {"email": spelled, "password": "wrong"}, REMOTE_ADDR=f"198.51.100.{number}"
            ).status_code
            for number, spelled in enumerate(SPELLINGS)
        ]
        self.assertEqual(statuses, [401] * 3 + [429] * 3)

    def test_one_form_that_is_too_long(self):
        email = f"{'a' * 60}@{'.'.join(['ü' * 40] * 4)}.example"
        self.assertLess(len(email), 254)

        response = self.register(email, username="ana")

        self.assert_invalid(response, ("email", "max_length"))


class MigrationTests(ApiTestCase):
    def test_addresses_get_their_one_form_but_for_those_that_another_has(self):
        before = {
            "ana": "ana@bücher.example",
            "bea": "Bea@Example.COM",
            "cid": "cid@bücher.example",
            "dee": "cid@xn--bcher-kva.example",
            "eva": "eva@example.com",
            "": "",
        }
        for name, email in before.items():
            User.objects.filter(pk=make_user(name or "no-address").pk).update(email=email)

        migration = import_module("apps.accounts.migrations.0005_one_form_of_addresses")
        migration.bring_into_one_form(apps, None)

        after = dict(User.objects.values_list("username", "email"))
        self.assertEqual(
            after,
            {
                "ana": ONE_FORM,
                "bea": "Bea@example.com",
                "cid": "cid@bücher.example",
                "dee": "cid@xn--bcher-kva.example",
                "eva": "eva@example.com",
                "no-address": "",
            },
        )
