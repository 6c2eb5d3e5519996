import io
import re
from contextlib import redirect_stdout

from django.test import SimpleTestCase
from packaging.requirements import Requirement

from script.dependencies import LOCK, ROOT, report


def pins(text: str) -> set[tuple[str, str, str]]:
    """(name, version, marker) of each line that names a package."""
    lines = (line.partition("#")[0].rstrip(" \\") for line in text.splitlines() if re.match("[A-Za-z]", line))
    requirements = [Requirement(line) for line in lines]
    return {(re.sub("[-_.]+", "-", each.name).lower(), str(each.specifier), str(each.marker)) for each in requirements}


class LockTests(SimpleTestCase):
    def test_holds_what_requirements_txt_pins(self):
        pinned = pins((ROOT / "requirements.txt").read_text())
        self.assertEqual(pins(LOCK.read_text()), pinned, "run script/lock")

    def test_every_package_has_hashes(self):
        packages = re.split(r"^(?=\w)", LOCK.read_text(), flags=re.MULTILINE)[1:]
        self.assertEqual([package for package in packages if "--hash=sha256:" not in package], [])

    def test_names_no_index(self):
        self.assertNotRegex(LOCK.read_text(), r"https?:|--(extra-)?index|--find-links")


class AuditTests(SimpleTestCase):
    sound = {"name": "sound", "version": "1", "vulns": []}
    unknown = {"name": "unknown", "skip_reason": "Dependency not found on PyPI"}
    vulnerable = {"name": "bad", "version": "2", "vulns": [{"id": "CVE-2026-1", "fix_versions": ["2.1"]}]}

    def report(self, *packages) -> tuple[int, str]:
        with redirect_stdout(io.StringIO()) as printed:
            return report(list(packages)), printed.getvalue()

    def test_vulnerability_fails_and_is_named_with_what_mends_it(self):
        code, printed = self.report(self.sound, self.vulnerable)
        self.assertEqual(code, 1)
        self.assertIn("bad 2: CVE-2026-1, fixed in 2.1", printed)

    def test_missing_data_is_said_and_is_no_failure(self):
        code, printed = self.report(self.sound, self.unknown)
        self.assertEqual(code, 0)
        self.assertIn("not checked: 1 of 2 packages", printed)
