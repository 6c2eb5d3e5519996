import json

from django.test import SimpleTestCase

from script.clients import NPM_FILES, NPM_SOURCE


class NpmPackagesTests(SimpleTestCase):
    def setUp(self):
        self.wanted, self.locked = (json.loads((NPM_SOURCE / name).read_text()) for name in NPM_FILES)

    def test_lock_holds_what_is_pinned(self):
        for name, version in self.wanted["dependencies"].items():
            with self.subTest(name):
                self.assertEqual(self.locked["packages"][f"node_modules/{name}"]["version"], version)

    def test_every_package_has_a_hash_and_no_registry(self):
        packages = [fields for path, fields in self.locked["packages"].items() if path]
        self.assertGreater(len(packages), 10)
        self.assertEqual([fields for fields in packages if "integrity" not in fields or "resolved" in fields], [])
