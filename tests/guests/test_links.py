"""Guest links through the API: made, listed, read and revoked by the owner of their ticket."""

from datetime import timedelta

from django.core.management import call_command
from django.db import connection
from django.test import override_settings
from django.utils import timezone

from apps.common.encryption import SecretUnreadableError
from apps.guests.links import token_of
from apps.guests.models import GuestLink, digest_of
from apps.tickets.lifecycle.endings import cancel_ticket
from apps.tickets.models import IdempotencyKey
from tests.case import ApiTestCase
from tests.makers import client_for, guest_client, make_guest_link, make_image, make_ticket, make_user

FIELDS = {
    *("id", "ticket_id", "name", "email", "language", "remind_before_seconds"),
    *("created_at", "expires_at", "revoked_at", "opened_at", "last_used_at", "photos"),
}


class LinkTestCase(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.owner = make_user()
        self.ticket = make_ticket(self.owner)
        self.client = client_for(self.owner)
        self.path = f"/api/v1/tickets/{self.ticket.pk}/guest-links/"

    def make(self, body=None, **headers):
        return self.client.post(self.path, body or {}, **headers)


class MakingTests(LinkTestCase):
    def test_answer_has_the_link_the_token_and_a_qr_code(self):
        response = self.make({"name": "Ana", "language": "pl"})

        self.assertEqual(response.status_code, 201)
        body = response.json()
        self.assertEqual(body.keys(), FIELDS | {"url", "token", "qr_svg"})
        link = GuestLink.objects.get(pk=body["id"])
        self.assertEqual(body["url"], f"http://testserver/u/{body['token']}/")
        self.assertEqual((body["name"], body["language"], body["photos"]), ("Ana", "pl", 0))
        self.assertTrue(body["qr_svg"].startswith("<svg ") and body["qr_svg"].endswith("</svg>"), body["qr_svg"])
        self.assertEqual(response["Cache-Control"], "no-store")
        self.assertEqual(response["Location"], f"http://testserver{self.path}{link.pk}/")
        self.assertEqual(link.created_by, self.owner)

    def test_token_is_kept_as_a_digest_and_encrypted_alone(self):
        token = self.make().json()["token"]

        link = GuestLink.objects.get()
        self.assertEqual(len(token), 43)
        self.assertEqual(link.token_digest, digest_of(token))
        self.assertEqual(token_of(link), token)
        with connection.cursor() as cursor:
            cursor.execute("SELECT * FROM guests_guestlink")
            self.assertNotIn(token, str(cursor.fetchall()))

    def test_it_lasts_a_week_or_as_long_as_was_said(self):
        before = timezone.now()
        for body, seconds in (({}, 604800), ({"expires_in_seconds": 60}, 60), ({"expires_in_seconds": None}, 604800)):
            link = GuestLink.objects.get(pk=self.make(body).json()["id"])
            expected = before + timedelta(seconds=seconds)
            self.assertGreaterEqual(link.expires_at, expected)
            self.assertLess(link.expires_at, expected + timedelta(minutes=5))

    def test_it_ends_with_its_ticket(self):
        self.ticket.expires_at = timezone.now() + timedelta(hours=1)
        self.ticket.save()
        self.make({"expires_in_seconds": 7200})
        self.assertEqual(GuestLink.objects.get().expires_at, self.ticket.expires_at)

    @override_settings(PUBLIC_URL="https://hopla.example", PUBLIC_URL_IS_SET=True)
    def test_public_url_begins_the_address(self):
        body = self.make().json()
        self.assertEqual(body["url"], f"https://hopla.example/u/{body['token']}/")

    def test_language_is_that_of_the_request(self):
        self.assertEqual(self.make(HTTP_ACCEPT_LANGUAGE="es").json()["language"], "es")

    def test_address_is_kept_in_its_one_form(self):
        self.assertEqual(self.make({"email": "ana@BÜCHER.example"}).json()["email"], "ana@xn--bcher-kva.example")

    def test_bad_input(self):
        for body, fault in (
            ({"expires_in_seconds": 59}, ("expires_in_seconds", "min_value")),
            ({"expires_in_seconds": 31536001}, ("expires_in_seconds", "max_value")),
            ({"expires_in_seconds": "60"}, ("expires_in_seconds", "invalid")),
            ({"email": "nobody"}, ("email", "invalid")),
            ({"language": "tlh"}, ("language", "invalid_choice")),
            ({"name": "x" * 151}, ("name", "max_length")),
            ({"remind_before_seconds": [60], "email": ""}, ("remind_before_seconds", "without_email")),
            ({"remind_before_seconds": [60]}, ("remind_before_seconds", "without_email")),
            (
                {"remind_before_seconds": [60, 70, 80, 90], "email": "a@b.example"},
                ("remind_before_seconds", "max_length"),
            ),
            ({"remind_before_seconds": [0], "email": "a@b.example"}, ("remind_before_seconds.0", "min_value")),
        ):
            with self.subTest(body):
                self.assert_invalid(self.make(body), fault)
        self.assertEqual(GuestLink.objects.count(), 0)

    def test_anonymous_and_stranger(self):
        self.assert_unauthenticated(client_for().post(self.path))
        self.assert_problem(client_for(make_user()).post(self.path), 404, "not_found")

    def test_guest_makes_no_links(self):
        guest = guest_client(make_guest_link(self.ticket))
        self.assert_problem(guest.post(self.path), 403, "guest_not_allowed")
        self.assert_problem(guest.get(self.path), 403, "guest_not_allowed")

    def test_ticket_that_takes_no_photos(self):
        self.ticket.num_images = 1
        type(self.ticket).objects.filter(pk=self.ticket.pk).update(status="completed")
        self.assert_problem(self.make(), 409, "ticket_completed")
        overdue = make_ticket(self.owner, expires_at=timezone.now())
        self.assert_problem(self.client.post(f"/api/v1/tickets/{overdue.pk}/guest-links/"), 410, "ticket_expired")
        cancelled = make_ticket(self.owner)
        cancel_ticket(cancelled.pk)
        self.assert_problem(self.client.post(f"/api/v1/tickets/{cancelled.pk}/guest-links/"), 409, "ticket_cancelled")

    @override_settings(THROTTLE_RATES={"tickets": "1/minute"})
    def test_throttled_as_tickets(self):
        self.assertEqual(self.make().status_code, 201)
        self.assert_problem(self.make(), 429, "throttled")


class RepeatedTests(LinkTestCase):
    def test_same_key_gives_the_same_link(self):
        first, again = (self.make({"name": "Ana"}, HTTP_IDEMPOTENCY_KEY="k-1") for _ in range(2))

        self.assertEqual(again.status_code, 201)
        self.assertEqual(again["Idempotent-Replayed"], "true")
        self.assertEqual(again["Cache-Control"], "no-store")
        self.assertEqual(again.json(), first.json())
        self.assertEqual(GuestLink.objects.count(), 1)

    def test_kept_answer_has_no_secret(self):
        body = self.make(HTTP_IDEMPOTENCY_KEY="k-1").json()
        kept = IdempotencyKey.objects.get()
        self.assertNotIn(body["token"], kept.answer + kept.location + kept.fingerprint)
        self.assertNotIn("url", kept.answer)

    def test_same_key_for_another_link(self):
        self.make({"name": "Ana"}, HTTP_IDEMPOTENCY_KEY="k-1")
        self.assert_problem(self.make({"name": "Bea"}, HTTP_IDEMPOTENCY_KEY="k-1"), 422, "idempotency_key_reused")


class ReadingTests(LinkTestCase):
    def test_list_is_newest_first_and_shows_no_secret(self):
        old, new = (self.make({"name": name}).json() for name in ("old", "new"))

        response = self.client.get(self.path)

        page = response.json()
        self.assertEqual([link["id"] for link in page["results"]], [new["id"], old["id"]])
        self.assertEqual(page["results"][0].keys(), FIELDS)
        self.assertNotIn(old["token"], response.content.decode())

    def test_photos_are_counted_by_link(self):
        ana, bea = make_guest_link(self.ticket), make_guest_link(self.ticket)
        make_image(self.ticket, position=1, guest_link_id=ana.pk)
        make_image(self.ticket, position=2)

        self.assertEqual(self.client.get(f"{self.path}{ana.pk}/").json()["photos"], 1)
        self.assertEqual(self.client.get(f"{self.path}{bea.pk}/").json()["photos"], 0)

    def test_link_of_another_ticket_is_not_found(self):
        elsewhere = make_guest_link(make_ticket(self.owner))
        self.assert_problem(self.client.get(f"{self.path}{elsewhere.pk}/"), 404, "not_found")
        self.assert_problem(self.client.delete(f"{self.path}{elsewhere.pk}/"), 404, "not_found")
        self.assertIsNone(GuestLink.objects.get().revoked_at)

    def test_unknown_parameter(self):
        self.assertEqual(self.client.get(self.path, {"stats": "x"}).json()["code"], "unknown_parameter")


class RevokingTests(LinkTestCase):
    def test_revoked_once(self):
        link = make_guest_link(self.ticket)
        self.assertEqual(self.client.delete(f"{self.path}{link.pk}/").status_code, 204)
        revoked_at = GuestLink.objects.get().revoked_at
        self.assertIsNotNone(revoked_at)
        self.assertEqual(self.client.delete(f"{self.path}{link.pk}/").status_code, 204)
        self.assertEqual(GuestLink.objects.get().revoked_at, revoked_at)

    def test_anonymous_and_stranger(self):
        path = f"{self.path}{make_guest_link(self.ticket).pk}/"
        self.assert_unauthenticated(client_for().delete(path))
        self.assert_problem(client_for(make_user()).delete(path), 404, "not_found")
        self.assertIsNone(GuestLink.objects.get().revoked_at)


KEY, OTHER_KEY = b"k" * 32, b"o" * 32


class EncryptionTests(ApiTestCase):
    def test_first_key_encrypts_and_all_decrypt(self):
        with override_settings(ENCRYPTION_KEYS=[KEY]):
            link = make_guest_link()
            token = token_of(link)
        with override_settings(ENCRYPTION_KEYS=[OTHER_KEY, KEY]):
            self.assertEqual(token_of(link), token)
            newer = make_guest_link()
        with override_settings(ENCRYPTION_KEYS=[KEY]), self.assertRaises(SecretUnreadableError):
            token_of(newer)

    def test_without_keys_the_one_of_secret_key_is_used(self):
        with override_settings(ENCRYPTION_KEYS=[], SECRET_KEY="one"):
            link = make_guest_link()
            self.assertEqual(digest_of(token_of(link)), link.token_digest)
        with override_settings(ENCRYPTION_KEYS=[], SECRET_KEY="two"), self.assertRaises(SecretUnreadableError):
            token_of(link)

    def test_migrations_are_complete(self):
        call_command("makemigrations", "--check", "--dry-run", verbosity=0)
