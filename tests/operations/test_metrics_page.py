"""The page for Prometheus says what the database says, whichever process counted."""

import os
import re
from datetime import timedelta

from django.conf import settings
from django.test import SimpleTestCase, override_settings
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from apps.common.mail.outbox import EmailState
from apps.common.observability import metrics
from apps.common.redis.client import redis_at
from apps.integrations.webhooks.dialling import Answer
from apps.integrations.webhooks.outcomes import record
from apps.support.models import Email
from apps.tickets.delivery.job import deliver_photo
from apps.tickets.lifecycle import outcomes
from apps.tickets.lifecycle.endings import cancel_ticket
from apps.tickets.models import AssetRemoval, Image
from apps.tickets.staging.servers import all_servers
from tests.case import CommittingTestCase
from tests.integrations.webhooks.makers import make_delivery, make_endpoint
from tests.makers import (
    client_for,
    jpeg_bytes,
    make_accepted_image,
    make_image,
    make_ticket,
    make_user,
    running_sandbox,
)
from tests.support.makers import make_support_ticket

TOKEN = "for-prometheus-alone"
NOBODY_LISTENS = "redis://127.0.0.1:1/0"


@override_settings(METRICS_TOKEN=TOKEN)
class MetricsTestCase(CommittingTestCase):
    def setUp(self):
        super().setUp()
        redis_at(settings.REDIS_URL).delete(metrics.KEY)
        metrics.totals()  # what other tests of this process added up
        redis_at(settings.REDIS_URL).delete(metrics.KEY)

    def scrape(self) -> dict[tuple, float]:
        """Every sample by its name and its labels."""
        response = self.client.get("/metrics", headers={"Authorization": f"bearer {TOKEN}"})
        self.assertEqual(response.status_code, 200)
        families = text_string_to_metric_families(response.content.decode())
        return {
            (sample.name, *(f"{name}={value}" for name, value in sorted(sample.labels.items()))): sample.value
            for family in families
            for sample in family.samples
        }


class TokenTests(MetricsTestCase):
    def test_without_the_token_nothing_is_told(self):
        for sent in ("", f"Bearer {TOKEN}x", TOKEN, "Bearer", "Bearer ż", f"Token {TOKEN}"):
            with self.subTest(sent):
                response = self.client.get("/metrics", headers={"Authorization": sent})
                self.assertEqual((response.status_code, response["WWW-Authenticate"]), (401, "Bearer"))
                self.assertNotIn(b"hopla_", response.content)

    def test_without_a_setting_there_is_no_page(self):
        with override_settings(METRICS_TOKEN=""):
            self.assertEqual(self.client.get("/metrics", headers={"Authorization": "Bearer "}).status_code, 404)

    def test_scrape_by_ip_address_gets_a_response(self):
        with override_settings(ALLOWED_HOSTS=["hopla.example"]):
            headers = {"host": "10.1.2.3", "Authorization": f"Bearer {TOKEN}"}
            self.assertEqual(self.client.get("/metrics", headers=headers).status_code, 200)


