import re

from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse

from tests.case import ApiTestCase
from tests.makers import make_user

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

        self.assertEqual([app["name"] for app in apps], ["Tickets", "Support desk", "Accounts", "Queue"])
        names = {model["object_name"] for model in apps[2]["models"]}
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
                continue  # its pages are django-rq's, see hopla/queue_dashboard.py
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
