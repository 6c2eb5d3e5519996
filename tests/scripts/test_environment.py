import json
import re
import subprocess
import sys
from itertools import pairwise

from django.conf import settings
from django.test import SimpleTestCase

from script.run_tests import dotenv_values

EXAMPLE = settings.BASE_DIR / ".env.example"
READ_ELSEWHERE = {"PORT", "WEB_CONCURRENCY"}  # by script/server and gunicorn
READ = re.compile(r'(?:\benv\.\w+\(\s*|\bname=)"([A-Z_]+)"')

# Prints the settings that an environment makes, whatever a developer keeps in .env.
PRINT_SETTINGS = """
import environ
environ.Env.read_env = lambda *args, **kwargs: None
from hopla import settings
print(json.dumps({name: repr(value) for name, value in vars(settings).items() if name.isupper()}))
"""


def settings_made_by(environment: dict) -> dict:
    command = [sys.executable, "-c", "import json" + PRINT_SETTINGS]
    run = subprocess.run(command, env=environment, cwd=settings.BASE_DIR, capture_output=True, text=True, check=True)
    return json.loads(run.stdout)


class ExampleTests(SimpleTestCase):
    def test_every_variable_is_there_and_no_other(self):
        read = set(READ.findall((settings.BASE_DIR / "hopla" / "settings.py").read_text()))
        self.assertEqual(set(dotenv_values(EXAMPLE)), read | READ_ELSEWHERE)

    def test_every_variable_is_explained(self):
        lines = EXAMPLE.read_text().splitlines()
        variables = [(before, line) for before, line in pairwise(lines) if re.match("[A-Z_]+=", line)]
        self.assertEqual([line for before, line in variables if not before.startswith("# ")], [])

    def test_values_are_the_defaults(self):
        self.assertEqual(settings_made_by(dotenv_values(EXAMPLE)), settings_made_by({}))
