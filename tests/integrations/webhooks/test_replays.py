from datetime import timedelta

from django.db import connection
from django.utils import timezone

from apps.integrations.models import Delivery, Event
from apps.integrations.webhooks import replays
from apps.integrations.webhooks.disabling import disable_and_tell
from tests.case import ApiTestCase
from tests.integrations.webhooks.makers import make_delivery, make_endpoint, make_event
from tests.makers import make_user


def status_of(endpoint) -> dict:
    return dict(Delivery.objects.filter(endpoint=endpoint).values_list("event_id", "status"))


class ReplayTests(ApiTestCase):
    def test_delivered_event_is_due_again_with_all_its_retries(self):
        delivery = make_delivery(
            make_endpoint(), status="delivered", attempts=3, next_try_at=None, delivered_at=timezone.now()
        )

        self.assertTrue(replays.replay(delivery))

        self.assertEqual((delivery.status, delivery.attempts, delivery.attempts_before), ("pending", 3, 3))
        self.assertLessEqual(delivery.next_try_at, timezone.now())

    def test_delivery_under_way_is_left_alone(self):
        delivery = make_delivery(make_endpoint(), attempts=1, is_running=True)

        self.assertFalse(replays.replay(delivery))

        delivery.refresh_from_db()
        self.assertEqual((delivery.attempts_before, delivery.is_running), (0, True))


class RecoverTests(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.owner = make_user()
        self.endpoint = make_endpoint(self.owner)
        self.since = timezone.now() - timedelta(hours=1)

    def test_what_was_missed_while_it_was_disabled_is_sent(self):
        replays.disable(self.endpoint, "owner")
        missed = [make_event(self.owner) for _ in range(3)]
        self.assertEqual(status_of(self.endpoint), {})
        replays.enable(self.endpoint)

        self.assertEqual(replays.recover(self.endpoint, self.since), 3)

        self.assertEqual(status_of(self.endpoint), dict.fromkeys([event.pk for event in missed], "pending"))
        added = Delivery.objects.first()
        self.assertEqual((added.attempts, added.is_running, added.answer, added.http_status), (0, False, "", None))
        self.assertLessEqual(added.next_try_at, timezone.now())

    def test_what_failed_or_waits_for_a_retry_is_due_now(self):
        later = timezone.now() + timedelta(hours=10)
        failed = make_delivery(self.endpoint, status="failed", attempts=12, next_try_at=None)
        waiting = make_delivery(self.endpoint, attempts=5, next_try_at=later)
        running = make_delivery(self.endpoint, attempts=1, is_running=True, next_try_at=later)
        delivered = make_delivery(self.endpoint, status="delivered", next_try_at=None)

        self.assertEqual(replays.recover(self.endpoint, self.since), 2)

        for delivery, attempts_before in ((failed, 12), (waiting, 5)):
            delivery.refresh_from_db()
            self.assertEqual((delivery.status, delivery.attempts_before), ("pending", attempts_before))
            self.assertLessEqual(delivery.next_try_at, timezone.now())
        for delivery, status in ((running, "pending"), (delivered, "delivered")):
            delivery.refresh_from_db()
            self.assertEqual((delivery.status, delivery.attempts_before), (status, 0))

    def test_twice_adds_nothing(self):
        Delivery.objects.all().delete()
        make_event(self.owner)
        Delivery.objects.all().delete()
        self.assertEqual(replays.recover(self.endpoint, self.since), 1)
        self.assertEqual(replays.recover(self.endpoint, self.since), 0)

    def test_only_what_it_wants_since_then_and_of_its_owner(self):
        self.endpoint.events = ["image.stored"]
        self.endpoint.save()
        wanted = make_event(self.owner, "image.stored")
        make_event(self.owner, "ticket.created")
        make_event(make_user(), "image.stored")
        old = make_event(self.owner, "image.stored")
        Event.objects.filter(pk=old.pk).update(at=self.since - timedelta(seconds=1))
        Delivery.objects.all().delete()

        self.assertEqual(replays.recover(self.endpoint, self.since), 1)

        self.assertEqual(list(status_of(self.endpoint)), [wanted.pk])

    def test_pings_of_others_and_its_own_end_are_not_for_it(self):
        other = make_endpoint(self.owner)
        replays.ping(other)
        make_event(self.owner, "webhook.disabled", data={"webhook": {"id": self.endpoint.pk}}, but=self.endpoint)
        wanted = make_event(self.owner, "webhook.disabled", data={"webhook": {"id": other.pk}}, but=other)
        Delivery.objects.all().delete()

        self.assertEqual(replays.recover(self.endpoint, self.since), 1)

        self.assertEqual(list(status_of(self.endpoint)), [wanted.pk])

    def test_end_of_its_own_that_comes_meanwhile_is_not_for_it(self):
        ended = []

        def end_it(execute, sql, *arguments):
            if sql.startswith("INSERT INTO") and not ended:
                ended.append(self.endpoint.pk)
                disable_and_tell(self.endpoint, "gone")
            return execute(sql, *arguments)

        with connection.execute_wrapper(end_it):
            replays.recover(self.endpoint, self.since)

        self.assertEqual(Event.objects.get().type, "webhook.disabled")
        self.assertEqual(status_of(self.endpoint), {})


class PingTests(ApiTestCase):
    def test_it_goes_to_this_endpoint_alone_whatever_it_wants(self):
        owner = make_user()
        endpoint = make_endpoint(owner, events=["image.stored"])
        make_endpoint(owner)

        event = replays.ping(endpoint)

        self.assertEqual(event.data["webhook"]["url"], endpoint.url)
        self.assertEqual([each.endpoint for each in event.deliveries.all()], [endpoint])
