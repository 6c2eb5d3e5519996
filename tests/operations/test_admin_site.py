import re
from unittest import mock

from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from apps.accounts.tokens import new_jwt_pair
from apps.common.admin import lists
from tests.case import ApiTestCase
from tests.makers import make_image, make_ticket, make_user, token_for
from tests.support.makers import make_support_ticket

# Each page lists what it carries inline; the Content-Security-Policy lets none of it run.
INLINE = re.compile(r"<style|<script(?![^>]*\bsrc=)[^>]*>|\sstyle=|\son\w+=", re.IGNORECASE)
ELSEWHERE = re.compile(r"""(?:src|href|action)=["'](?:https?:)?//""")


class AdminSiteTests(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.admin = Client()
        self.admin.force_login(make_user(is_staff=True, is_superuser=True))

    def pages(self):
        models = self.admin.get("/admin/").context["available_apps"]
        lists = [model["admin_url"] for app in models for model in app["models"]]
        return ["/admin/", "/admin/login/", reverse("admin:accounts_user_add"), *lists]

    def test_pages_bear_hoplas_name_and_not_djangos(self):
        page = self.admin.get("/admin/")

        self.assertContains(page, "<title>Overview | hopla</title>")
        self.assertContains(page, "hopla/favicon.svg")
        self.assertNotContains(page, "Django administration")

    def test_models_stand_under_hoplas_own_headings(self):
        apps = self.admin.get("/admin/").context["available_apps"]

        headings = [app["name"] for app in apps]
        self.assertEqual(headings, ["Tickets", "Guests", "Integrations", "Support desk", "Accounts", "Queue"])
        names = {model["object_name"] for model in apps[headings.index("Accounts")]["models"]}
        self.assertEqual(names, {"User", "AuthToken", "Group", "OutstandingToken"})

    def test_staff_see_no_heading_without_a_model_for_them(self):
        clerk = make_user(is_staff=True)
        clerk.user_permissions.add(Permission.objects.get(codename="view_outstandingtoken"))
        self.admin.force_login(clerk)

        apps = self.admin.get("/admin/").context["available_apps"]

        self.assertEqual([app["app_label"] for app in apps], ["token_blacklist"])

    def test_pages_carry_nothing_inline_and_nothing_from_elsewhere(self):
        for path in self.pages():
            if "django_rq" in path:
                continue  # its pages are django-rq's, see apps/operations/queue_dashboard.py
            with self.subTest(path):
                html = self.admin.get(path, follow=True).content.decode()
                self.assertEqual(INLINE.findall(html) + ELSEWHERE.findall(html), [])

    def test_language_is_switched_for_the_pages_that_follow(self):
        for language, heading in (("es", "Resumen"), ("pl", "Przegląd"), ("en", "Overview")):
            with self.subTest(language):
                self.admin.post(reverse("set_language"), {"language": language}, headers={"Referer": "/admin/"})
                page = self.admin.get("/admin/")
                self.assertContains(page, f"<h1>{heading}</h1>")
                self.assertContains(page, f'<html lang="{language}"')

    def test_switching_leads_back_to_the_page(self):
        response = self.admin.post(
            reverse("set_language"), {"language": "pl"}, headers={"Referer": "http://testserver/admin/auth/group/"}
        )

        self.assertRedirects(response, "http://testserver/admin/auth/group/", fetch_redirect_response=False)


class ListTests(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.admin = Client()
        self.admin.force_login(make_user(is_staff=True, is_superuser=True))

    def add_one_of_each(self):
        user = make_user()
        token_for(user)
        new_jwt_pair(user)
        make_support_ticket(user)  # with the e-mail that tells of it
        make_image(make_ticket(user))

    def test_rows_cost_no_queries(self):
        self.add_one_of_each()
        apps = self.admin.get("/admin/").context["available_apps"]
        models = [model for app in apps for model in app["models"] if app["app_label"] != "django_rq"]
        lists = [model["admin_url"] for model in models]
        before = {path: self.queries_of(path) for path in lists}
        for _ in range(4):
            self.add_one_of_each()

        for path in lists:
            with self.subTest(path):
                self.assertEqual(self.queries_of(path), before[path])

    def queries_of(self, path: str) -> int:
        with CaptureQueriesContext(connection) as captured:
            self.assertEqual(self.admin.get(path).status_code, 200)
        return len(captured)

    def test_lists_of_tables_that_grow_count_no_further_than_they_show(self):
        for path in ("accounts/user", "accounts/authtoken", "support/supportticket", "support/email"):
            with self.subTest(path), mock.patch.object(lists, "COUNT_LIMIT", 1):
                self.add_one_of_each()
                self.add_one_of_each()
                self.assertContains(self.admin.get(f"/admin/{path}/"), "There are more than 1.")
