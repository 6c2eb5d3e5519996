import ipaddress
import threading
from contextlib import contextmanager
from unittest import skipUnless

from django.conf import settings
from django.db import connection, transaction
from django.test import SimpleTestCase, override_settings
from standardwebhooks import Webhook

from apps.common.http.deadlines import interrupt_all
from apps.common.redis.client import redis_at
from apps.integrations.events import wakeup
from apps.integrations.events.writing import write_event_of
from apps.integrations.models import Delivery
from apps.integrations.webhooks import signing
from apps.integrations.webhooks.choosing import ENDPOINT_LIMIT
from apps.integrations.webhooks.leases import leases
from apps.integrations.webhooks.senders import Senders
from tests.case import CommittingTestCase, HoplaAssertions
from tests.integrations.webhooks.makers import make_delivery, make_endpoint, make_event
from tests.integrations.webhooks.receiver import Receiver
from tests.makers import client_for, make_ticket, make_user

LOOPBACK = [ipaddress.ip_network("127.0.0.0/8")]


@override_settings(WEBHOOK_ALLOWED_NETWORKS=LOOPBACK, WEBHOOK_CONCURRENCY=32, WEBHOOK_TIMEOUT_SECONDS=600)
class SendersTestCase(CommittingTestCase):
    @contextmanager
    def senders(self, number: int = 1):
        """Inside, so many workers send webhooks. Yields the event that stops them."""
        stopping = threading.Event()
        working = [threading.Thread(target=Senders().work, args=[stopping]) for _ in range(number)]
        for thread in working:
            thread.start()
        try:
            yield stopping
        finally:
            stopping.set()
            while any(thread.is_alive() for thread in working):
                interrupt_all()
                for thread in working:
                    thread.join(0.1)

    def receiver(self) -> Receiver:
        return self.enterContext(Receiver())

    def wait_until_delivered(self, *endpoints) -> None:
        pending = Delivery.objects.filter(endpoint__in=endpoints).exclude(status="delivered")
        self.wait_until(lambda: not pending.exists())


class SendersTests(SendersTestCase):
    def test_what_is_written_meanwhile_is_sent(self):
        receiver, owner = self.receiver(), make_user()
        endpoint = make_endpoint(owner, url=receiver.url)
        with self.senders():
            events = [make_event(owner) for _ in range(3)]
            self.wait_until_delivered(endpoint)
        self.assertCountEqual(receiver.ids, [str(event.pk) for event in events])

    def test_ticket_that_is_opened_is_told(self):
        receiver, owner = self.receiver(), make_user()
        secret = signing.new_secret()
        endpoint = make_endpoint(owner, url=receiver.url, secret_encrypted=signing.encrypted(secret))
        with self.senders():
            opened = client_for(owner).post("/api/v1/tickets/", {"num_images": 2}, headers={"X-Request-ID": "0f4b"})
            self.wait_until(lambda: receiver.requests)
            self.wait_until_delivered(endpoint)
        ((headers, body),) = receiver.requests
        told = Webhook(secret).verify(body, {name.lower(): value for name, value in headers.items()})
        self.assertEqual((told["type"], told["data"]["ticket"]["id"]), ("ticket.created", opened.json()["id"]))
        self.assertEqual(headers["X-Request-ID"], "0f4b")

    def test_hanging_endpoints_of_one_user_delay_nobody_else(self):
        hanging, healthy = self.receiver(), self.receiver()
        hanging.answer = hanging.hang
        owner = make_user()
        for _ in range(10):
            endpoint = make_endpoint(owner, url=hanging.url)
            for _ in range(3):
                make_delivery(endpoint)
        other = make_endpoint(url=healthy.url)
        with self.senders():
            self.wait_until(lambda: len(hanging.requests) == 16)
            for _ in range(20):
                make_delivery(other)
            self.wait_until_delivered(other)
            self.assertEqual((len(hanging.requests), len(healthy.requests)), (16, 20))

    def test_hanging_endpoint_delays_no_other_of_its_owner(self):
        hanging, healthy = self.receiver(), self.receiver()
        hanging.answer = hanging.hang
        owner = make_user()
        one, other = make_endpoint(owner, url=hanging.url), make_endpoint(owner, url=healthy.url)
        with self.senders():
            for _ in range(10):
                make_event(owner)
            self.wait_until_delivered(other)
            self.assertFalse(Delivery.objects.filter(endpoint=one).exclude(status="pending").exists())
            self.assertLessEqual(len(hanging.requests), ENDPOINT_LIMIT)

    def test_stop_ends_what_is_under_way_without_counting_it(self):
        receiver = self.receiver()
        receiver.answer = receiver.hang
        make_delivery(make_endpoint(url=receiver.url))
        with self.senders():
            self.wait_until(lambda: receiver.requests)
        delivery = Delivery.objects.get()
        self.assertEqual((delivery.status, delivery.is_running), ("pending", False))
        self.assertEqual(delivery.attempts, delivery.attempts_before)

    def test_no_attempt_begins_after_a_stop(self):
        receiver = self.receiver()
        endpoint = make_endpoint(url=receiver.url)
        with self.senders() as stopping:
            stopping.set()
        make_delivery(endpoint)
        wakeup.wake_senders()
        self.assertEqual(Delivery.objects.get().attempts, 0)

    def test_error_in_one_attempt_ends_nothing_else(self):
        receiver, done = self.receiver(), []

        def send(delivery):
            done.append(delivery.pk)
            if done[0] == delivery.pk:
                raise ZeroDivisionError

        senders, stopping = Senders(send), threading.Event()
        endpoint = make_endpoint(url=receiver.url)
        deliveries = [make_delivery(endpoint) for _ in range(3)]
        with self.assertLogs("apps.common.observability.unforeseen", level="ERROR"):
            thread = threading.Thread(target=senders.work, args=[stopping])
            thread.start()
            self.wait_until(lambda: len(done) == 3)
            stopping.set()
            thread.join()
        self.assertCountEqual(done, [each.pk for each in deliveries])


