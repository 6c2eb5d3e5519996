"""Deliveries through the API: listed, read and sent again by the owner of their endpoint."""

from django.utils import timezone

from apps.integrations.models import Delivery
from apps.integrations.webhooks import replays
from tests.integrations.api.test_webhooks import WebhookTestCase
from tests.integrations.webhooks.makers import make_delivery, make_endpoint, make_event

FIELDS = {
    *("id", "event_id", "type", "status", "attempts", "http_status", "milliseconds", "answer"),
    *("next_try_at", "created_at", "delivered_at"),
}


class DeliveryTestCase(WebhookTestCase):
    def setUp(self):
        super().setUp()
        self.endpoint = make_endpoint(self.owner)
        self.path = self.path_of(self.endpoint, "deliveries/")

    def path_to(self, delivery: Delivery, rest: str = "") -> str:
        return f"{self.path}{delivery.pk}/{rest}"


class ListTests(DeliveryTestCase):
    def ids(self, query: str = "") -> list[int]:
        return [delivery["id"] for delivery in self.client.get(self.path + query).json()["results"]]

    def test_newest_first_and_of_this_endpoint(self):
        old = make_delivery(
            self.endpoint,
            status="delivered",
            attempts=2,
            http_status=200,
            milliseconds=84,
            answer="ok",
            next_try_at=None,
            delivered_at=timezone.now(),
        )
        new = make_delivery(self.endpoint)
        make_delivery(make_endpoint(self.owner))

        page = self.client.get(self.path).json()

        self.assertEqual([delivery["id"] for delivery in page["results"]], [new.pk, old.pk])
        shown = page["results"][1]
        self.assertEqual(shown.keys(), FIELDS)
        self.assertEqual((shown["event_id"], shown["type"]), (str(old.event_id), old.event.type))
        self.assertEqual((shown["http_status"], shown["milliseconds"], shown["answer"]), (200, 84, "ok"))

    def test_filters(self):
        failed, pending, _ = (
            make_event(self.owner, type).deliveries.get()
            for type in ("ticket.completed", "image.stored", "image.failed")
        )
        Delivery.objects.exclude(pk=pending.pk).update(status="delivered")
        Delivery.objects.filter(pk=failed.pk).update(status="failed")
        self.assertEqual(self.ids("?status=failed"), [failed.pk])
        self.assertEqual(self.ids("?status=failed&status[]=pending"), [pending.pk, failed.pk])
        self.assertEqual(self.ids("?type=image.stored"), [pending.pk])
        self.assertEqual(self.ids("?type=image.stored&status=failed"), [])
        self.assert_invalid(self.client.get(self.path + "?status=lost"), ("status", "invalid_choice"))
        self.assert_invalid(self.client.get(self.path + "?type=lost"), ("type", "invalid_choice"))
        self.assert_problem(self.client.get(self.path + "?event=1"), 400, "unknown_parameter")

    def test_a_page_takes_a_handful_of_queries(self):
        for _ in range(3):
            make_delivery(self.endpoint)
        self.client.get(self.path)
        with self.assertNumQueries(4):  # the user, the endpoint, the count, the page
            self.client.get(self.path)

    def test_for_its_owner_alone(self):
        self.assert_for_its_owner_alone(lambda client: client.get(self.path))


class ReadTests(DeliveryTestCase):
    def test_shows_what_was_sent(self):
        delivery = make_delivery(self.endpoint)
        body = self.client.get(self.path_to(delivery)).json()
        self.assertEqual(body.keys(), FIELDS | {"timestamp", "data"})
        self.assertEqual(body["data"], delivery.event.data)
        self.assertEqual(body["timestamp"], delivery.event.at.isoformat().replace("+00:00", "Z"))

    def test_of_another_endpoint(self):
        elsewhere = make_delivery(make_endpoint(self.owner))
        self.assert_problem(self.client.get(self.path_to(elsewhere)), 404, "not_found")
        self.assert_problem(self.client.post(self.path_to(elsewhere, "replay/")), 404, "not_found")

    def test_for_its_owner_alone(self):
        path = self.path_to(make_delivery(self.endpoint))
        self.assert_for_its_owner_alone(lambda client: client.get(path))


class ReplayTests(DeliveryTestCase):
    def test_settled_one_is_sent_again(self):
        for status in ("delivered", "failed"):
            delivery = make_delivery(
                self.endpoint, status=status, attempts=3, next_try_at=None, delivered_at=timezone.now()
            )
            response = self.client.post(self.path_to(delivery, "replay/"))
            self.assertEqual(response.status_code, 202, response.content)
            body = response.json()
            self.assertEqual((body["id"], body["status"], body["attempts"]), (delivery.pk, "pending", 3))
            self.assertIsNone(body["delivered_at"])
            self.assertIsNotNone(body["next_try_at"])
        self.assertEqual(Delivery.objects.count(), 2)

    def test_pending_one(self):
        for running in (False, True):
            delivery = make_delivery(self.endpoint, is_running=running)
            self.assert_problem(self.client.post(self.path_to(delivery, "replay/")), 409, "delivery_pending")

    def test_disabled_endpoint(self):
        delivery = make_delivery(self.endpoint, status="failed", next_try_at=None)
        replays.disable(self.endpoint, "owner")
        self.assert_problem(self.client.post(self.path_to(delivery, "replay/")), 409, "webhook_disabled")
        delivery.refresh_from_db()
        self.assertEqual(delivery.status, "failed")

    def test_for_its_owner_alone(self):
        path = self.path_to(make_delivery(self.endpoint, status="failed"), "replay/")
        self.assert_for_its_owner_alone(lambda client: client.post(path))
