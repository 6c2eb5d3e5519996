import os
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import SkipTest

from django.test import SimpleTestCase

from script.browser import NAMES, NEEDED, find_chromium
from tests.scripts.programs import output_of, start


class FindChromiumTests(SimpleTestCase):
    """In a process of its own: where a Chromium is, is looked up once in each."""

    def setUp(self):
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def find(self, *, path: str) -> str:
        source = "from script.browser import find_chromium; print(find_chromium())"
        environment = {"PATH": path, "PLAYWRIGHT_BROWSERS_PATH": str(self.folder)}
        return output_of(start(source, environment=environment)).splitlines()[-1]

    def make_program(self, name: str, script: str) -> Path:
        program = self.folder / name
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        return program

    def test_one_that_does_not_start_is_passed_over(self):
        self.make_program(NAMES[0], "exit 1")

        self.assertEqual(self.find(path=str(self.folder)), "None")

    def test_the_next_that_starts_is_taken(self):
        real = find_chromium()
        if not real:
            raise SkipTest(NEEDED)
        self.make_program(NAMES[0], "exit 1")
        working = self.make_program(NAMES[1], f'exec "{real}" "$@"')

        self.assertEqual(self.find(path=f"{self.folder}{os.pathsep}/usr/bin{os.pathsep}/bin"), str(working))
