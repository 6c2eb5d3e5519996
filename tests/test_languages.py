"""English, Spanish and Polish: what a reader sees follows Accept-Language, the codes stay, the catalogues are whole."""

import subprocess
import sys

from django.conf import settings
from django.test import SimpleTestCase
from django.utils.translation import activate, get_language, gettext, override

from tests.case import ApiTestCase


class CatalogueTests(SimpleTestCase):
    def test_catalogues_are_complete_compiled_and_up_to_date(self):
        command = [sys.executable, "-m", "script.messages", "--check"]
        check = subprocess.run(command, cwd=settings.BASE_DIR, capture_output=True, text=True, check=False)
        self.assertEqual((check.returncode, check.stdout), (0, "The catalogues are complete.\n"), check.stderr)

    def test_placeholders_survive_translation(self):
        for language, expected in (("es", "el límite de 5 bytes"), ("pl", "limit 5 bajtów")):
            with self.subTest(language), override(language):
                shown = gettext("The photo is larger than the limit of {max_bytes} bytes.").format(max_bytes=5)
                self.assertIn(expected, shown)


class AnswerTests(ApiTestCase):
    def problem_in(self, language):
        return self.client.post("/api/v1/auth/login/", {}, headers={"Accept-Language": language}).json()

    def test_title_and_detail_follow_the_reader_and_the_code_stays(self):
        english, spanish, polish = (self.problem_in(language) for language in ("en", "es-MX", "pl,en;q=0.5"))
        self.assertEqual({problem["code"] for problem in (english, spanish, polish)}, {"invalid"})
        self.assertEqual(english["title"], "Bad Request")
        self.assertEqual(spanish["title"], "Solicitud incorrecta")
        self.assertEqual(polish["title"], "Nieprawidłowe żądanie")
        self.assertEqual(spanish["errors"][0]["code"], english["errors"][0]["code"])
        self.assertNotEqual(spanish["errors"][0]["detail"], english["errors"][0]["detail"])

    def test_unknown_language_gets_english(self):
        self.assertEqual(self.problem_in("ja")["title"], "Bad Request")


class LeftLanguageTests(ApiTestCase):
    def test_language_of_the_last_request_does_not_last_into_the_next_test(self):
        activate("es")

        self.setUp()

        self.assertEqual(get_language(), settings.LANGUAGE_CODE)