@skipUnless(connection.vendor == "postgresql", "needs PostgreSQL")
class WorkersTests(SendersTestCase):
    def test_two_workers_send_each_once(self):
        receiver, owner = self.receiver(), make_user()
        endpoints = [make_endpoint(owner, url=receiver.url) for _ in range(2)]
        deliveries = [make_delivery(endpoint) for endpoint in endpoints for _ in range(30)]

        with self.senders(2):
            self.wait_until_delivered(*endpoints)

        self.assertCountEqual(receiver.ids, [str(delivery.event_id) for delivery in deliveries])

    def test_no_connection_is_held_while_receivers_work(self):
        receiver = self.receiver()
        receiver.answer = receiver.hang
        pooled = settings.DATABASES["default"]["OPTIONS"]["pool"]["max_size"]
        for owner in (make_user(), make_user()):
            for _ in range(2):
                make_endpoint(owner, url=receiver.url)
            for _ in range(ENDPOINT_LIMIT):
                with transaction.atomic():  # an event whose text is made when it is sent
                    write_event_of(make_ticket(owner), "ticket.created")
        with self.senders():
            self.wait_until(lambda: len(receiver.requests) == 32)
            self.assertGreater(32, pooled)
            self.wait_until(lambda: self.number_in_transactions() == 0)  # who looks for what is due is for a moment

    @staticmethod
    def number_in_transactions() -> int:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in%' AND datname = current_database()"
            )
            return cursor.fetchone()[0]

    def test_lease_lasts_as_long_as_the_attempt(self):
        receiver = self.receiver()
        receiver.answer = receiver.hang
        delivery = make_delivery(make_endpoint(url=receiver.url))
        with self.senders():
            self.wait_until(lambda: receiver.requests)
            delivery.refresh_from_db()
            self.assertEqual(leases.prolong(), 1)
            before = delivery.next_try_at
            delivery.refresh_from_db()
            self.assertGreater(delivery.next_try_at, before)


class WakeUpTests(HoplaAssertions, SimpleTestCase):
    def test_one_call_is_there_at_a_time(self):
        redis = redis_at(settings.REDIS_URL)
        for _ in range(3):
            redis.eval(wakeup.CALL, 1, wakeup.KEY)
        self.assertEqual(redis.llen(wakeup.KEY), 1)
        self.assertTrue(wakeup.wait_for_a_call())
        self.assertFalse(wakeup.wait_for_a_call())

    def test_call_reaches_whoever_waits(self):
        wakeup.wake_senders()
        self.wait_until(wakeup.wait_for_a_call)
