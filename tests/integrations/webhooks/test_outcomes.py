import ipaddress
from contextlib import contextmanager
from datetime import timedelta
from email.utils import format_datetime
from unittest import mock

from django.test import override_settings
from django.utils import timezone
from standardwebhooks import Webhook

from apps.common.observability.request_id import on_behalf_of
from apps.integrations.endpoints import change_endpoint
from apps.integrations.models import Delivery, Endpoint, Event, WebhookEmail
from apps.integrations.webhooks import choosing, replays, signing
from apps.integrations.webhooks.dialling import Answer
from apps.integrations.webhooks.emails import compose
from apps.integrations.webhooks.outcomes import record
from apps.integrations.webhooks.sending import attempt
from tests.case import ApiTestCase, one_turn
from tests.integrations.webhooks.makers import make_delivery, make_endpoint, make_event
from tests.integrations.webhooks.receiver import Receiver, answering
from tests.makers import make_user

LOOPBACK = [ipaddress.ip_network("127.0.0.0/8")]
RETRY_SECONDS = [5, 300, 1800]
DAY = timedelta(days=1)


@contextmanager
def clock_at(moment):
    with mock.patch("django.utils.timezone.now", return_value=moment):
        yield


@override_settings(WEBHOOK_ALLOWED_NETWORKS=LOOPBACK, WEBHOOK_RETRY_SECONDS=RETRY_SECONDS)
class OutcomeTestCase(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.receiver = self.enterContext(Receiver())
        self.owner = make_user()
        self.secret = signing.new_secret()
        self.endpoint = make_endpoint(
            self.owner, url=self.receiver.url, secret_encrypted=signing.encrypted(self.secret)
        )

    def send_due(self, at=None) -> list:
        """Attempt all that is due, at that time. Returns the deliveries as they are then."""
        with clock_at(at or timezone.now()):
            begun = choosing.take(10)
            for delivery in begun:
                attempt(delivery)
        return [Delivery.objects.get(pk=delivery.pk) for delivery in begun]

    def answered(self, status: int | None, *, at=None, **answer) -> Delivery:
        """A delivery of its own to the endpoint, of which one attempt was answered so."""
        delivery = make_delivery(self.endpoint)
        with clock_at(at or timezone.now()):
            Delivery.objects.filter(pk=delivery.pk).update(attempts=1, is_running=True)
            delivery.refresh_from_db()
            record(delivery, Answer(status, "", milliseconds=1, **answer))
        delivery.refresh_from_db()
        self.endpoint.refresh_from_db()
        return delivery


class AttemptTests(OutcomeTestCase):
    def test_event_arrives_signed(self):
        with on_behalf_of("0f4b"):
            event = make_event(self.owner, data={"ticket": {"id": 7, "title": "Żółw"}})

        (delivery,) = self.send_due()

        ((headers, body),) = self.receiver.requests
        told = Webhook(self.secret).verify(body, {name.lower(): value for name, value in headers.items()})
        self.assertEqual(told.keys(), {"type", "timestamp", "data"})
        self.assertEqual((told["type"], told["data"]), ("ticket.created", {"ticket": {"id": 7, "title": "Żółw"}}))
        self.assertEqual(told["timestamp"], event.at.isoformat().replace("+00:00", "Z"))
        self.assertEqual(headers["webhook-id"], str(event.pk))
        self.assertEqual((headers["X-Request-ID"], headers["Content-Type"]), ("0f4b", "application/json"))
        self.assertTrue(headers["User-Agent"].startswith("hopla"))
        self.assertNotIn(b" ", body.replace("Żółw".encode(), b""))
        self.assertEqual((delivery.status, delivery.attempts, delivery.http_status), ("delivered", 1, 200))
        self.assertEqual((delivery.is_running, delivery.next_try_at), (False, None))
        self.assertIsNotNone(delivery.delivered_at)
        self.endpoint.refresh_from_db()
        self.assertIsNotNone(self.endpoint.last_success_at)

    def test_retry_is_the_same_message_signed_anew(self):
        make_event(self.owner)
        self.receiver.answer = answering(500, b"out of order")

        (delivery,) = self.send_due()

        self.assertEqual((delivery.status, delivery.http_status, delivery.answer), ("pending", 500, "out of order"))
        self.assertEqual(self.send_due(), [], "it is not due yet")
        self.receiver.answer = answering(204)
        (delivery,) = self.send_due(at=timezone.now() + timedelta(seconds=7))
        self.assertEqual((delivery.status, delivery.attempts, delivery.answer), ("delivered", 2, ""))
        (first, body), (second, body_again) = self.receiver.requests
        self.assertEqual((first["webhook-id"], body), (second["webhook-id"], body_again))
        self.assertNotEqual(first["webhook-timestamp"], second["webhook-timestamp"])
        self.assertNotEqual(first["webhook-signature"], second["webhook-signature"])

    def test_after_the_last_wait_it_has_failed(self):
        make_event(self.owner)
        self.receiver.answer = answering(500)
        moment = timezone.now()
        for number, wait in enumerate([*RETRY_SECONDS, None], start=1):
            (delivery,) = self.send_due(at=moment)
            self.assertEqual(delivery.attempts, number)
            if wait is not None:
                self.assertTrue(0.8 * wait <= (delivery.next_try_at - moment).total_seconds() <= 1.2 * wait, wait)
                moment = delivery.next_try_at
        self.assertEqual((delivery.status, delivery.next_try_at), ("failed", None))

        self.assertTrue(replays.replay(delivery))

        (delivery,) = self.send_due()
        self.assertEqual((delivery.status, delivery.attempts), ("pending", 5), "a new round has all its retries")

    def test_secret_that_cannot_be_read_is_a_failure(self):
        self.endpoint.secret_encrypted = "nonsense"
        self.endpoint.save()
        make_event(self.owner)

        with self.assertLogs("apps.integrations", level="CRITICAL"):
            (delivery,) = self.send_due()

        self.assertEqual((delivery.status, delivery.http_status, self.receiver.requests), ("pending", None, []))

    def test_other_threads_compute_while_the_receiver_works(self):
        turns = self.enterContext(one_turn("apps.integrations.webhooks.sending.turns"))
        turns_of_others = []

        def answer_in_turn(handler):
            with turns.turn() as has_turn:
                turns_of_others.append(has_turn)
            answering(200)(handler)

        self.receiver.answer = answer_in_turn
        make_event(self.owner)
        self.send_due()
        self.assertEqual(turns_of_others, [True])


class AnswerTests(OutcomeTestCase):
    def test_only_2xx_is_a_success(self):
        for status in (200, 201, 202, 204, 299):
            self.assertEqual(self.answered(status).status, "delivered", status)
        for status in (100, 199, 300, 301, 304, 400, 401, 404, 429, 500, 503, 599, None):
            self.assertEqual(self.answered(status).status, "pending", status)

    def test_overtaken_attempt_changes_nothing(self):
        delivery = make_delivery(self.endpoint, attempts=1, is_running=True)
        Delivery.objects.update(attempts=2)

        self.assertIsNone(record(delivery, Answer(200, "", milliseconds=1)))

        delivery.refresh_from_db()
        self.assertEqual((delivery.status, delivery.is_running, delivery.http_status), ("pending", True, None))

    def test_attempt_that_the_end_of_its_worker_cut_off_does_not_count(self):
        delivery = self.answered(None, interrupted=True)

        self.assertEqual((delivery.status, delivery.is_running, delivery.answer), ("pending", False, ""))
        self.assertEqual(delivery.attempts - delivery.attempts_before, 0)
        self.assertLessEqual(delivery.next_try_at, timezone.now())
        self.assertIsNone(self.endpoint.failing_since)

    def test_retry_after_makes_the_wait_longer_twice_as_long_at_most(self):
        now = timezone.now().replace(microsecond=0)
        for retry_after, least, most in (
            ("8", 8, 8),
            ("3600", 10, 10),
            ("1", 4, 6),
            ("0", 4, 6),
            ("-5", 4, 6),
            ("soon", 4, 6),
            ("9" * 30, 4, 6),
            (format_datetime(now + timedelta(seconds=9), usegmt=True), 9, 9),
            (format_datetime(now + DAY, usegmt=True), 10, 10),
            (format_datetime(now - DAY, usegmt=True), 4, 6),
            ("Fri, 99 Nov 2026 10:00:00 GMT", 4, 6),
        ):
            with self.subTest(retry_after):
                delivery = self.answered(503, at=now, retry_after=retry_after)
                self.assertTrue(least <= (delivery.next_try_at - now).total_seconds() <= most, delivery.next_try_at)

    def test_endpoint_that_is_too_busy_is_left_alone_for_a_while(self):
        now = timezone.now()
        for status, retry_after, seconds in ((429, "60", 60), (502, "", 5), (504, "1", 5), (429, "86400", 600)):
            with self.subTest(status, retry_after=retry_after):
                self.endpoint.not_before = None
                self.endpoint.save()
                self.answered(status, at=now, retry_after=retry_after)
                self.assertEqual(self.endpoint.not_before, now + timedelta(seconds=seconds))
        waiting = make_delivery(self.endpoint)
        self.assertEqual(self.send_due(at=now + timedelta(seconds=599)), [])
        self.assertIn(waiting, self.send_due(at=now + timedelta(seconds=601)))

    def test_shorter_wait_does_not_replace_a_longer_one(self):
        now = timezone.now()
        self.answered(429, at=now, retry_after="60")
        self.answered(502, at=now)
        self.assertEqual(self.endpoint.not_before, now + timedelta(seconds=60))


class HealthTests(OutcomeTestCase):
    def told(self) -> list[Event]:
        return list(Event.objects.filter(type="webhook.disabled"))

    def test_late_answer_of_an_earlier_url_says_nothing_about_the_new_one(self):
        for status in (410, 429, 500):
            begun = make_delivery(self.endpoint, attempts=1, is_running=True)
            now = Endpoint.objects.get(pk=self.endpoint.pk)
            change_endpoint(now, url=f"https://new.example/{status}")
            record(begun, Answer(status, "", milliseconds=1))
            now.refresh_from_db()
            self.assertTrue(now.enabled)
            self.assertEqual((now.failing_since, now.not_before), (None, None))

    def test_410_disables_the_endpoint(self):
        other = make_endpoint(self.owner, url="https://other.example/")

        delivery = self.answered(410)

        self.assertEqual(delivery.status, "failed")
        self.assertEqual((self.endpoint.enabled, self.endpoint.disabled_reason), (False, "gone"))
        self.assertIsNotNone(self.endpoint.disabled_at)
        (event,) = self.told()
        self.assertEqual(event.owner, self.owner)
        webhook = event.data["webhook"]
        self.assertEqual((webhook["id"], webhook["enabled"]), (self.endpoint.pk, False))
        self.assertEqual(webhook["disabled_reason"], "gone")
        self.assertEqual([each.endpoint for each in event.deliveries.all()], [other])
        self.assertEqual(WebhookEmail.objects.get().to, self.owner.email)

    def test_it_is_told_once(self):
        self.answered(410)
        self.answered(410)
        self.assertEqual((len(self.told()), WebhookEmail.objects.count()), (1, 1))

    def test_nothing_is_sent_to_a_disabled_endpoint_and_what_waits_is_sent_when_it_is_enabled(self):
        make_event(self.owner)
        replays.disable(self.endpoint, "owner")
        self.assertEqual(self.send_due(), [])

        replays.enable(self.endpoint)

        self.assertEqual([each.status for each in self.send_due()], ["delivered"])

    def test_nothing_is_sent_for_a_deactivated_user(self):
        make_event(self.owner)
        self.owner.is_active = False
        self.owner.save()
        self.assertEqual(self.send_due(), [])

    def fail_every(self, hours: int, *, until_hours: int, since) -> None:
        for passed in range(0, until_hours + 1, hours):
            self.answered(500, at=since + timedelta(hours=passed))

    def test_five_days_of_failures_disable_it(self):
        since = timezone.now()
        self.fail_every(13, until_hours=117, since=since)
        self.assertTrue(self.endpoint.enabled)
        self.assertEqual(self.endpoint.failing_since, since)

        self.answered(500, at=since + timedelta(hours=120))

        self.assertEqual((self.endpoint.enabled, self.endpoint.disabled_reason), (False, "failing"))
        self.assertEqual(len(self.told()), 1)

    def test_success_begins_the_count_anew(self):
        since = timezone.now()
        self.fail_every(13, until_hours=117, since=since)
        self.answered(200, at=since + timedelta(hours=118))
        self.assertEqual((self.endpoint.failing_since, self.endpoint.failures), (None, 0))

        self.answered(500, at=since + timedelta(hours=121))

        self.assertTrue(self.endpoint.enabled)

    def test_failures_close_together_are_no_five_days(self):
        since = timezone.now()
        for minute in range(10):
            self.answered(500, at=since + timedelta(minutes=minute))
        self.answered(500, at=since + timedelta(hours=121))
        self.assertTrue(self.endpoint.enabled)

    def test_days_without_an_attempt_are_not_days_of_failures(self):
        since = timezone.now()
        self.fail_every(13, until_hours=72, since=since)

        self.answered(500, at=since + timedelta(days=14))

        self.assertTrue(self.endpoint.enabled)
        self.assertEqual(self.endpoint.failing_since, since + timedelta(days=14))

    def test_row_of_a_busy_endpoint_is_written_once_a_minute(self):
        now = timezone.now()
        self.answered(200, at=now)
        delivery = make_delivery(self.endpoint, attempts=1, is_running=True)
        with self.assertNumQueries(3):  # a savepoint, the delivery, and its end
            record(delivery, Answer(200, "", milliseconds=1))
        self.answered(200, at=now + timedelta(seconds=59))
        self.assertEqual(self.endpoint.last_success_at, now)
        self.answered(200, at=now + timedelta(seconds=61))
        self.assertEqual(self.endpoint.last_success_at, now + timedelta(seconds=61))


class EmailTests(OutcomeTestCase):
    def mail(self):
        return compose(WebhookEmail.objects.get())

    def test_owner_reads_which_endpoint_and_why(self):
        self.endpoint.description = "Of the warehouse"
        self.endpoint.save()
        self.answered(410)
        mail = self.mail()
        for text in (mail.body, mail.alternatives[0].content):
            self.assertIn(self.receiver.url, text)
            self.assertIn("Of the warehouse", text)
            self.assertIn("410", text)
        self.assertEqual(mail.to, [self.owner.email])

    def test_address_that_is_not_verified_gets_no_text_of_a_user(self):
        self.owner = make_user(verified=False)
        self.endpoint.owner = self.owner
        self.endpoint.description = "Buy my watches"
        self.endpoint.save()
        with on_behalf_of("buy-my-watches"):
            self.answered(410)
        mail = self.mail()
        for text in (mail.body, mail.alternatives[0].content, str(mail.extra_headers)):
            self.assertNotIn("127.0.0.1", text)
            self.assertNotIn("watches", text)
        self.assertIn(str(self.endpoint.pk), mail.body)

    def test_it_is_in_the_owners_language(self):
        for language, word in (("es", "webhooks"), ("pl", "webhook")):
            with self.subTest(language):
                WebhookEmail.objects.all().delete()
                self.owner.language = language
                self.owner.save()
                self.endpoint = make_endpoint(self.owner)
                self.answered(410)
                self.assertNotIn("sends no more", self.mail().body)
                self.assertIn(word, self.mail().body)

    def test_it_is_dropped_when_the_endpoint_is_enabled_again(self):
        self.answered(410)
        replays.enable(self.endpoint)
        self.assertIsNone(self.mail())
