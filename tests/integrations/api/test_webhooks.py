"""Webhook endpoints through the API: made, listed, read, changed, deleted, pinged and recovered by their owner."""

import logging
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from unittest import skipUnless

from django.db import connection, transaction
from django.test import override_settings
from django.utils import timezone

from apps.integrations.endpoints import MOST_ENDPOINTS
from apps.integrations.models import Delivery, Endpoint, Event
from apps.integrations.webhooks import replays, signing
from apps.tickets.models import IdempotencyKey, Ticket
from tests.case import ApiTestCase, CommittingTestCase, at_once
from tests.integrations.webhooks.makers import make_delivery, make_endpoint, make_event
from tests.makers import client_for, guest_client, make_guest_link, make_ticket, make_user

PATH = "/api/v1/webhooks/"
URL = "http://127.0.0.1:8021/hooks"  # loopback is allowed in development and in tests
FIELDS = {
    *("id", "url", "events", "description", "enabled", "disabled_reason", "failing_since"),
    *("last_success_at", "created_at"),
}


class WebhookTestCase(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.owner = make_user()
        self.client = client_for(self.owner)

    def path_of(self, endpoint: Endpoint, rest: str = "") -> str:
        return f"{PATH}{endpoint.pk}/{rest}"

    def assert_for_its_owner_alone(self, call) -> None:
        """`call(client)` makes the request."""
        link = make_guest_link(make_ticket(self.owner))
        self.assert_unauthenticated(call(client_for()))
        self.assert_problem(call(guest_client(link)), 403, "guest_not_allowed")
        for stranger in (make_user(), make_user(is_staff=True), make_user(is_staff=True, is_superuser=True)):
            self.assert_problem(call(client_for(stranger)), 404, "not_found")


class MakingTests(WebhookTestCase):
    def make(self, body=None, **headers):
        return self.client.post(PATH, {"url": URL} | (body or {}), **headers)

    def test_answer_has_the_secret_and_no_other_has(self):
        with self.assertLogs(level=logging.DEBUG) as logs:
            logging.getLogger().debug("so that there is one")
            response = self.make({"events": ["ticket.completed", "ping", "ticket.completed"], "description": "ERP"})

        self.assertEqual(response.status_code, 201, response.content)
        body = response.json()
        self.assertEqual(body.keys(), FIELDS | {"secret"})
        endpoint = Endpoint.objects.get()
        self.assertEqual([body["secret"]], signing.secrets_of(endpoint))
        self.assertEqual((body["id"], body["url"], body["description"]), (endpoint.pk, URL, "ERP"))
        self.assertEqual(body["events"], ["ticket.completed", "ping"])
        self.assertEqual((body["enabled"], body["disabled_reason"], body["last_success_at"]), (True, None, None))
        self.assertEqual(response["Location"], f"http://testserver{self.path_of(endpoint)}")
        self.assertEqual(response["Cache-Control"], "no-store")
        self.assertEqual(endpoint.owner, self.owner)
        key = body["secret"].removeprefix("whsec_")
        self.assertNotIn(key, "".join(logs.output))
        for path in (PATH, self.path_of(endpoint)):
            self.assertNotIn("whsec_", self.client.get(path).content.decode())
        with connection.cursor() as cursor:
            cursor.execute("SELECT * FROM integrations_endpoint")
            self.assertNotIn(key, str(cursor.fetchall()))

    def test_without_more_it_gets_all_events(self):
        for left_out in ({}, {"events": None, "description": None}):
            body = self.make(left_out).json()
            self.assertEqual((body["events"], body["description"]), ([], ""))

    def test_bad_input(self):
        for body, fault in (
            ({"url": None}, ("url", "null")),
            ({"url": 7}, ("url", "invalid")),
            ({"url": ""}, ("url", "blank")),
            ({"url": "https://x.example/" + "x" * 2000}, ("url", "max_length")),
            ({"events": "ticket.completed"}, ("events", "not_a_list")),
            ({"events": ["ticket.completed", "ticket.done"]}, ("events.1", "invalid_choice")),
            ({"events": [7]}, ("events.0", "invalid_choice")),
            ({"events": ["ping"] * 51}, ("events", "max_length")),
            ({"description": "x" * 201}, ("description", "max_length")),
        ):
            with self.subTest(body):
                self.assert_invalid(self.make(body), fault)
        self.assert_invalid(self.client.post(PATH, {}), ("url", "required"))
        self.assertEqual(Endpoint.objects.count(), 0)

    def test_unknown_event_is_told_which_are_known(self):
        (error,) = self.make({"events": ["ticket.done"]}).json()["errors"]
        self.assertIn("“ticket.done”", error["detail"])
        self.assertIn("ticket.created, ticket.completed", error["detail"])

    def test_refused_urls(self):
        for url in (
            "ftp://example.com/",
            "https://user:password@example.com/",
            "https://127.0.0.1:22/",
            "http://192.168.1.1/",
            "https://[::ffff:10.0.0.1]/",
            "https://169.254.169.254/latest/meta-data/",
            "https://8.8.8.8/#fragment",
            "//example.com/",
        ):
            with self.subTest(url):
                self.assert_problem(self.make({"url": url}), 400, "webhook_url_refused")
        self.assertEqual(Endpoint.objects.count(), 0)

    def test_no_more_than_a_user_may_have(self):
        for _ in range(MOST_ENDPOINTS):
            make_endpoint(self.owner)
        self.assert_problem(self.make(), 409, "too_many_webhooks")
        self.assertEqual(client_for(make_user()).post(PATH, {"url": URL}).status_code, 201)

    def test_anonymous_and_guest(self):
        self.assert_unauthenticated(client_for().post(PATH, {"url": URL}))
        guest = guest_client(make_guest_link(make_ticket(self.owner)))
        self.assert_problem(guest.post(PATH, {"url": URL}), 403, "guest_not_allowed")
        self.assert_problem(guest.get(PATH), 403, "guest_not_allowed")

    @override_settings(THROTTLE_RATES={"webhooks": "1/minute"})
    def test_throttled_with_all_that_makes_hopla_post(self):
        self.assertEqual(self.make().status_code, 201)
        self.assert_problem(self.make(), 429, "throttled")
        delivery = make_delivery(make_endpoint(self.owner), status="delivered")
        path = self.path_of(delivery.endpoint)
        for rest in ("ping/", "recover/", "rotate-secret/", f"deliveries/{delivery.pk}/replay/"):
            self.assert_problem(self.client.post(path + rest), 429, "throttled")


@skipUnless(connection.vendor == "postgresql", "needs PostgreSQL")
class RacingTests(CommittingTestCase):
    def test_deleted_while_an_event_is_written_for_it(self):
        endpoint = make_endpoint()
        client = client_for(endpoint.owner)

        with ThreadPoolExecutor(1) as pool:
            with transaction.atomic():
                self.assertEqual(
                    client_for(endpoint.owner).post("/api/v1/tickets/", {"num_images": 1}).status_code, 201
                )
                make_event(endpoint.owner)
                deleting = pool.submit(self.status_of, client, "delete", f"{PATH}{endpoint.pk}/")
                self.wait_until(lambda: self.number_waiting() or deleting.done())
            self.assertEqual(deleting.result(), 204)

        self.assertEqual((Endpoint.objects.count(), Delivery.objects.count(), Ticket.objects.count()), (0, 0, 1))

    def test_used_while_it_is_deleted(self):
        endpoint = make_endpoint()
        path = f"{PATH}{endpoint.pk}/"
        delivery = make_delivery(endpoint, status="delivered")
        expected = {
            ("post", "/api/v1/tickets/", '{"num_images": 1}'): 201,
            ("post", f"{path}ping/", ""): 404,
            ("post", f"{path}rotate-secret/", ""): 404,
            ("post", f"{path}recover/", '{"since": "2026-01-01"}'): 404,
            ("patch", path, '{"description": "x"}'): 404,
            ("post", f"{path}deliveries/{delivery.pk}/replay/", ""): 409,
        }
        clients = [client_for(endpoint.owner) for _ in expected]

        with ThreadPoolExecutor(len(expected)) as pool:
            with transaction.atomic():
                Endpoint.objects.select_for_update().get(pk=endpoint.pk)
                endpoint.delete()
                calls = [
                    pool.submit(self.status_of, client, *call) for client, call in zip(clients, expected, strict=True)
                ]
                self.wait_until(lambda: self.number_waiting() + sum(call.done() for call in calls) == len(calls))
            statuses = dict(zip(expected, [call.result() for call in calls], strict=True))

        self.assertEqual(statuses, expected)

    def test_changed_while_an_event_waits_for_it(self):
        for change, deliveries in (({"enabled": False}, 0), ({"events": ["ticket.expired"]}, 0), ({"failures": 1}, 1)):
            endpoint = make_endpoint()
            client = client_for(endpoint.owner)
            with self.subTest(change), ThreadPoolExecutor(1) as pool:
                with transaction.atomic():
                    Endpoint.objects.select_for_update().get(pk=endpoint.pk)
                    call = ("post", "/api/v1/tickets/", '{"num_images": 1}')
                    opening = pool.submit(self.status_of, client, *call)
                    self.wait_until(lambda opening=opening: self.number_waiting() or opening.done())
                    Endpoint.objects.filter(pk=endpoint.pk).update(**change)
                self.assertEqual(opening.result(), 201)
                self.assertEqual(endpoint.deliveries.count(), deliveries)

    @staticmethod
    def status_of(client, method: str, path: str, body: str = "") -> int:
        try:
            return client.generic(method.upper(), path, body, content_type="application/json").status_code
        finally:
            connection.close()

    def test_two_at_once_do_not_pass_the_bound(self):
        owner = make_user()
        for _ in range(MOST_ENDPOINTS - 1):
            make_endpoint(owner)
        clients = [client_for(owner) for _ in range(4)]

        statuses = at_once(lambda client: client.post(PATH, {"url": URL}).status_code, clients)

        self.assertEqual(sorted(statuses), [201, 409, 409, 409])
        self.assertEqual(Endpoint.objects.count(), MOST_ENDPOINTS)


class RepeatedTests(WebhookTestCase):
    def make(self, body=None):
        return self.client.post(PATH, {"url": URL} | (body or {}), HTTP_IDEMPOTENCY_KEY="k-1")

    def test_same_key_gives_the_same_webhook_and_keeps_no_secret(self):
        first, again = self.make(), self.make()

        self.assertEqual((first.status_code, again.status_code), (201, 201))
        self.assertEqual(again["Idempotent-Replayed"], "true")
        self.assertEqual(again["Cache-Control"], "no-store")
        self.assertEqual(again.json(), first.json())
        self.assertEqual(Endpoint.objects.count(), 1)
        kept = IdempotencyKey.objects.get()
        self.assertNotIn("whsec_", kept.answer)

    def test_same_key_for_another_webhook(self):
        self.make()
        self.assert_problem(self.make({"description": "x"}), 422, "idempotency_key_reused")

    def test_repeat_for_one_that_is_deleted(self):
        self.make()
        Endpoint.objects.get().delete()
        self.assert_problem(self.make(), 404, "not_found")


class ReadingTests(WebhookTestCase):
    def test_list_is_of_ones_own_and_newest_first(self):
        old, new = make_endpoint(self.owner), make_endpoint(self.owner)
        make_endpoint(make_user())

        page = self.client.get(PATH).json()

        self.assertEqual([webhook["id"] for webhook in page["results"]], [new.pk, old.pk])
        self.assertEqual(page["results"][0].keys(), FIELDS)
        staff = client_for(make_user(is_staff=True, is_superuser=True))
        self.assertEqual(staff.get(PATH).json()["results"], [])
        self.assert_unauthenticated(client_for().get(PATH))

    def test_one(self):
        endpoint = make_endpoint(self.owner)
        replays.disable(endpoint, "failing")
        body = self.client.get(self.path_of(endpoint)).json()
        self.assertEqual(body.keys(), FIELDS)
        self.assertEqual((body["enabled"], body["disabled_reason"]), (False, "failing"))
        self.assert_for_its_owner_alone(lambda client: client.get(self.path_of(endpoint)))


class ChangingTests(WebhookTestCase):
    def setUp(self):
        super().setUp()
        self.endpoint = make_endpoint(self.owner, events=["ping"], description="old")

    def change(self, **fields):
        response = self.client.patch(self.path_of(self.endpoint), fields)
        self.endpoint.refresh_from_db()
        return response

    def test_what_is_named_changes_and_the_rest_stays(self):
        body = self.change(events=[]).json()
        self.assertEqual((body["events"], body["description"]), ([], "old"))
        body = self.change(url=URL + "2", description="", events=None, enabled=None).json()
        self.assertEqual((body["url"], body["description"], body["enabled"]), (URL + "2", "", True))
        self.assertEqual(self.change().status_code, 200)
        self.assertEqual((self.endpoint.url, self.endpoint.events), (URL + "2", []))

    def test_disabled_by_its_owner_and_enabled_again(self):
        body = self.change(enabled=False).json()
        self.assertEqual((body["enabled"], body["disabled_reason"]), (False, "owner"))
        self.assertIsNotNone(self.endpoint.disabled_at)

        body = self.change(enabled=True).json()
        self.assertEqual((body["enabled"], body["disabled_reason"]), (True, None))
        self.assertIsNone(self.endpoint.disabled_at)

    def test_enabled_after_failures_it_begins_anew(self):
        replays.disable(self.endpoint, "failing")
        Endpoint.objects.update(failing_since=timezone.now(), not_before=timezone.now(), failures=9)

        self.assertEqual(self.change(enabled=True).json()["failing_since"], None)

        self.assertEqual((self.endpoint.disabled_reason, self.endpoint.failures), ("", 0))
        self.assertIsNone(self.endpoint.not_before)

    def test_reason_stays_that_of_who_disabled_it_first(self):
        replays.disable(self.endpoint, "gone")
        self.assertEqual(self.change(enabled=False).json()["disabled_reason"], "gone")

    def test_new_url_has_not_failed(self):
        Endpoint.objects.update(failing_since=timezone.now(), failures=9)
        self.change(url=self.endpoint.url)
        self.assertEqual(self.endpoint.failures, 9)
        self.change(url=URL + "2")
        self.assertEqual((self.endpoint.failing_since, self.endpoint.failures), (None, 0))

    def test_bad_input(self):
        for fields, fault in (
            ({"enabled": "yes"}, ("enabled", "invalid")),
            ({"enabled": 1}, ("enabled", "invalid")),
            ({"events": ["x"]}, ("events.0", "invalid_choice")),
            ({"url": ""}, ("url", "blank")),
            ({"secret": "whsec_x"}, ("secret", "not_changeable")),
            ({"id": 1}, ("id", "not_changeable")),
            ({"disabled_reason": None}, ("disabled_reason", "not_changeable")),
            ({"created_at": "2026-11-21", "enabled": False}, ("created_at", "not_changeable")),
        ):
            with self.subTest(fields):
                self.assert_invalid(self.change(**fields), fault)
        self.assert_problem(self.change(url="http://10.0.0.1/", enabled=False), 400, "webhook_url_refused")
        self.assertTrue(self.endpoint.enabled)

    def test_for_its_owner_alone(self):
        self.assert_for_its_owner_alone(lambda client: client.patch(self.path_of(self.endpoint), {"enabled": False}))
        self.endpoint.refresh_from_db()
        self.assertTrue(self.endpoint.enabled)


class DeletingTests(WebhookTestCase):
    def test_gone_with_its_deliveries(self):
        delivery = make_delivery(make_endpoint(self.owner))
        path = self.path_of(delivery.endpoint)
        self.assert_for_its_owner_alone(lambda client: client.delete(path))
        self.assertEqual(self.client.delete(path).status_code, 204)
        self.assert_problem(self.client.delete(path), 404, "not_found")
        self.assertEqual((Endpoint.objects.count(), Delivery.objects.count()), (0, 0))
        self.assertTrue(Event.objects.filter(pk=delivery.event_id).exists())


class RotatingTests(WebhookTestCase):
    def setUp(self):
        super().setUp()
        self.endpoint = make_endpoint(self.owner)
        (self.first,) = signing.secrets_of(self.endpoint)
        self.path = self.path_of(self.endpoint, "rotate-secret/")

    def test_old_one_signs_beside_it_for_a_day(self):
        before = timezone.now()

        response = self.client.post(self.path)

        self.assertEqual(response.status_code, 200)
        self.assertEqual(response["Cache-Control"], "no-store")
        secret = response.json()["secret"]
        self.endpoint.refresh_from_db()
        self.assertEqual(signing.secrets_of(self.endpoint), [secret, self.first])
        until = self.endpoint.old_secret_until
        self.assertEqual(response.json()["old_secret_until"], until.isoformat().replace("+00:00", "Z"))
        self.assertGreaterEqual(until, before + timedelta(hours=24))
        self.assertNotIn("whsec_", self.client.get(self.path_of(self.endpoint)).content.decode())

    def test_second_rotation_ends_the_first_secret(self):
        second, third = (self.client.post(self.path).json()["secret"] for _ in range(2))
        self.endpoint.refresh_from_db()
        self.assertEqual(signing.secrets_of(self.endpoint), [third, second])

    def test_for_its_owner_alone(self):
        self.assert_for_its_owner_alone(lambda client: client.post(self.path))
        self.endpoint.refresh_from_db()
        self.assertEqual(signing.secrets_of(self.endpoint), [self.first])


class PingingTests(WebhookTestCase):
    def setUp(self):
        super().setUp()
        self.endpoint = make_endpoint(self.owner, events=["ticket.completed"])
        self.path = self.path_of(self.endpoint, "ping/")

    def test_answer_is_the_delivery(self):
        make_endpoint(self.owner)  # which gets none

        response = self.client.post(self.path)

        self.assertEqual(response.status_code, 202, response.content)
        body = response.json()
        delivery = Delivery.objects.get()
        self.assertEqual((body["id"], body["event_id"]), (delivery.pk, str(delivery.event_id)))
        self.assertEqual((body["type"], body["status"], body["attempts"]), ("ping", "pending", 0))
        self.assertEqual(delivery.endpoint, self.endpoint)

    def test_disabled(self):
        replays.disable(self.endpoint, "owner")
        self.assert_problem(self.client.post(self.path), 409, "webhook_disabled")
        self.assertEqual(Event.objects.count(), 0)

    def test_for_its_owner_alone(self):
        self.assert_for_its_owner_alone(lambda client: client.post(self.path))
        self.assertEqual(Delivery.objects.count(), 0)


class RecoveringTests(WebhookTestCase):
    def setUp(self):
        super().setUp()
        self.endpoint = make_endpoint(self.owner)
        self.path = self.path_of(self.endpoint, "recover/")
        self.hour_ago = (timezone.now() - timedelta(hours=1)).isoformat()

    def test_what_failed_or_was_missed(self):
        make_delivery(self.endpoint, status="failed", next_try_at=None)
        make_delivery(self.endpoint, status="delivered", next_try_at=None)
        replays.disable(self.endpoint, "owner")
        make_event(self.owner)
        self.assert_problem(self.client.post(self.path, {"since": self.hour_ago}), 409, "webhook_disabled")
        replays.enable(self.endpoint)

        response = self.client.post(self.path, {"since": self.hour_ago})

        self.assertEqual((response.status_code, response.json()), (202, {"count": 2}))
        self.assertEqual(Delivery.objects.filter(status="pending").count(), 2)

    def test_long_ago_means_all_that_is_kept(self):
        make_delivery(self.endpoint, status="failed", next_try_at=None)
        for moment in ("0001-01-01", "1970-01-01"):
            with self.subTest(moment):
                Delivery.objects.update(status="failed", next_try_at=None)
                self.assertEqual(self.client.post(self.path, {"since": moment}).json(), {"count": 1})

    def test_bad_input(self):
        later = (timezone.now() + timedelta(minutes=5)).isoformat()
        for body, code in (
            ({}, "required"),
            ({"since": None}, "null"),
            ({"since": "yesterday"}, "invalid"),
            ({"since": 7}, "invalid"),
            ({"since": later}, "in_the_future"),
        ):
            with self.subTest(body):
                self.assert_invalid(self.client.post(self.path, body), ("since", code))

    def test_for_its_owner_alone(self):
        self.assert_for_its_owner_alone(lambda client: client.post(self.path, {"since": self.hour_ago}))
