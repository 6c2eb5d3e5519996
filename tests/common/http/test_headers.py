"""The security headers of every response: what it may load, where it may be framed, what it may use."""

import hashlib
import re
from base64 import b64encode
from pathlib import Path

import django_rq
from django.test import TestCase, override_settings

from tests.makers import client_for, make_user
from tests.scripts.test_environment import load_settings

PAGES = ("/admin/", "/admin/tickets/ticket/", "/admin/django_rq/dashboard/", "/documentation/", "/redoc/")


def policy_of(response) -> dict[str, list[str]]:
    directives = (directive.split() for directive in response["Content-Security-Policy"].split(";"))
    return {name: sources for name, *sources in directives}


class HeaderTests(TestCase):
    def setUp(self):
        self.client.force_login(make_user(is_staff=True, is_superuser=True))

    def test_page_runs_scripts_of_our_own_files_alone(self):
        for path in PAGES:
            with self.subTest(path):
                policy = policy_of(self.client.get(path))
                self.assertEqual((policy["default-src"], policy["script-src"]), (["'none'"], ["'self'"]))
                self.assertEqual((policy["base-uri"], policy["frame-ancestors"]), (["'none'"], ["'none'"]))

    def test_page_loads_nothing_from_elsewhere_but_photos(self):
        for path in PAGES:
            with self.subTest(path):
                policy = policy_of(self.client.get(path))
                elsewhere = {name: re.findall(r"\S*//\S*", " ".join(sources)) for name, sources in policy.items()}
                self.assertLessEqual({name for name, hosts in elsewhere.items() if hosts}, {"img-src"})

    def test_photos_are_shown_from_where_they_are_delivered(self):
        for url, origin in (
            ("", "https://res.cloudinary.com"),
            ("https://photos.example:8443/path/", "https://photos.example:8443"),
        ):
            with self.subTest(url):
                _, settings = load_settings({"CLOUDINARY_DELIVERY_URL": url})
                self.assertIn(origin, settings["CONTENT_SECURITY_POLICY"])

    def test_styles_of_the_queue_dashboard_are_let_in_by_their_hashes(self):
        policy = policy_of(self.client.get("/admin/django_rq/dashboard/"))
        templates = Path(django_rq.__file__).parent.rglob("templates/**/*.html")
        styles = {style for path in templates for style in re.findall(r"<style>(.*?)</style>", path.read_text(), re.S)}
        hashes = {f"'sha256-{b64encode(hashlib.sha256(style.encode()).digest()).decode()}'" for style in styles}
        self.assertEqual(set(policy["style-src"]) - {"'self'"}, hashes)

    def test_every_answer_says_what_it_may_be_used_for(self):
        for path in (*PAGES, "/api/v1/tickets/", "/api/v1/nothing/", "/swagger.json", "/no/such/page/"):
            with self.subTest(path):
                response = self.client.get(path)
                self.assertEqual(response["X-Content-Type-Options"], "nosniff")
                self.assertEqual(response["Referrer-Policy"], "same-origin")
                self.assertEqual(response["Cross-Origin-Opener-Policy"], "same-origin")
                self.assertEqual(response["X-Frame-Options"], "DENY")
                self.assertIn("default-src 'none'", response["Content-Security-Policy"])
                self.assertIn("camera=()", response["Permissions-Policy"])

    def test_answer_of_the_api_is_no_page(self):
        for path in ("/api/v1/tickets/", "/api/v1/nothing/"):
            with self.subTest(path):
                policy = policy_of(self.client.get(path))
                self.assertEqual(policy, {"default-src": ["'none'"], "frame-ancestors": ["'none'"]})

    def test_problem_that_stands_for_an_answer_of_django_keeps_its_headers(self):
        with override_settings(ROOT_URLCONF="tests.common.api.test_problems"):
            response = client_for().get("/api/v1/plain/")
        self.assertEqual((response.status_code, response["Content-Type"]), (500, "application/problem+json"))
        self.assertEqual(response["X-Content-Type-Options"], "nosniff")
        self.assertEqual(response.get("Content-Length", str(len(response.content))), str(len(response.content)))
