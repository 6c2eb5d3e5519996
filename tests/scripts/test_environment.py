import base64
import json
import os
import re
import runpy
from itertools import pairwise
from unittest import mock

import environ
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.test import SimpleTestCase

from script.run_tests import dotenv_values

EXAMPLE = settings.BASE_DIR / ".env.example"
READ_ELSEWHERE = {"PORT", "WEB_CONCURRENCY"}  # by script/server and gunicorn
PRODUCTION = {
    "DEBUG": "off",
    "SECRET_KEY": "not-a-secret",
    "DATABASE_URL": "postgres://hopla@db.example/hopla",
    "REDIS_URL": "redis://redis.example/0",
    "CLOUDINARY_URL": "cloudinary://key:secret@cloud",
}


class NotingEnv(environ.Env):
    """Notes which variables are read, and passes over what a developer keeps in .env."""

    read = set()

    def get_value(self, name, *rest, **more):
        self.read.add(name)
        return super().get_value(name, *rest, **more)

    @classmethod
    def read_env(cls, *args, **kwargs):
        pass


def load_settings(environment: dict) -> tuple[set[str], dict[str, str]]:
    """Which variables the settings read, and what they make of them: a fresh copy, beside those of the tests."""
    noting = type("Env", (NotingEnv,), {"read": set()})
    with mock.patch.dict(os.environ, environment, clear=True), mock.patch.object(environ, "Env", noting):
        made = runpy.run_path(str(settings.BASE_DIR / "hopla" / "settings.py"))
    return noting.read, {name: repr(value) for name, value in made.items() if name.isupper()}


def error_of_settings(environment: dict) -> str:
    """The sentence with which the settings refuse this environment."""
    try:
        load_settings(environment)
    except ImproperlyConfigured as error:
        return str(error)
    return ""


class ExampleTests(SimpleTestCase):
    def test_every_variable_is_there_and_no_other(self):
        read_in_development, _ = load_settings({})
        read_in_production, _ = load_settings(PRODUCTION)
        self.assertEqual(set(dotenv_values(EXAMPLE)), read_in_development | read_in_production | READ_ELSEWHERE)

    def test_every_variable_is_explained(self):
        lines = EXAMPLE.read_text().splitlines()
        variables = [(before, line) for before, line in pairwise(lines) if re.match("[A-Z_]+=", line)]
        self.assertEqual([line for before, line in variables if not before.startswith("# ")], [])

    def test_values_are_the_defaults(self):
        _, by_example = load_settings(dotenv_values(EXAMPLE))
        _, by_default = load_settings({})
        self.assertEqual(by_example, by_default)


class SigningKeyTests(SimpleTestCase):
    ONE, TWO = base64.b64encode(b"1" * 32).decode(), base64.urlsafe_b64encode(b"\xff" * 32).decode()

    def keys_made_of(self, value: str) -> str:
        return load_settings({"MANIFEST_SIGNING_KEY": value})[1]["MANIFEST_SIGNING_KEY"]

    def test_keys_are_read_by_comma_in_either_base64(self):
        self.assertEqual(self.keys_made_of(f"{self.ONE}, {self.TWO}"), repr([b"1" * 32, b"\xff" * 32]))

    def test_none_is_none(self):
        self.assertEqual(self.keys_made_of(""), "[]")

    def test_a_key_that_is_none_stops_the_start_with_a_sentence_that_does_not_show_it(self):
        for value in ("c2hvcnQ=", "not base64 at all", f"{self.ONE},c2hvcnQ=", "ü" * 44):
            with self.subTest(value):
                sentence = error_of_settings({"MANIFEST_SIGNING_KEY": value})
                self.assertTrue(sentence.startswith("MANIFEST_SIGNING_KEY has a key (number"), sentence)
                self.assertIn("openssl rand -base64 32", sentence)
                self.assertNotIn("c2hvcnQ", sentence)
                self.assertNotIn("not base64 at all", sentence)


class WebhookSettingsTests(SimpleTestCase):
    def made_of(self, name: str, value: str, environment=()) -> str:
        return load_settings({**dict(environment), name: value})[1][name]

    def test_loopback_is_allowed_in_development_alone(self):
        networks = "[IPv4Network('127.0.0.0/8'), IPv6Network('::1/128')]"
        self.assertEqual(self.made_of("WEBHOOK_ALLOWED_NETWORKS", ""), networks)
        self.assertEqual(self.made_of("WEBHOOK_ALLOWED_NETWORKS", "", PRODUCTION), "[]")

    def test_networks_and_waits_are_read_by_comma(self):
        networks = self.made_of("WEBHOOK_ALLOWED_NETWORKS", "10.1.0.0/16, fd12::/16", PRODUCTION)
        self.assertEqual(networks, "[IPv4Network('10.1.0.0/16'), IPv6Network('fd12::/16')]")
        self.assertEqual(self.made_of("WEBHOOK_RETRY_SECONDS", "5, 300"), "[5, 300]")

    def test_default_waits_make_about_three_days(self):
        waits = json.loads(self.made_of("WEBHOOK_RETRY_SECONDS", ""))
        self.assertEqual(waits, sorted(waits))
        self.assertAlmostEqual(sum(waits) / 3600, 72, delta=1)

    def test_values_that_make_no_sense_stop_the_start_with_a_sentence(self):
        for name, values in {
            "WEBHOOK_ALLOWED_NETWORKS": ("10.0.0.1/8", "everything"),
            "WEBHOOK_RETRY_SECONDS": ("0", "5;300"),
        }.items():
            for value in values:
                with self.subTest(name, value=value):
                    sentence = error_of_settings({name: value})
                    self.assertTrue(sentence.startswith(name), sentence)
                    self.assertIn("such as" if name == "WEBHOOK_RETRY_SECONDS" else "10.1.0.0/16", sentence)