class PhotoMetricsTests(MetricsTestCase):
    def test_accepted_refused_and_stored_photos_are_those_of_the_database(self):
        ticket = make_ticket(num_images=2)
        client = client_for(ticket.owner)
        url = f"/api/v1/tickets/{ticket.pk}/images/"
        with running_sandbox():
            for seed in range(3):
                client.post(url, jpeg_bytes(seed), content_type="image/jpeg")
            client.post(url, b"no photo at all", content_type="image/jpeg")
            for image in Image.objects.all():
                deliver_photo(str(image.pk))

        seen = self.scrape()

        stored = Image.objects.filter(status="stored")
        self.assertEqual(stored.count(), 2)
        self.assertEqual(seen["hopla_photos_accepted_total",], 2)
        self.assertEqual(seen["hopla_photo_bytes_accepted_total",], sum(image.size for image in stored))
        self.assertEqual(seen["hopla_photos_refused_total", "code=ticket_full"], 2)
        self.assertEqual(seen["hopla_upload_attempts_total",], 2)
        self.assertEqual(seen["hopla_photos_stored_total",], 2)
        self.assertEqual(seen["hopla_tickets_completed_total",], 1)
        self.assertEqual(seen["hopla_upload_seconds_count",], 2)
        self.assertEqual(seen["hopla_photo_stored_seconds_bucket", "le=+Inf"], 2)
        self.assertEqual(seen["hopla_http_requests_total", "method=POST", "route=ticket-images", "status=202"], 2)
        self.assertEqual(seen["hopla_http_requests_total", "method=POST", "route=ticket-images", "status=409"], 2)
        self.assertGreater(seen["hopla_http_request_seconds_sum", "method=POST", "route=ticket-images"], 0)

    def test_failures_and_retries_are_told_by_code(self):
        first, second = (make_image(make_ticket(), status="uploading", attempts=1) for _ in range(2))
        outcomes.record_retry(first, moment=timezone.now(), code="cloudinary_unavailable", detail="away")
        outcomes.record_failed(second, code="cloudinary_refused", detail="no")
        cancel_ticket(first.ticket_id)

        seen = self.scrape()

        self.assertEqual(seen["hopla_upload_retries_total", "code=cloudinary_unavailable"], 1)
        self.assertEqual(seen["hopla_photos_failed_total", "code=cloudinary_refused"], 1)
        self.assertEqual(seen["hopla_photos_failed_total", "code=ticket_cancelled"], 1)

    def test_what_is_undone_is_not_counted(self):
        image = make_image(make_ticket(), status="uploading", attempts=1)
        outcomes.record_failed(image, code="first", detail="")
        outcomes.record_failed(image, code="second", detail="")

        failed = {key for key, value in self.scrape().items() if key[0] == "hopla_photos_failed_total" and value}

        self.assertEqual(failed, {("hopla_photos_failed_total", "code=first")})

    def test_waiting_photos_and_what_they_hold(self):
        ticket = make_ticket(num_images=3)
        waiting = make_accepted_image(ticket)
        Image.objects.filter(pk=waiting.pk).update(created_at=timezone.now() - timedelta(hours=1))
        make_image(ticket, position=2, status="uploading", attempts=1)
        make_image(ticket, position=3, status="stored")

        seen = self.scrape()

        self.assertEqual(seen["hopla_photos_waiting", "status=queued"], 1)
        self.assertEqual(seen["hopla_photos_waiting", "status=uploading"], 1)
        self.assertAlmostEqual(seen["hopla_photos_oldest_waiting_seconds",], 3600, delta=60)
        server = f"server={all_servers()[0].name}"
        self.assertEqual(seen["hopla_staging_bytes", server], waiting.size)
        self.assertEqual(seen["hopla_staging_max_bytes", server], settings.STAGING_MAX_BYTES)
        self.assertEqual(seen["hopla_staging_up", server], 1)
        self.assertEqual(seen["hopla_queue_jobs", "state=queued"], 1)
        self.assertEqual(seen["hopla_workers",], 0)
        self.assertEqual(seen["hopla_uploads_paused",], 0)

    def test_known_series_stand_at_0_before_anything_happened(self):
        seen = self.scrape()
        for name in ("hopla_photos_accepted_total", "hopla_photos_stored_total", "hopla_upload_seconds_count"):
            self.assertEqual(seen[name,], 0)
        for code in outcomes.ERROR_CODES:
            self.assertEqual(seen["hopla_photos_failed_total", f"code={code}"], 0)
            self.assertEqual(seen["hopla_upload_retries_total", f"code={code}"], 0)

    def test_emails_given_up_and_removals_refused_are_told(self):
        make_support_ticket(make_user())
        Email.objects.update(state=EmailState.FAILED)
        for attempts in (0, 3):
            AssetRemoval.objects.create(public_id=f"hopla/{attempts}", due_at=timezone.now(), attempts=attempts)

        seen = self.scrape()

        self.assertEqual((seen["hopla_emails", "state=failed"], seen["hopla_emails", "state=queued"]), (1, 0))
        self.assertEqual((seen["hopla_asset_removals_due",], seen["hopla_asset_removals_refused",]), (2, 1))

    def test_credentials_refused_show_as_a_pause(self):
        image = make_accepted_image(make_ticket())
        with running_sandbox() as sandbox:
            sandbox.misbehave("wrong_credentials")
            deliver_photo(str(image.pk))
        self.assertEqual(self.scrape()["hopla_uploads_paused",], 1)


