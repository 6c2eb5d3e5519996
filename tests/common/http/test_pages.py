"""The pages for browsers: the first page, and the error pages outside the API."""

import re

from django.contrib.admin import site
from django.contrib.staticfiles import finders
from django.core.exceptions import PermissionDenied
from django.db import OperationalError
from django.test import SimpleTestCase
from django.test.utils import override_settings
from django.urls import path, reverse

from hopla.urls import urlpatterns as hoplas_urls
from tests.makers import client_for

LANGUAGES = ("en", "es", "pl")


def crash(request):
    raise ValueError("secret")


def miss_the_database(request):
    raise OperationalError("secret")


def deny(request):
    raise PermissionDenied("secret")


urlpatterns = [*hoplas_urls, path("crash/", crash), path("denied/", deny), path("away/", miss_the_database)]


class PageTestCase(SimpleTestCase):  # it allows no query: pages work while the database is unavailable
    def setUp(self):
        self.client = client_for()

    def page(self, url: str, language: str = "en", *, status: int = 200) -> str:
        response = self.client.get(url, headers={"Accept-Language": language})
        self.assertEqual(response.status_code, status)
        self.assertEqual(response["Content-Type"], "text/html; charset=utf-8")
        return response.content.decode()

    @staticmethod
    def heading(page: str) -> str:
        return re.search("<h1>(.+)</h1>", page)[1]


class FirstPageTests(PageTestCase):
    def test_leads_to_documentation_admin_and_readiness(self):
        page = self.page("/")
        for address in ("/documentation/", "/redoc/", "/swagger.json", "/admin/", "/readyz"):
            self.assertIn(f'href="{address}"', page)

    def test_is_in_the_readers_language(self):
        headings = set()
        for language in LANGUAGES:
            page = self.page("/", language)
            self.assertIn(f'<html lang="{language}">', page)
            headings.add(self.heading(page))
        self.assertEqual(len(headings), len(LANGUAGES))
        self.assertEqual(self.page("/", "ja"), self.page("/", "en"))

    def test_head_and_other_methods(self):
        self.assertEqual(self.client.head("/").status_code, 200)
        self.assertEqual(self.client.post("/").status_code, 405)

    def test_admin_leads_here(self):
        self.assertEqual(site.site_url, reverse("home"))

    def test_needs_nothing_that_its_policy_forbids(self):
        response = self.client.get("/")
        policy = response["Content-Security-Policy"]
        self.assertIn("default-src 'none'", policy)
        self.assertNotIn("unsafe", policy)
        page = response.content.decode()
        self.assertNotRegex(page, r"<script|<style|\sstyle=|\son\w+=")
        loaded = re.findall(r'<(?:link|img)[^>]+(?:href|src)="/static/([^"]+)"', page)
        self.assertEqual(len(loaded), 3)
        self.assertEqual([name for name in loaded if not finders.find(name)], [])


@override_settings(ROOT_URLCONF=__name__)
class RefusalPageTests(PageTestCase):
    def test_say_what_happened_in_the_readers_language_and_lead_to_the_first_page(self):
        for url, status in (("/nothing/", 404), ("/support/", 404), ("/denied/", 403), ("/crash/", 500)):
            headings = set()
            for language in LANGUAGES:
                with self.subTest(url, language=language):
                    page = self.page(url, language, status=status)
                    self.assertIn('href="/"', page)
                    self.assertNotIn("secret", page)
                    headings.add(self.heading(page))
            self.assertEqual(len(headings), len(LANGUAGES), url)

    def test_unavailable_database_is_said_in_a_line_and_not_logged_as_a_crash(self):
        with self.assertLogs(level="ERROR") as told:
            self.assertNotIn("secret", self.page("/away/", status=503))
        self.assertEqual([line for line in told.output if "\n" in line], [])
        self.assertIn("a backing service is unavailable: OperationalError", told.output[0])
        self.assertEqual(self.client.get("/away/")["Retry-After"], "5")

    def test_missing_final_slash_still_leads_on(self):
        response = self.client.get("/documentation")
        self.assertEqual((response.status_code, response["Location"]), (301, "/documentation/"))

    def test_the_api_still_speaks_json(self):
        self.assertEqual(self.client.get("/api/v1/nothing/")["Content-Type"], "application/problem+json")
