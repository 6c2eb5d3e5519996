import ast
import re
import subprocess
import sys
from pathlib import Path

from django.conf import settings
from django.test import SimpleTestCase, TransactionTestCase, tag

from apps.tickets.lifecycle.outcomes import ERROR_CODES
from script import serve
from script.run_tests import dotenv_values
from tests.scripts.programs import read_until, start_command

ROOT = settings.BASE_DIR
README = (ROOT / "README.md").read_text()
HOUSE = (ROOT / "docs" / "house.md").read_text()
PAGES = {path: path.read_text() for path in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]}

# What Django asks of every app, and says nothing about ours.
OF_EVERY_APP = {"__init__.py", "apps.py", "urls.py"}
NAMED_BY_DJANGO = {"management", "commands", "migrations"}
NOT_IN_GIT = {"var", "__pycache__", "staticfiles"}


def section(title: str) -> str:
    """What stands below a heading of README.md, up to the next heading."""
    return README.partition(f"# {title}\n")[2].partition("\n#")[0]


def shell_lines(title: str) -> str:
    return "".join(re.findall(r"```sh\n(.*?)```", section(title), re.DOTALL))


@tag("slow")
class SessionTests(TransactionTestCase):
    def test_sessions_work_as_they_are_pasted(self):
        port = serve.free_port()
        environment = {"PORT": str(port), "DEBUG": "on", "REDIS_URL": "", "STAGING_REDIS_URL": "", "CLOUDINARY_URL": ""}
        server = start_command([sys.executable, "-m", "script.serve"], environment=environment)
        self.addCleanup(server.stdout.close)
        self.addCleanup(server.wait)
        self.addCleanup(server.terminate)
        read_until(server, "hopla is up")
        session = shell_lines("A first session") + shell_lines("Write a client")
        session = session.replace("127.0.0.1:8000", f"127.0.0.1:{port}").replace(".venv/bin/python", sys.executable)
        pasted = subprocess.run(["sh"], input=session, cwd=ROOT, capture_output=True, text=True, timeout=60)
        self.assertEqual(pasted.stderr, "")
        self.assertEqual(pasted.stdout.count('"status":"queued"'), 2)
        self.assertEqual(pasted.stdout.count('"status": "stored"'), 2)
        self.assertIn('"code":"ticket_completed"', pasted.stdout)
        self.assertRegex(pasted.stdout, r'202\n202\n202\n.*"stored":1,"failed":0.*\n304\n$')


class MapTests(SimpleTestCase):
    def test_every_package_says_in_a_sentence_what_it_is_for(self):
        packages = [ROOT / "hopla" / "__init__.py", *(ROOT / "apps").rglob("__init__.py")]
        packages = [path for path in packages if not NAMED_BY_DJANGO.intersection(path.parts)]
        self.assertGreater(len(packages), 20)
        for path in packages:
            with self.subTest(str(path.relative_to(ROOT))):
                self.assertRegex(ast.get_docstring(ast.parse(path.read_text())) or "", r"\A\S.{10,}[.]")

    def test_every_folder_of_the_checkout_is_on_the_map(self):
        described = set(re.findall(r"^\| `([^`]+/)` \|", section("Find your way"), re.MULTILINE))
        folders = {f"{path.name}/" for path in ROOT.iterdir() if path.is_dir() and path.name not in NOT_IN_GIT}
        folders -= {name for name in folders if name.startswith(".") and name != ".ci/"} | {"apps/"}
        folders |= {f"apps/{path.name}/" for path in (ROOT / "apps").iterdir() if (path / "apps.py").exists()}
        self.assertEqual(described, folders)

    def test_every_module_has_its_line_and_every_line_its_module(self):
        described = set()
        for folder, lines in re.findall(r"^## (\S+/)\n(.*?)(?=^## |\Z)", HOUSE, re.DOTALL | re.MULTILINE):
            for line in re.findall(r"^- (.*?):", lines, re.MULTILINE):
                described |= {folder + name for name in re.findall(r"`([\w/.-]+(?:\.py|/))`", line)}
        modules = set()
        for folder in ("hopla", "apps", "apps/*", "script", "bench"):
            modules |= {str(path.relative_to(ROOT)) for path in ROOT.glob(f"{folder}/*.py")}
        missing = {path for path in modules if Path(path).name not in OF_EVERY_APP} - described
        self.assertEqual(missing, set(), "docs/house.md says nothing of these")
        gone = {path for path in described if not (ROOT / path).exists()}
        self.assertEqual(gone, set(), "docs/house.md speaks of these, which are not there")


class ReferenceTests(SimpleTestCase):
    def test_variables_and_their_defaults_are_those_of_the_example(self):
        example = dotenv_values(ROOT / ".env.example")
        rows = re.findall(r"^\| `([A-Z_]+)` \| (?:`(.*?)`)? ?\|", section("Run it"), re.MULTILINE)
        self.assertGreater(len(rows), 9)
        self.assertEqual(dict(rows), {name: example.get(name) for name, _ in rows})

    def test_links_lead_somewhere(self):
        for page, text in PAGES.items():
            for target, anchor in re.findall(r"\]\((?!http)([^)#]*)(?:#([^)]*))?\)", text):
                with self.subTest(page=page.name, target=target, anchor=anchor):
                    led_to = (page.parent / target).resolve() if target else page
                    self.assertTrue(led_to.exists())
                    if anchor:
                        self.assertIn(anchor, anchors_of(PAGES[led_to]))

    def test_error_codes_of_an_image_are_explained(self):
        sources = "".join(path.read_text() for path in (ROOT / "apps" / "tickets").glob("*.py"))
        codes = set(re.findall(r'record_\w+\([^()]*code="(\w+)"', sources))
        codes |= set(
            re.findall(r'^    code = "(\w+)"', (ROOT / "apps/tickets/storage/cloudinary.py").read_text(), re.MULTILINE)
        )
        explained = (ROOT / "docs" / "operations.md").read_text()
        self.assertLessEqual(codes - {"cloudinary_error", "cloudinary_credentials"}, set(ERROR_CODES))
        self.assertEqual([code for code in ERROR_CODES if f"`{code}`" not in explained], [])


def anchors_of(page: str) -> set[str]:
    """What links to its headings end with, as GitHub makes them."""
    return {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles_of(page)}


def titles_of(page: str) -> list[str]:
    return re.findall(r"^#+ (.*)", page, re.MULTILINE)
