"""API keys through the API: made, listed, read and revoked by their owner."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from django.db import connection, transaction
from django.test import override_settings, skipUnlessDBFeature
from django.utils import timezone

from apps.accounts.models import User
from apps.integrations.keys import making
from apps.integrations.keys.form import digest_of, is_whole
from apps.integrations.keys.making import MAX_KEYS
from apps.integrations.models import ApiKey
from apps.tickets.models import IdempotencyKey
from tests.accounts.credentials import bearer_client_for
from tests.case import ApiTestCase, CommittingTestCase, at_once
from tests.makers import client_for, guest_client, key_client, make_api_key, make_guest_link, make_ticket, make_user

KEYS = "/api/v1/api-keys/"
FIELDS = {"id", "name", "prefix", "scopes", "created_at", "expires_at", "last_used_at"}
NEW = {"name": "Order system", "scopes": ["tickets:read"]}


class KeysTestCase(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.owner = make_user()
        self.client = client_for(self.owner)

    def make(self, client=None, **body):
        return (client or self.client).post(KEYS, NEW | body)


class MakingTests(KeysTestCase):
    def test_answer_has_the_key_this_once(self):
        expiry = timezone.now() + timedelta(days=30)
        response = self.make(scopes=["support", "tickets:write", "support"], expires_at=expiry.isoformat())

        self.assertEqual(response.status_code, 201)
        body = response.json()
        self.assertEqual(body.keys(), FIELDS | {"key"})
        self.assertTrue(is_whole(body["key"]))
        self.assertTrue(body["key"].startswith(body["prefix"]) and len(body["prefix"]) == 12)
        self.assertEqual(body["scopes"], ["tickets:write", "support"])
        self.assertEqual((body["name"], body["last_used_at"]), ("Order system", None))
        self.assertEqual(response["Location"], f"http://testserver{KEYS}{body['id']}/")
        self.assertEqual(response["Cache-Control"], "no-store")
        key = ApiKey.objects.get()
        self.assertEqual((key.owner, key.expires_at), (self.owner, expiry))
        self.assertEqual(key_client(body["key"]).get("/api/v1/tickets/").status_code, 200)

    def test_key_is_kept_as_a_digest_alone(self):
        secret = self.make().json()["key"]
        self.assertEqual(ApiKey.objects.get().digest, digest_of(secret))
        with connection.cursor() as cursor:
            cursor.execute("SELECT * FROM integrations_apikey")
            self.assertNotIn(secret, str(cursor.fetchall()))

    def test_with_a_jwt(self):
        self.assertEqual(self.make(bearer_client_for(self.owner)).status_code, 201)

    def test_without_an_expiry(self):
        self.assertIsNone(self.make(expires_at=None).json()["expires_at"])

    def test_bad_input(self):
        past = (timezone.now() - timedelta(seconds=1)).isoformat()
        for body, *faults in (
            ({"name": ""}, ("name", "blank")),
            ({"name": "  "}, ("name", "blank")),
            ({"name": None}, ("name", "null")),
            ({"name": 7}, ("name", "invalid")),
            ({"name": "x" * 101}, ("name", "max_length")),
            ({"name": "a\nb"}, ("name", "control_character")),
            ({"name": "a\u001b[31mb"}, ("name", "control_character")),
            ({"name": "a\u0085b"}, ("name", "control_character")),
            ({"scopes": []}, ("scopes", "empty")),
            ({"scopes": None}, ("scopes", "null")),
            ({"scopes": "support"}, ("scopes", "not_a_list")),
            ({"scopes": ["support", "admin", 7]}, ("scopes.1", "invalid_choice"), ("scopes.2", "invalid_choice")),
            ({"scopes": ["support"] * 101}, ("scopes", "max_length")),
            ({"expires_at": past}, ("expires_at", "in_the_past")),
            ({"expires_at": "tomorrow"}, ("expires_at", "invalid")),
        ):
            with self.subTest(body):
                self.assert_invalid(self.make(**body), *faults)
        self.assert_invalid(self.client.post(KEYS, {}), ("name", "required"), ("scopes", "required"))
        self.assertEqual(ApiKey.objects.count(), 0)

    def test_unknown_scope_is_named_with_those_that_there_are(self):
        (error,) = self.make(scopes=["tickets:delete"]).json()["errors"]
        self.assertEqual(
            error["detail"],
            "There is no scope tickets:delete. The scopes are: tickets:read, tickets:write, images:write, "
            "webhooks:write, support.",
        )

    def test_anonymous_guest_and_key(self):
        self.assert_unauthenticated(self.make(client_for()))
        guest = guest_client(make_guest_link(make_ticket(self.owner)))
        self.assert_problem(self.make(guest), 403, "guest_not_allowed")
        key = key_client(make_api_key(self.owner, scopes=["tickets:write", "support"])[1])
        self.assert_problem(self.make(key), 403, "insufficient_scope")
        self.assertEqual(ApiKey.objects.count(), 1)

    def test_number_of_keys_is_bounded(self):
        for _ in range(MAX_KEYS):
            make_api_key(self.owner)
        make_api_key()
        self.assert_problem(self.make(), 409, "too_many_api_keys")
        self.assertEqual(self.make(client_for(make_user())).status_code, 201)
        # What does not work any more does not count.
        ApiKey.objects.filter(pk=ApiKey.objects.filter(owner=self.owner).first().pk).update(expires_at=timezone.now())
        self.assertEqual(self.make().status_code, 201)
        self.assert_problem(self.make(), 409, "too_many_api_keys")
        self.client.delete(f"{KEYS}{ApiKey.objects.filter(owner=self.owner).first().pk}/")
        self.assertEqual(self.make().status_code, 201)

    @override_settings(THROTTLE_RATES={"tickets": "1/minute"})
    def test_throttled_as_tickets(self):
        self.assertEqual(self.make().status_code, 201)
        self.assert_problem(self.make(), 429, "throttled")


class RepeatedTests(KeysTestCase):
    def again(self, **body):
        return self.client.post(KEYS, NEW | body, HTTP_IDEMPOTENCY_KEY="k-1")

    def test_repeat_makes_no_second_key_and_shows_none(self):
        first, again = self.again(), self.again()
        self.assertEqual((again.status_code, again["Idempotent-Replayed"]), (201, "true"))
        self.assertEqual(again["Cache-Control"], "no-store")
        self.assertEqual(again.json(), first.json() | {"key": None})
        self.assertEqual(ApiKey.objects.count(), 1)

    def test_kept_answer_has_no_secret(self):
        secret = self.again().json()["key"]
        kept = IdempotencyKey.objects.get()
        self.assertNotIn(secret, kept.answer + kept.location + kept.fingerprint)

    def test_same_key_for_another(self):
        self.again()
        self.assert_problem(self.again(name="Another"), 422, "idempotency_key_reused")


class ReadingTests(KeysTestCase):
    def setUp(self):
        super().setUp()
        self.key, self.secret = make_api_key(self.owner, name="First")
        self.path = f"{KEYS}{self.key.pk}/"

    def test_list_newest_first_with_the_expired_and_without_the_revoked(self):
        make_api_key()
        expired, revoked = (make_api_key(self.owner, name=name)[0] for name in ("Expired", "Revoked"))
        ApiKey.objects.filter(pk=expired.pk).update(expires_at=timezone.now())
        making.revoke(revoked)

        page = self.client.get(KEYS).json()

        self.assertEqual([key["name"] for key in page["results"]], ["Expired", "First"])
        self.assertEqual(page["results"][0].keys(), FIELDS)
        self.assertEqual(page["count"], 2)
        self.assertNotIn(self.key.digest, str(page))
        self.assertEqual(self.client.get(KEYS, {"page_size": 1}).json()["results"][0]["name"], "Expired")
        self.assert_problem(self.client.get(KEYS, {"pagesize": 1}), 400, "unknown_parameter")

    def test_one(self):
        body = self.client.get(self.path).json()
        self.assertEqual((body["name"], body["prefix"]), ("First", self.secret[:12]))
        self.assertIsNone(body["last_used_at"])
        key_client(self.secret).get("/api/v1/tickets/")
        self.assertIsNotNone(self.client.get(self.path).json()["last_used_at"])

    def test_nothing_of_it_is_changed(self):
        for method in ("put", "patch"):
            self.assert_problem(getattr(self.client, method)(self.path, NEW), 405, "method_not_allowed")

    def test_anonymous_stranger_and_staff(self):
        self.assert_unauthenticated(client_for().get(self.path))
        for client in (client_for(make_user()), client_for(make_user(is_staff=True, is_superuser=True))):
            self.assert_problem(client.get(self.path), 404, "not_found")
            self.assertEqual(client.get(KEYS).json()["results"], [])


class RevokingTests(KeysTestCase):
    def setUp(self):
        super().setUp()
        self.key, self.secret = make_api_key(self.owner)
        self.path = f"{KEYS}{self.key.pk}/"

    def test_works_at_once_and_its_row_stays(self):
        other = key_client(make_api_key(self.owner)[1])
        self.assertEqual(self.client.delete(self.path).status_code, 204)
        refused = key_client(self.secret).get("/api/v1/tickets/")
        self.assert_unauthenticated(refused, "api_key_revoked")
        self.assertEqual(other.get("/api/v1/tickets/").status_code, 200)
        self.assertEqual(ApiKey.objects.get(pk=self.key.pk).name, self.key.name)

    def test_once(self):
        self.client.delete(self.path)
        revoked_at = ApiKey.objects.get().revoked_at
        self.assert_problem(self.client.delete(self.path), 404, "not_found")
        self.assert_problem(self.client.get(self.path), 404, "not_found")
        self.assertFalse(making.revoke(self.key))
        self.assertEqual(ApiKey.objects.get().revoked_at, revoked_at)

    def test_anonymous_stranger_staff_and_key(self):
        self.assert_unauthenticated(client_for().delete(self.path))
        for user in (make_user(), make_user(is_staff=True)):
            self.assert_problem(client_for(user).delete(self.path), 404, "not_found")
        self.assert_problem(key_client(self.secret).delete(self.path), 403, "insufficient_scope")
        self.assertIsNone(ApiKey.objects.get().revoked_at)

    def test_numbers_of_none(self):
        for number in ("0", "999", "9" * 30):
            self.assert_problem(self.client.delete(f"{KEYS}{number}/"), 404, "not_found")


class AtOnceTests(CommittingTestCase):
    @skipUnlessDBFeature("has_select_for_update")
    def test_last_key_is_made_once(self):
        owner = make_user()
        for _ in range(MAX_KEYS - 1):
            make_api_key(owner)
        clients = [client_for(owner) for _ in range(2)]

        with ThreadPoolExecutor(1) as pool:
            with transaction.atomic():
                User.objects.select_for_update().get(pk=owner.pk)
                making = pool.submit(at_once, lambda client: client.post(KEYS, NEW).status_code, clients)
                self.wait_until(lambda: self.number_waiting() == 2)  # none has counted before the other began
            statuses = making.result()

        self.assertEqual(sorted(statuses), [201, 409])
        self.assertEqual(ApiKey.objects.count(), MAX_KEYS)