class WebhookMetricsTests(MetricsTestCase):
    def test_attempts_are_told_by_outcome(self):
        endpoint = make_endpoint()
        for status in (200, 500, 410):
            delivery = make_delivery(endpoint, attempts=1, is_running=True)
            record(delivery, Answer(status, "", milliseconds=70))

        seen = self.scrape()

        for outcome, number in (("delivered", 1), ("retried", 1), ("failed", 1), ("interrupted", 0)):
            self.assertEqual(seen["hopla_webhook_attempts_total", f"outcome={outcome}"], number)
        self.assertEqual(seen["hopla_webhook_seconds_bucket", "le=0.05"], 0)
        self.assertEqual(seen["hopla_webhook_seconds_bucket", "le=0.1"], 3)
        self.assertEqual(seen["hopla_webhooks_disabled_total", "reason=gone"], 1)
        self.assertEqual(seen["hopla_webhooks_disabled_total", "reason=failing"], 0)

    def test_what_nobody_has_begun_is_overdue(self):
        an_hour_ago = timezone.now() - timedelta(hours=1)
        make_delivery(make_endpoint(), next_try_at=an_hour_ago)

        seen = self.scrape()

        self.assertEqual(seen["hopla_webhooks_waiting",], 1)
        self.assertAlmostEqual(seen["hopla_webhooks_overdue_seconds",], 3600, delta=60)

    def test_what_waits_for_its_own_receiver_is_not_overdue(self):
        now = timezone.now()
        earlier, later = now - timedelta(hours=1), now + timedelta(hours=1)
        busy = make_endpoint()
        make_delivery(busy, next_try_at=earlier)
        make_delivery(busy, attempts=1, is_running=True, next_try_at=later)
        make_delivery(make_endpoint(not_before=later), next_try_at=earlier)
        make_delivery(make_endpoint(enabled=False), next_try_at=earlier)
        make_delivery(make_endpoint(), next_try_at=later)

        seen = self.scrape()

        self.assertEqual((seen["hopla_webhooks_waiting",], seen["hopla_webhooks_overdue_seconds",]), (4, 0))


class AddingUpTests(MetricsTestCase):
    def test_paths_and_methods_of_a_client_make_no_series(self):
        for number in range(3):
            self.client.get(f"/made-up-{number}/")
        self.client.generic("BREW", "/made-up/")

        routes = {key[1:3] for key in self.scrape() if key[0] == "hopla_http_requests_total"}

        self.assertEqual(routes, {("method=GET", "route=none"), ("method=other", "route=none")})

    def test_processes_are_added_up(self):
        metrics.count("hopla_photos_stored", 2)
        for _ in range(2):
            child = os.fork()
            if not child:
                metrics.count("hopla_photos_stored")
                os._exit(0)  # without a farewell, as a job ends under RQ's own worker
            os.waitpid(child, 0)

        self.assertEqual(self.scrape()["hopla_photos_stored_total",], 4)

    def test_sums_survive_an_unavailable_redis(self):
        metrics.count("hopla_photos_stored")
        with override_settings(REDIS_URL=NOBODY_LISTENS):
            seen = self.scrape()
        self.assertEqual(seen["hopla_up", "part=redis"], 0)
        self.assertEqual(seen["hopla_up", "part=database"], 1)
        self.assertIn(("hopla_photos_waiting", "status=queued"), seen)

        self.assertEqual(self.scrape()["hopla_photos_stored_total",], 1)

    def test_unavailable_staging_hides_nothing_else(self):
        with override_settings(STAGING_REDIS_URL=NOBODY_LISTENS):
            seen = self.scrape()
        self.assertEqual((seen["hopla_up", "part=staging"], seen["hopla_up", "part=redis"]), (0, 1))
        self.assertIn(("hopla_workers",), seen)

    def test_one_of_several_staging_servers_is_enough(self):
        there = all_servers()[0]
        with override_settings(STAGING_REDIS_URL=f"{there.url},{NOBODY_LISTENS}"):
            seen = self.scrape()

        self.assertEqual((seen["hopla_up", "part=staging"], seen["hopla_staging_up", f"server={there.name}"]), (1, 1))
        self.assertEqual(seen["hopla_staging_up", "server=127.0.0.1:1/0"], 0)
        self.assertNotIn(("hopla_staging_bytes", "server=127.0.0.1:1/0"), seen)

    def test_labels_of_servers_have_no_password(self):
        with override_settings(STAGING_REDIS_URL="redis://ann:a-secret@127.0.0.1:1/0"):
            seen = self.scrape()

        self.assertIn(("hopla_staging_up", "server=127.0.0.1:1/0"), seen)
        self.assertNotIn("a-secret", repr(seen))

    def test_buckets_are_cumulated(self):
        for seconds in (0.05, 0.3, 0.3, 1000):
            metrics.observe("hopla_upload_seconds", seconds)
        seen = self.scrape()
        bounds = ("0.1", "0.25", "0.5", "30.0", "+Inf")
        self.assertEqual([seen["hopla_upload_seconds_bucket", f"le={bound}"] for bound in bounds], [1, 1, 3, 3, 4])
        self.assertAlmostEqual(seen["hopla_upload_seconds_sum",], 1000.65)


class NameTests(SimpleTestCase):
    def test_every_name_counted_in_the_code_is_declared(self):
        declared = metrics.COUNTERS.keys() | metrics.HISTOGRAMS.keys()
        used = set()
        for folder in ("apps", "hopla"):
            for path in (settings.BASE_DIR / folder).rglob("*.py"):
                used |= set(re.findall(r'metrics\.(?:count|observe)\(\s*"(\w+)"', path.read_text()))
        self.assertEqual(used, declared)
