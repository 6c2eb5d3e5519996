"""`Authorization: Token hopla_…`: who gets in, as whom, and what is told of it. Every route is in access_table.py."""

import json
import logging
from datetime import timedelta

from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import override_settings
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from apps.accounts.models import User
from apps.common.observability.request_id import current_requester
from apps.common.observability.secret_paths import masked
from apps.integrations.keys.form import BASE62, is_whole, new_secret
from apps.integrations.keys.making import revoke
from apps.integrations.models import ApiKey
from apps.tickets.models import IdempotencyKey, Image, Ticket, Transition
from tests.accounts.credentials import bearer_client_for
from tests.case import ApiTestCase, CommittingTestCase
from tests.logs import log_lines
from tests.makers import PASSWORD, client_for, jpeg_bytes, key_client, make_api_key, make_ticket, make_user

TICKETS = "/api/v1/tickets/"
EVERY_SCOPE = ("tickets:read", "tickets:write", "images:write", "webhooks:write", "support")


def photo(seed: int = 0):
    return {"image": SimpleUploadedFile("photo.jpg", jpeg_bytes(seed), "image/jpeg")}


class KeyTestCase(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.owner = make_user()
        self.key, self.secret = make_api_key(self.owner, scopes=EVERY_SCOPE)
        self.client = key_client(self.secret)

    def get(self, authorization: str, path: str = TICKETS):
        return client_for().get(path, HTTP_AUTHORIZATION=authorization)


class FormTests(ApiTestCase):
    def test_two_are_never_the_same_and_each_is_whole(self):
        secrets = {new_secret() for _ in range(100)}
        self.assertEqual(len(secrets), 100)
        for secret in secrets:
            self.assertRegex(secret, r"^hopla_[0-9A-Za-z]{49}$")
            self.assertTrue(is_whole(secret))

    def test_any_other_letter_is_noticed(self):
        secret = new_secret()
        for place in range(len("hopla_"), len(secret)):
            other = BASE62[(BASE62.index(secret[place]) + 1) % 62]
            self.assertFalse(is_whole(secret[:place] + other + secret[place + 1 :]), place)
        for text in (secret[:-1], secret + "x", secret[1:], "", "hopla_", secret + "\n"):
            self.assertFalse(is_whole(text))


class GettingInTests(KeyTestCase):
    def test_scheme_in_any_case(self):
        for scheme in ("Token", "TOKEN", "token"):
            self.assertEqual(self.get(f"{scheme}  {self.secret}").status_code, 200)

    def test_user_and_key_of_the_request(self):
        ticket = make_ticket(self.owner)
        make_ticket()
        self.assertEqual([found["id"] for found in self.client.get(TICKETS).json()["results"]], [ticket.pk])

    def test_key_that_was_not_copied_whole_is_told_from_an_unknown_one_without_a_query(self):
        for text in (self.secret[:-1], self.secret[:-1] + "-", f"{self.secret} x", "hopla_", "hopla_\xfc\x80"):
            with self.subTest(text), self.assertNumQueries(0):
                response = self.get(f"Token {text}")
                self.assert_unauthenticated(response, "api_key_invalid")
                self.assertIn("whole", response.json()["detail"])
        response = self.get(f"Token {new_secret()}")
        self.assert_unauthenticated(response, "api_key_invalid")
        self.assertNotIn("whole", response.json()["detail"])

    def test_with_the_scheme_of_jwts_the_remedy_is_named(self):
        response = self.get(f"Bearer {self.secret}")
        self.assert_unauthenticated(response, "api_key_invalid")
        self.assertIn("Authorization: Token", response.json()["detail"])

    def test_other_schemes_are_not_read(self):
        self.assert_unauthenticated(self.get(f"Basic {self.secret}"))
        self.assert_unauthenticated(self.get(f"Guest {self.secret}"), "guest_link_invalid")
        self.assert_unauthenticated(self.get(self.secret))

    def test_digest_and_prefix_are_no_keys(self):
        for value in (self.key.digest, self.key.prefix):
            self.assertEqual(self.get(f"Token {value}").status_code, 401)

    def test_expired_between_two_requests(self):
        ApiKey.objects.update(expires_at=timezone.now() + timedelta(minutes=1))
        self.assertEqual(self.client.get(TICKETS).status_code, 200)
        ApiKey.objects.update(expires_at=timezone.now())
        self.assert_unauthenticated(self.client.get(TICKETS), "api_key_expired")

    def test_revoked_between_two_requests(self):
        self.assertEqual(self.client.get(TICKETS).status_code, 200)
        client_for(self.owner).delete(f"/api/v1/api-keys/{self.key.pk}/")
        self.assert_unauthenticated(self.client.get(TICKETS), "api_key_revoked")
        self.assertFalse(revoke(self.key))

    def test_inactive_and_deleted_users(self):
        User.objects.filter(pk=self.owner.pk).update(is_active=False)
        self.assert_unauthenticated(self.client.get(TICKETS), "user_inactive")
        User.objects.filter(pk=self.owner.pk).update(is_active=True)
        self.assertEqual(self.client.get(TICKETS).status_code, 200)
        self.owner.delete()
        self.assert_unauthenticated(self.client.get(TICKETS), "api_key_invalid")
        self.assertEqual(ApiKey.objects.count(), 0)

    def test_it_outlives_the_sessions_and_the_password(self):
        session, jwt = client_for(self.owner), bearer_client_for(self.owner)
        self.assertEqual(client_for(self.owner).post("/api/v1/auth/logout-all/").status_code, 204)
        self.assertEqual([client.get(TICKETS).status_code for client in (session, jwt, self.client)], [401, 401, 200])
        change = {"current_password": PASSWORD, "new_password": "another-horse-battery"}
        changed = client_for(self.owner).post("/api/v1/auth/users/set_password/", change)
        self.assertEqual((changed.status_code, self.client.get(TICKETS).status_code), (204, 200))

    def test_use_is_remembered_to_the_minute(self):
        self.assertIsNone(ApiKey.objects.get().last_used_at)
        self.client.get(TICKETS)
        first = ApiKey.objects.get().last_used_at
        self.client.get(TICKETS)
        self.assertEqual(ApiKey.objects.get().last_used_at, first)
        ApiKey.objects.update(last_used_at=first - timedelta(seconds=61))
        self.client.get(TICKETS)
        self.assertGreaterEqual(ApiKey.objects.get().last_used_at, first)

    def test_use_out_of_scope_is_one_and_a_refused_key_is_not_used(self):
        self.assert_problem(self.client.get("/api/v1/auth/users/me/"), 403, "insufficient_scope")
        self.assertIsNotNone(ApiKey.objects.get().last_used_at)
        ApiKey.objects.update(last_used_at=None, expires_at=timezone.now())
        self.client.get(TICKETS)
        self.assertIsNone(ApiKey.objects.get().last_used_at)

    def test_one_query_and_none_for_those_who_have_no_key(self):
        self.client.get(f"{TICKETS}0/")
        with CaptureQueriesContext(connection) as queries:
            self.client.get(f"{TICKETS}0/")
        self.assertEqual(["integrations_apikey" in query["sql"] for query in queries], [True, False])
        user = client_for(self.owner)
        user.get(f"{TICKETS}0/")
        for client in (user, bearer_client_for(self.owner)):
            with CaptureQueriesContext(connection) as queries:
                client.get(f"{TICKETS}0/")
            self.assertEqual([query for query in queries if "integrations_" in query["sql"]], [])


class StaffTests(ApiTestCase):
    """What somebody may do as staff is left to people who log in."""

    def setUp(self):
        super().setUp()
        self.staff = make_user(is_staff=True, is_superuser=True)
        self.client = key_client(make_api_key(self.staff, scopes=EVERY_SCOPE)[1])
        self.foreign = make_ticket()

    def test_key_of_staff_reaches_what_is_theirs_alone(self):
        self.assertEqual(client_for(self.staff).get(f"{TICKETS}{self.foreign.pk}/").status_code, 200)
        for path in ("", "status/", "images/", "manifest/"):
            self.assert_problem(self.client.get(f"{TICKETS}{self.foreign.pk}/{path}"), 404, "not_found")
        self.assertEqual(self.client.get(TICKETS, {"owner": self.foreign.owner_id}).json()["results"], [])
        mine = self.client.post(TICKETS, {"num_images": 1}).json()["id"]
        self.assertEqual(self.client.get(f"{TICKETS}{mine}/").status_code, 200)
        support = self.client.post("/api/v1/support/tickets/", {"title": "Help", "body_text": "Please"}).json()["id"]
        change = self.client.patch(f"/api/v1/support/tickets/{support}/", {"status": "CL"})
        self.assert_problem(change, 403, "permission_denied")

    def test_staff_stay_staff(self):
        self.client.post(TICKETS, {"num_images": 1})
        self.staff.refresh_from_db()
        self.assertTrue(self.staff.is_staff and self.staff.is_superuser)


class ScopeTests(KeyTestCase):
    def client_of(self, *scopes: str):
        return key_client(make_api_key(self.owner, scopes=scopes)[1])

    def test_refusal_names_the_scope_that_is_missing(self):
        response = self.client_of("tickets:read").post(TICKETS, {"num_images": 1})
        problem = self.assert_problem(response, 403, "insufficient_scope")
        self.assertIn("tickets:write", problem["detail"])
        self.assertEqual(response["WWW-Authenticate"], 'Token error="insufficient_scope", scope="tickets:write"')
        self.assertEqual(Ticket.objects.count(), 0)

    def test_several_that_would_do_are_named(self):
        response = self.client_of("support").get(TICKETS)
        problem = self.assert_problem(response, 403, "insufficient_scope")
        self.assertIn("tickets:read / tickets:write", problem["detail"])
        self.assertEqual(response["WWW-Authenticate"], 'Token error="insufficient_scope", scope="tickets:read"')

    def test_what_no_key_may(self):
        for method, path in (
            ("get", "auth/users/me/"),
            ("patch", "auth/users/me/"),
            ("post", "auth/logout/"),
            ("post", "auth/logout-all/"),
            ("post", "auth/users/"),
            ("get", "api-keys/"),
            ("post", "api-keys/"),
            ("delete", f"api-keys/{self.key.pk}/"),
        ):
            with self.subTest(path):
                response = getattr(self.client, method)(f"/api/v1/{path}", {"name": "x", "scopes": ["support"]})
                problem = self.assert_problem(response, 403, "insufficient_scope")
                self.assertIn("No API key", problem["detail"])
                self.assertEqual(response["WWW-Authenticate"], 'Token error="insufficient_scope"')
        self.assertEqual(ApiKey.objects.filter(revoked_at=None).count(), 1)

    def test_method_that_a_ticket_does_not_have(self):
        ticket = make_ticket(self.owner)
        for client in (self.client, self.client_of("images:write")):
            self.assert_problem(client.delete(f"{TICKETS}{ticket.pk}/"), 405, "method_not_allowed")
        refused = self.client_of("support").delete(f"{TICKETS}{ticket.pk}/")
        self.assert_problem(refused, 403, "insufficient_scope")

    def test_head_and_options_go_with_the_rest(self):
        path = f"{TICKETS}{make_ticket(self.owner).pk}/status/"
        self.assertEqual(self.client_of("images:write").head(path).status_code, 200)
        self.assertEqual(self.client_of("images:write").options(path).status_code, 200)
        self.assertEqual(self.client_of("support").head(path).status_code, 403)
        self.assertEqual(self.client_of("support").options(path).status_code, 403)
        self.assertEqual(self.client_of("images:write").options(TICKETS).status_code, 403)

    def test_sender_of_photos_sees_the_ticket_and_lists_none(self):
        ticket, sender = make_ticket(self.owner), self.client_of("images:write")
        sent = sender.post(f"{TICKETS}{ticket.pk}/images/", photo(), format="multipart")
        self.assertEqual(sent.status_code, 202)
        for path in ("", "status/", "images/", f"images/{sent.json()['id']}/"):
            self.assertEqual(sender.get(f"{TICKETS}{ticket.pk}/{path}").status_code, 200, path)
        for path in (TICKETS, f"{TICKETS}{ticket.pk}/archive/", f"{TICKETS}{ticket.pk}/guest-links/"):
            self.assert_problem(sender.get(path), 403, "insufficient_scope")


class AsTheUserTests(KeyTestCase):
    def setUp(self):
        super().setUp()
        self.ticket = make_ticket(self.owner, num_images=3)
        self.path = f"{TICKETS}{self.ticket.pk}/"

    def send(self, seed: int = 0, client=None, **headers):
        return (client or self.client).post(f"{self.path}images/", photo(seed), format="multipart", **headers)

    def test_next_request_of_the_thread_is_nobodys(self):
        self.send()
        self.assertEqual(current_requester(), "")
        other = make_ticket(self.owner)
        client_for(self.owner).post(f"{TICKETS}{other.pk}/images/", photo(), format="multipart")
        self.assertEqual(Transition.objects.get(ticket_id=other.pk).actor, f"user {self.owner.pk}")

    def test_photo_is_the_users(self):
        self.send()
        self.assertEqual((Image.objects.get().ticket, Image.objects.get().guest_link_id), (self.ticket, None))

    def test_idempotency_keys_are_the_users(self):
        self.send(HTTP_IDEMPOTENCY_KEY="photo-1")
        again = self.send(client=client_for(self.owner), HTTP_IDEMPOTENCY_KEY="photo-1")
        self.assertEqual((again.status_code, again["Idempotent-Replayed"]), (202, "true"))
        self.assertEqual(IdempotencyKey.objects.get().user, self.owner)

    @override_settings(THROTTLE_RATES={"uploads": "1/minute"})
    def test_throttled_as_the_user(self):
        self.assertEqual(self.send().status_code, 202)
        self.assert_problem(self.send(1, client=client_for(self.owner)), 429, "throttled")

    @override_settings(UPLOAD_BYTES_PER_DAY=10_000_000)
    def test_bytes_count_in_the_users_quota(self):
        self.send()
        with override_settings(UPLOAD_BYTES_PER_DAY=len(jpeg_bytes()) + 10):
            self.assert_problem(self.send(1, client=client_for(self.owner)), 429, "upload_quota_exceeded")


class PollTests(KeyTestCase):
    """A poll that finds nothing new ends as early as one with a token, and is answered as the views would."""

    def setUp(self):
        super().setUp()
        self.ticket = make_ticket(self.owner, num_images=3)
        self.path = f"{TICKETS}{self.ticket.pk}/status/"
        self.etag = self.client.get(self.path)["ETag"]

    def poll(self, client=None, path=None):
        return (client or self.client).get(path or self.path, HTTP_IF_NONE_MATCH=self.etag)

    def test_known_state_takes_one_query(self):
        for path in (self.path, self.path.removesuffix("status/")):
            with self.assertNumQueries(1):
                response = self.poll(path=path)
            self.assertEqual((response.status_code, response["ETag"]), (304, self.etag))

    def test_changed_ticket_is_shown(self):
        self.ticket.touch()
        self.assertEqual(self.poll().status_code, 200)

    def test_key_that_does_not_work_any_more(self):
        for change, code in (
            ({"expires_at": timezone.now()}, "api_key_expired"),
            ({"revoked_at": timezone.now()}, "api_key_revoked"),
        ):
            ApiKey.objects.update(**change)
            self.assert_unauthenticated(self.poll(), code)
            ApiKey.objects.update(expires_at=None, revoked_at=None)
        self.assertEqual(self.poll().status_code, 304)
        User.objects.filter(pk=self.owner.pk).update(is_active=False)
        self.assert_unauthenticated(self.poll(), "user_inactive")

    def test_scopes_and_other_owners(self):
        for owner, scopes, status in (
            (self.owner, ["images:write"], 304),
            (self.owner, ["support", "webhooks:write"], 403),
            (make_user(), ["tickets:read"], 404),
            (make_user(is_staff=True), ["tickets:read"], 404),
        ):
            client = key_client(make_api_key(owner, scopes=scopes)[1])
            for _use in range(2):  # the first is written down, and takes the long way
                self.assertEqual(self.poll(client).status_code, status, scopes)

    def test_use_is_remembered(self):
        before = timezone.now() - timedelta(minutes=5)
        ApiKey.objects.update(last_used_at=before)
        self.assertEqual(self.poll().status_code, 304)
        self.assertGreater(ApiKey.objects.get().last_used_at, before)


class ToldTests(CommittingTestCase):
    def setUp(self):
        super().setUp()
        self.owner = make_user()
        self.key, self.secret = make_api_key(self.owner, scopes=["images:write"])
        self.by = f"user {self.owner.pk}, key {self.key.pk}"

    def test_history_and_log_say_which_key(self):
        path = f"{TICKETS}{make_ticket(self.owner).pk}/images/"
        with log_lines() as lines:
            self.assertEqual(key_client(self.secret).post(path, photo(), format="multipart").status_code, 202)
            self.assertEqual(key_client(self.secret).post(TICKETS, {"num_images": 1}).status_code, 403)
            client_for(self.owner).post(path, photo(1), format="multipart")
        self.assertEqual(Transition.objects.get().actor, self.by)
        told = {line["message"].partition(",")[0].rpartition(": ")[2]: line.get("by") for line in lines}
        self.assertEqual([line.get("by") for line in lines if "queued" in line["message"]], [self.by, None], told)
        self.assertEqual([line["by"] for line in lines if line.get("code") == "insufficient_scope"], [self.by])

    def test_key_is_in_no_line_wherever_it_was_sent(self):
        client = client_for()
        with log_lines() as lines:
            client.get(f"{TICKETS}?key={self.secret}", HTTP_AUTHORIZATION=f"Token {self.secret}")
            client.get(f"{TICKETS}?key={self.secret}", HTTP_AUTHORIZATION=f"Bearer {self.secret}")
            client.get(f"/api/v1/{self.secret}/", HTTP_AUTHORIZATION=f"Token {self.secret[:-1]}")
            client.get(f"/{self.secret}/", HTTP_REFERER=f"http://localhost/?{self.secret}")
            logger = logging.getLogger("hopla.test.keys")
            logger.error("Internal Server Error: /?key=%s", self.secret)
            try:
                raise ValueError(f"no number: {self.secret}")
            except ValueError:
                logger.exception("it broke")
        self.assertIn("apps.common.http.timing", [line["logger"] for line in lines])
        [_, exception] = [line for line in lines if line["logger"] == "hopla.test.keys"]
        self.assertNotIn(self.secret[10:40], json.dumps(lines))
        self.assertIn("no number: hopla_…", exception["exc_info"])

    def test_names_of_metrics_are_no_keys(self):
        name = "hopla_http_request_seconds_of_all_who_ever_asked_for_anything"
        self.assertEqual(masked(name), name)


class SchemaTests(ApiTestCase):
    def test_operations_name_their_scopes(self):
        paths = self.client.get("/swagger.json").json()["paths"]
        told = paths["/tickets/"]["post"]
        self.assertEqual(told["x-scopes"], ["tickets:write"])
        self.assertIn("scope `tickets:write`", told["description"])
        self.assertIn("`insufficient_scope`", told["responses"]["403"]["description"])
        self.assertIn("WWW-Authenticate", told["responses"]["403"]["headers"])
        self.assertEqual(paths["/api-keys/"]["post"]["x-scopes"], [])
        self.assertIn("Not with an API key.", paths["/api-keys/"]["post"]["description"])
        self.assertNotIn("x-scopes", paths["/auth/login/"]["post"])

    def test_routes_of_keys(self):
        self.assertEqual(reverse("api-keys"), "/api/v1/api-keys/")
