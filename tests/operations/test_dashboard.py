from datetime import timedelta

from django.conf import settings
from django.contrib.auth.models import Group, Permission
from django.db import connection
from django.test import Client, override_settings
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from rq import Queue, SimpleWorker

from apps.common.redis.client import redis_at
from apps.operations.dashboard import plot_of
from apps.tickets.delivery.pause import pause_uploads
from apps.tickets.staging.servers import all_servers
from tests.case import ApiTestCase
from tests.makers import make_accepted_image, make_image, make_ticket, make_user

NOBODY_LISTENS = "redis://127.0.0.1:1/0"


class DashboardTests(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.user = make_user(is_staff=True)
        self.user.groups.add(Group.objects.get(name="operators"))
        self.admin = Client()
        self.admin.force_login(self.user)
        self.ticket = make_ticket(num_images=20)

    def start_worker(self) -> SimpleWorker:
        redis = redis_at(settings.REDIS_URL)
        worker = SimpleWorker([Queue("default", connection=redis)], connection=redis)
        worker.register_birth()
        return worker

    def stats(self) -> dict:
        return self.admin.get("/admin/").context["dashboard"]

    def test_photos_on_their_way_and_stored_ones_are_shown(self):
        make_accepted_image(self.ticket)
        make_image(self.ticket, position=2, status="stored", stored_at=timezone.now() - timedelta(minutes=7))
        make_image(self.ticket, position=3, status="failed", error_code="cloudinary_rejected", error_detail="No photo.")

        page = self.admin.get("/admin/")

        self.assertContains(page, "<title>Overview | hopla</title>")
        self.assertContains(page, "1 photo in the last hour")
        self.assertContains(page, "at most 1 a minute")
        self.assertContains(page, "cloudinary_rejected</a>")
        self.assertContains(page, "No photo.")
        shown = page.context["dashboard"]
        self.assertEqual((shown["in_flight"].ready, shown["failed_in_a_day"]), (1, 1))

    def test_staging_is_measured_against_its_budget(self):
        image = make_accepted_image(self.ticket)

        with override_settings(STAGING_MAX_BYTES=4 * image.size):
            page = self.admin.get("/admin/")

        self.assertContains(page, f'max="{4 * image.size}" value="{image.size}"')

    def test_worker_is_shown_with_the_jobs_in_its_hand(self):
        with self.captureOnCommitCallbacks(execute=True):
            make_accepted_image(self.ticket)
        worker = self.start_worker()
        job = Queue("default", connection=worker.connection).jobs[0]
        worker.prepare_execution(job)
        worker.prepare_job_execution(job)

        (shown,) = self.stats()["queue"].workers

        self.assertEqual((shown.name, shown.jobs_running), (worker.name, 1))

    def test_without_a_worker_it_says_so(self):
        page = self.admin.get("/admin/")

        self.assertContains(page, "No worker is alive")
        self.assertContains(page, "no live worker on the default queue")

    def test_with_everything_in_place_there_is_no_alarm(self):
        self.start_worker()

        self.assertNotContains(self.admin.get("/admin/"), 'class="alarm"')

    def test_pause_of_the_uploads_is_told(self):
        pause_uploads(until=None, code="cloudinary_rate_limited", detail="The account is at its limit.")

        page = self.admin.get("/admin/")

        self.assertContains(page, "Uploads are paused until")
        self.assertContains(page, "The account is at its limit.")

    def test_page_renders_while_redis_is_unavailable(self):
        make_image(self.ticket, status="stored", stored_at=timezone.now())
        with (
            override_settings(REDIS_URL=NOBODY_LISTENS, STAGING_REDIS_URL=NOBODY_LISTENS),
            self.assertLogs("apps.operations.health", "WARNING"),
        ):
            page = self.admin.get("/admin/")

        self.assertContains(page, "Redis is unavailable")
        self.assertContains(page, "1 photo in the last hour")

    def test_page_renders_while_staging_alone_is_unavailable(self):
        with override_settings(STAGING_REDIS_URL=NOBODY_LISTENS), self.assertLogs("apps.operations.health", "WARNING"):
            shown = self.stats()

        self.assertIsNone(shown["staging"])
        self.assertEqual(shown["queue"].waiting, 0)

    def test_staging_servers_are_shown_each(self):
        image = make_accepted_image(self.ticket)
        there = all_servers()[0]
        with override_settings(STAGING_REDIS_URL=f"{there.url},redis://ann:a-secret@127.0.0.1:1/0"):
            page = self.admin.get("/admin/")

        shown = [(server.name, server.used) for server in page.context["dashboard"]["staging"]]
        self.assertEqual(shown, [(there.name, image.size), ("127.0.0.1:1/0", None)])
        self.assertContains(page, "This server does not answer")
        self.assertNotContains(page, "a-secret")

    def test_photos_cost_no_queries(self):
        def queries() -> int:
            with CaptureQueriesContext(connection) as captured:
                self.stats()
            return len(captured)

        before = queries()
        for position in range(1, 15):
            make_image(self.ticket, position=position, status="queued" if position % 2 else "failed", error_code="x")

        self.assertEqual(queries(), before)

    def test_staff_who_may_not_see_photos_see_no_stats(self):
        clerk = make_user(is_staff=True)
        clerk.user_permissions.add(Permission.objects.get(codename="view_email"))
        self.admin.force_login(clerk)

        with override_settings(STAGING_REDIS_URL=NOBODY_LISTENS):  # nor is anything asked
            page = self.admin.get("/admin/")

        self.assertEqual(page.context["dashboard"], {})
        self.assertNotContains(page, "dashboard-figures")

    def test_queue_pages_are_linked_for_those_they_let_in(self):
        self.start_worker()
        self.assertNotContains(self.admin.get("/admin/"), "RQ dashboard")

        self.user.user_permissions.add(Permission.objects.get(content_type__app_label="django_rq", codename="admin"))

        page = self.admin.get("/admin/")
        self.assertContains(page, "RQ dashboard")
        (worker,) = page.context["dashboard"]["queue"].workers
        self.assertEqual(self.admin.get(f"/admin/django_rq/dashboard/workers/0/{worker.key}/").status_code, 200)

    def test_links_lead_to_lists_of_photos_in_that_state(self):
        make_image(self.ticket, status="uploading")
        for status, found in (("queued", 0), ("uploading", 1), ("stored", 0), ("failed", 0)):
            with self.subTest(status):
                link = f"/admin/tickets/image/?status__exact={status}"
                self.assertContains(self.admin.get("/admin/"), link)
                self.assertEqual(self.admin.get(link).context["cl"].result_count, found)

    def test_numbers_in_the_plot_are_whole_in_every_language(self):
        make_image(self.ticket, status="stored", stored_at=timezone.now())
        for language in ("en", "es", "pl"):
            with self.subTest(language):
                page = self.admin.get("/admin/", headers={"Accept-Language": language})
                self.assertContains(page, 'viewBox="0 0 600 100"')
                self.assertContains(page, 'width="8" height="100"', count=1)


class PlotTests(ApiTestCase):
    def test_highest_bar_is_the_peak_and_a_single_photo_still_shows(self):
        start = timezone.now()
        plot = plot_of([(start, 0), (start, 1000), (start, 1)])

        self.assertEqual([bar.height for bar in plot.bars], [0, 100, 2])
        self.assertEqual([bar.y for bar in plot.bars], [100, 0, 98])
        self.assertEqual((plot.peak, plot.photos, plot.width), (1000, 1001, 30))

    def test_hour_without_photos_is_flat(self):
        plot = plot_of([(timezone.now(), 0)] * 60)

        self.assertEqual({bar.height for bar in plot.bars}, {0})
