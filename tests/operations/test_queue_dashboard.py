from pathlib import Path
from tempfile import TemporaryDirectory

from django.contrib.auth.models import Permission
from django.test import Client

from apps.accounts.emails import enqueue_password_reset
from tests.case import ApiTestCase, default_queue
from tests.common.jobs.foreign_jobs import put_bombs
from tests.makers import client_for, make_user

DASHBOARD = "/admin/django_rq/dashboard/"


class QueueDashboardTests(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.user = make_user(is_staff=True)
        self.admin = Client()
        self.admin.force_login(self.user)
        enqueue_password_reset("ana@example.com", language="en")
        (self.job_id,) = default_queue().job_ids
        self.job_page = f"{DASHBOARD}queues/0/{self.job_id}/"

    def permit(self):
        self.user.user_permissions.add(Permission.objects.get(content_type__app_label="django_rq", codename="admin"))

    def test_staff_without_its_permission_stays_out(self):
        for path in ("", "stats.json", "queues/0/", f"queues/0/{self.job_id}/", "workers/0/"):
            with self.subTest(path):
                self.assertEqual(self.admin.get(DASHBOARD + path).status_code, 403)

    def test_staff_without_its_permission_deletes_no_job(self):
        for path in (f"queues/0/{self.job_id}/delete/", "queues/0/empty/"):
            with self.subTest(path):
                self.assertEqual(self.admin.post(DASHBOARD + path, {"post": "yes"}).status_code, 403)
        self.assertEqual(default_queue().job_ids, [self.job_id])

    def test_staff_without_its_permission_sees_no_link(self):
        self.assertNotContains(self.admin.get("/admin/"), DASHBOARD)

    def test_others_are_sent_to_log_in(self):
        for client in (Client(), client_for(make_user(is_superuser=True))):
            response = client.get(self.job_page)
            self.assertRedirects(response, f"/admin/login/?next={self.job_page}", fetch_redirect_response=False)

    def test_the_permission_opens_it_from_the_admins_index_on(self):
        self.permit()

        self.assertContains(self.admin.get("/admin/"), DASHBOARD)
        self.assertContains(self.admin.get(DASHBOARD), "default")
        self.assertContains(self.admin.get(f"{DASHBOARD}queues/0/"), self.job_id)
        self.assertContains(self.admin.get(self.job_page), "ana@example.com")
        self.assertEqual(self.admin.get(f"{DASHBOARD}stats.json").json()["queues"][0]["jobs"], 1)

    def test_pickles_are_shown_unread(self):
        self.permit()
        folder = Path(self.enterContext(TemporaryDirectory()))
        bombs = put_bombs(default_queue().connection, folder)

        for page in ("", "stats.json", "queues/0/", "queues/0/started/", "workers/0/"):
            self.assertEqual(self.admin.get(DASHBOARD + page).status_code, 200, page)
        self.assertContains(self.admin.get(f"{DASHBOARD}queues/0/"), bombs[0])
        self.assertContains(self.admin.get(f"{DASHBOARD}queues/0/{bombs[0]}/"), bombs[0])
        self.admin.raise_request_exception = False  # django-rq cannot show a result that it cannot read
        for job_id in bombs[1:]:
            self.admin.get(f"{DASHBOARD}queues/0/{job_id}/")
        self.assertEqual(list(folder.iterdir()), [])

    def test_pages_of_rows_are_not_there_for_there_is_no_table(self):
        self.permit()
        for path in ("add/", "1/change/", "1/delete/", "1/history/"):
            with self.subTest(path):
                self.assertEqual(self.admin.get(DASHBOARD + path).status_code, 404)

    def test_job_is_deleted_there(self):
        self.permit()

        self.admin.post(f"{self.job_page}delete/", {"post": "yes"})

        self.assertEqual(default_queue().job_ids, [])

    def test_posts_without_a_csrf_token_are_refused(self):
        self.permit()
        strict = Client(enforce_csrf_checks=True)
        strict.force_login(self.user)

        self.assertEqual(strict.post(f"{self.job_page}delete/", {"post": "yes"}).status_code, 403)
        self.assertEqual(default_queue().job_ids, [self.job_id])
