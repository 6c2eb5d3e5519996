"""Webhook endpoints, deliveries and events in the admin."""

from datetime import timedelta
from unittest import skipUnless

from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.integrations.models import Delivery, Endpoint, Event
from apps.integrations.webhooks import replays, signing
from tests.case import ApiTestCase
from tests.integrations.webhooks.makers import make_delivery, make_endpoint, make_event
from tests.makers import make_ticket, make_user

ENDPOINTS = "/admin/integrations/endpoint/"
DELIVERIES = "/admin/integrations/delivery/"
EVENTS = "/admin/integrations/event/"


class AdminTestCase(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.owner = make_user("ana")
        self.operator = make_user(is_staff=True)
        self.admin = self.log_in(self.operator, "operators")
        self.agent = self.log_in(make_user(is_staff=True), "support agents")

    @staticmethod
    def log_in(user, group: str) -> Client:
        user.groups.add(Group.objects.get(name=group))
        client = Client()
        client.force_login(user)
        return client

    def act(self, path: str, action: str, *rows, by: Client | None = None):
        form = {"action": action, "_selected_action": [row.pk for row in rows]}
        return (by or self.admin).post(path, form, follow=True)

    def history(self) -> list[str]:
        return [entry.get_change_message() for entry in LogEntry.objects.order_by("pk")]

    def shown(self, path: str, **query) -> int:
        """How many rows the list shows."""
        return len(self.admin.get(path, query).context["cl"].result_list)

    def assert_few_queries(self, path: str, make_row) -> None:
        """The list takes as many queries for many rows as for one."""
        make_row()
        self.admin.get(path)
        with CaptureQueriesContext(connection) as one:
            self.admin.get(path)
        for _ in range(4):
            make_row()
        with CaptureQueriesContext(connection) as many:
            self.admin.get(path)
        self.assertEqual(len(many), len(one))
        self.assertLess(len(many), 12)


class EndpointListTests(AdminTestCase):
    def test_shows_those_of_all_users_with_their_state(self):
        make_endpoint(self.owner, url="https://ana.example/in")
        failing = make_endpoint(url="https://failing.example/in", failing_since=timezone.now())
        gone = make_endpoint(url="https://gone.example/in")
        replays.disable(gone, "gone")

        page = self.admin.get(ENDPOINTS)

        for url in ("https://ana.example/in", failing.url, gone.url):
            self.assertContains(page, url)
        for state in ("enabled", "failing", "disabled", "answered 410"):
            self.assertContains(page, state)

    def test_search_and_filters(self):
        make_endpoint(self.owner, url="https://one.example/in")
        replays.disable(make_endpoint(url="https://two.example/in"), "owner")
        for query, number in (
            ({"q": "one.example"}, 1),
            ({"q": "ana"}, 1),
            ({"q": "ANA@example.com"}, 1),
            ({"q": "nobody"}, 0),
            ({"owner_is": "ana"}, 1),
            ({"enabled__exact": "0"}, 1),
            ({"disabled_reason__exact": "gone"}, 0),
            ({}, 2),
        ):
            with self.subTest(query):
                self.assertEqual(self.shown(ENDPOINTS, **query), number)

    def test_takes_few_queries(self):
        self.assert_few_queries(ENDPOINTS, make_endpoint)

    def test_no_page_shows_a_secret(self):
        endpoint = make_endpoint(self.owner)
        signing.rotate(endpoint)
        for path in (ENDPOINTS, f"{ENDPOINTS}{endpoint.pk}/change/"):
            page = self.admin.get(path)
            for secret in (*signing.secrets_of(endpoint), endpoint.secret_encrypted, endpoint.old_secret_encrypted):
                self.assertNotContains(page, secret)


class EndpointActionTests(AdminTestCase):
    def setUp(self):
        super().setUp()
        self.endpoint = make_endpoint(self.owner)
        self.disabled = make_endpoint(self.owner)
        replays.disable(self.disabled, "failing")
        self.both = (self.endpoint, self.disabled)

    def test_disable_and_enable(self):
        self.assertContains(self.act(ENDPOINTS, "disable", *self.both), "1 webhook was disabled.")
        self.disabled.refresh_from_db()
        self.assertEqual((self.disabled.enabled, self.disabled.disabled_reason), (False, "failing"))

        self.assertContains(self.act(ENDPOINTS, "enable", *self.both), "2 webhooks were enabled.")

        self.assertEqual(Endpoint.objects.filter(enabled=True, disabled_reason="").count(), 2)
        self.assertEqual(self.history(), ["Disabled.", "Enabled.", "Enabled."])

    def test_ping(self):
        page = self.act(ENDPOINTS, "ping", *self.both)
        self.assertContains(page, "1 ping is on its way.")
        self.assertContains(page, "1 webhook is disabled: enable it first.")
        self.assertEqual(Delivery.objects.get().endpoint, self.endpoint)
        self.assertEqual(self.history(), ["Pinged."])

    def test_recover(self):
        make_delivery(self.endpoint, status="failed", next_try_at=None)
        older = make_delivery(self.endpoint, status="failed", next_try_at=None)
        Event.objects.filter(pk=older.event_id).update(at=timezone.now() - timedelta(days=2))

        self.assertContains(self.act(ENDPOINTS, "recover_day", *self.both), "1 event is sent.")
        self.assertContains(self.act(ENDPOINTS, "recover_week", self.endpoint), "1 event is sent.")

        self.assertEqual(Delivery.objects.filter(status="pending").count(), 2)

    def test_page_of_one_has_what_fits_its_state(self):
        page = self.admin.get(f"{ENDPOINTS}{self.endpoint.pk}/change/")
        self.assertContains(page, 'value="ping"')
        self.assertContains(page, f"{DELIVERIES}?endpoint_is={self.endpoint.pk}")
        page = self.admin.get(f"{ENDPOINTS}{self.disabled.pk}/change/")
        self.assertContains(page, 'value="enable"')
        self.assertNotContains(page, 'value="ping"')

    def test_whoever_may_only_look_does_nothing(self):
        self.act(ENDPOINTS, "disable", self.endpoint, by=self.agent)
        self.endpoint.refresh_from_db()
        self.assertTrue(self.endpoint.enabled)
        self.assertNotContains(self.agent.get(f"{ENDPOINTS}{self.endpoint.pk}/change/"), "Rotate the secret")


class RotatingTests(AdminTestCase):
    def setUp(self):
        super().setUp()
        self.endpoint = make_endpoint(self.owner)
        (self.first,) = signing.secrets_of(self.endpoint)
        self.path = f"{ENDPOINTS}{self.endpoint.pk}/rotate-secret/"

    def secrets(self) -> list[str]:
        self.endpoint.refresh_from_db()
        return signing.secrets_of(self.endpoint)

    def test_new_secret_is_shown_once_and_noted(self):
        page = self.admin.post(self.path)
        new, old = self.secrets()
        self.assertEqual(old, self.first)
        self.assertContains(page, f'value="{new}"')
        self.assertNotContains(page, old)
        self.assertIn("no-store", page["Cache-Control"])
        self.assertEqual(self.history(), ["Secret rotated."])

    def test_not_by_a_get_and_not_for_whoever_may_only_look(self):
        self.assertRedirects(self.admin.get(self.path), f"{ENDPOINTS}{self.endpoint.pk}/change/")
        self.assertEqual(self.agent.post(self.path).status_code, 403)
        self.assertEqual(self.admin.post(f"{ENDPOINTS}999/rotate-secret/").status_code, 404)
        self.assertEqual(self.secrets(), [self.first])


class DeliveryTests(AdminTestCase):
    def setUp(self):
        super().setUp()
        self.endpoint = make_endpoint(self.owner)
        self.ticket = make_ticket(self.owner)

    def test_search_and_filters(self):
        event = make_event(self.owner, "ticket.completed", ticket_id=self.ticket.pk)
        make_delivery(make_endpoint(), status="failed")
        for query, number in (
            ({"q": str(event.pk)}, 1),
            ({"q": str(self.ticket.pk)}, 1),
            ({"q": "somewhere"}, 0),
            ({"q": ""}, 2),
            ({"status__exact": "failed"}, 1),
            ({"type": "ticket.completed"}, 1),
            ({"type": "image.stored"}, 0),
            ({"endpoint_is": self.endpoint.pk}, 1),
            ({"endpoint_is": "x"}, 0),
            ({"ticket_is": self.ticket.pk}, 1),
        ):
            with self.subTest(query):
                self.assertEqual(self.shown(DELIVERIES, **query), number)

    def test_takes_few_queries(self):
        self.assert_few_queries(DELIVERIES, lambda: make_delivery(self.endpoint))

    def test_page_shows_what_was_sent_and_what_came_back(self):
        delivery = make_delivery(self.endpoint, status="failed", http_status=503, answer="<b>busy</b>", milliseconds=7)
        page = self.agent.get(f"{DELIVERIES}{delivery.pk}/change/")
        for text in ("503", "&lt;b&gt;busy&lt;/b&gt;", "&quot;ticket&quot;: {", str(delivery.event_id), "Send again"):
            self.assertContains(page, text)

    def test_send_again(self):
        delivered = make_delivery(self.endpoint, status="delivered", next_try_at=None)
        pending = make_delivery(self.endpoint)
        for client in (self.admin, self.agent):
            Delivery.objects.filter(pk=delivered.pk).update(status="delivered")
            page = self.act(DELIVERIES, "send_again", delivered, pending, by=client)
            self.assertContains(page, "1 event is sent again.")
            self.assertContains(page, "1 event is not: This event is on its way already.")
            delivered.refresh_from_db()
            self.assertEqual(delivered.status, "pending")
        self.assertEqual(self.history(), ["Sent again."] * 2)
        self.assertNotContains(self.admin.get(f"{DELIVERIES}{pending.pk}/change/"), "Send again")


class EventTests(AdminTestCase):
    def test_from_the_page_of_the_ticket(self):
        ticket = make_ticket(self.owner)
        link = f"{EVENTS}?ticket_is={ticket.pk}"
        self.assertContains(self.agent.get(f"/admin/tickets/ticket/{ticket.pk}/change/"), link)
        event = make_event(self.owner, "ticket.completed", ticket_id=ticket.pk)
        make_event(self.owner)

        self.assertContains(self.admin.get(link), str(event.pk))

        for query, number in (
            ({"ticket_is": ticket.pk}, 1),
            ({"type": "ticket.created"}, 1),
            ({"type": "image.stored"}, 0),
            ({"owner_is": "ana"}, 2),
            ({"q": str(ticket.pk)}, 1),
            ({"q": str(event.pk)}, 1),
            ({"q": "x"}, 0),
        ):
            with self.subTest(query):
                self.assertEqual(self.shown(EVENTS, **query), number)

    def test_page_shows_data_and_deliveries(self):
        endpoint = make_endpoint(self.owner)
        event = make_event(self.owner)
        page = self.admin.get(f"{EVENTS}{event.pk}/change/")
        self.assertContains(page, "&quot;ticket&quot;: {")
        self.assertContains(page, endpoint.url)

    def test_takes_few_queries(self):
        self.assert_few_queries(EVENTS, lambda: make_event(self.owner))


@skipUnless(connection.vendor == "postgresql", "needs PostgreSQL's EXPLAIN")
class PlanTests(AdminTestCase):
    def test_events_of_a_rare_type_are_found_by_an_index(self):
        types = ["ticket.created"] * 500 + ["webhook.disabled"] * 2
        Event.objects.bulk_create(Event(type=type, owner=self.owner, data={}) for type in types)
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE integrations_event")
        with CaptureQueriesContext(connection) as queries:
            self.assertEqual(self.shown(EVENTS, type="webhook.disabled"), 2)

        looked = [each["sql"] for each in queries if 'FROM "integrations_event"' in each["sql"]]
        self.assertTrue(looked)
        with connection.cursor() as cursor:
            for sql in looked:
                cursor.execute(f"EXPLAIN {sql}")
                self.assertIn("event_of_type", "\n".join(line for [line] in cursor.fetchall()))
