import ast
import re
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from threading import Thread

from django.conf import settings
from django.test import SimpleTestCase, tag

from apps.tickets.lifecycle.outcomes import ERROR_CODES
from script import serve
from script.run_tests import dotenv_values
from tests.flush import FlushedTestCase
from tests.scripts.programs import read_until, start_command

ROOT = settings.BASE_DIR
README = (ROOT / "README.md").read_text()
PAGES = {path: path.read_text() for path in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]}

# What Django asks of an app, and says nothing about ours.
OF_EVERY_APP = {"management", "migrations", "static", "templates"}
NAMED_BY_DJANGO = {"management", "commands", "migrations"}
NOT_IN_GIT = {"var", "__pycache__", "staticfiles"}


INTEGRATE = (ROOT / "docs" / "integrate.md").read_text()
SESSION_SECONDS = 600  # of one that hangs


def section(title: str, *, page: str = README) -> str:
    """What stands below a heading of the page, up to the next heading."""
    return page.partition(f"# {title}\n")[2].partition("\n#")[0]


def shell_lines(title: str, *, page: str = README) -> str:
    return "".join(re.findall(r"```sh\n(.*?)```", section(title, page=page), re.DOTALL))


def read_on(program: subprocess.Popen) -> None:
    with suppress(ValueError):  # the test has ended, and closed it
        program.stdout.read()


@tag("slow")
class SessionTests(FlushedTestCase):
    def setUp(self):
        super().setUp()
        self.port = serve.free_port()
        environment = {"PORT": str(self.port), "DEBUG": "on"}
        environment |= {"REDIS_URL": "", "STAGING_REDIS_URL": "", "CLOUDINARY_URL": ""}
        server = start_command([sys.executable, "-m", "script.serve"], environment=environment)
        self.addCleanup(server.stdout.close)
        self.addCleanup(server.wait)
        self.addCleanup(server.terminate)
        told = read_until(server, "The user demo")
        self.same_servers = re.search("^export .*$", told, re.MULTILINE)[0] + "\n"
        Thread(target=read_on, args=[server], daemon=True).start()  # or it waits until somebody reads what it prints

    def paste(self, session: str) -> str:
        """What the session prints."""
        session = session.replace("127.0.0.1:8000", f"127.0.0.1:{self.port}").replace(
            ".venv/bin/python", sys.executable
        )
        try:
            pasted = subprocess.run(
                ["sh"], input=session, cwd=ROOT, capture_output=True, text=True, timeout=SESSION_SECONDS
            )
        except subprocess.TimeoutExpired as hung:
            self.fail(f"It hangs, after this: {(hung.stdout or b'').decode()[-5000:]}\n{(hung.stderr or b'').decode()}")
        self.assertEqual(pasted.stderr, "")
        return pasted.stdout

    def test_sessions_work_as_they_are_pasted(self):
        self.check_sessions_of_the_readme()
        self.check_session_of_integrators()

    def check_sessions_of_the_readme(self):
        session = "".join(map(shell_lines, ("A first session", "Collect a named set", "Write a client")))
        pasted = self.paste(session + shell_lines("Clients", page=PAGES[ROOT / "docs" / "resumable.md"]))
        self.assertEqual(pasted.count('"status":"queued"'), 2)
        self.assertEqual(pasted.count('"status": "stored"'), 2)
        self.assertIn('"code":"ticket_completed"', pasted)
        self.assertIn('"missing":["front"]', pasted)
        self.assertIn('"code":"slot_taken"', pasted)
        self.assertIn('"reference":"ORDER-12"', pasted)
        session, _, resumed = pasted.partition("\n304\n")
        self.assertRegex(session, r'202\n202\n202\n.*"stored":1,"failed":0.*$')
        self.assertRegex(resumed, r"(?s)^HTTP/1.1 201 .*\n0 of (\d+) bytes are there\n.*\n[1-9]\d* of \1 bytes")
        self.assertRegex(resumed, r"(?s)\nHTTP/1.1 204 .*\nContent-Location: .*\nIdempotent-Replayed: true\s$")

    def check_session_of_integrators(self):
        titles = ("A key", "A webhook", "A set completes", "Catch up", "Rotate the secret")
        session = self.same_servers + shell_lines("A first session")
        session += "".join(shell_lines(title, page=INTEGRATE) for title in titles)
        pasted = self.paste(session.replace("8021", str(serve.free_port())))
        told = [line for line in pasted.splitlines() if re.match(r"\d\d:\d\d:\d\d  ", line)]
        self.assertNotIn("NOT VERIFIED", pasted)
        self.assertIn("  ping  webhook ", told[0])
        received = "\n".join(told)  # in any order
        self.assertRegex(received, r'  ticket.created  ticket \d+ "Flat 12" \(ORDER-77\), pending, 0 of 2 stored  #1')
        self.assertRegex(received, r'  ticket.completed  ticket \d+ "Flat 12" \(ORDER-77\), completed, 2 of 2 stored')
        self.assertRegex(received, r"  ticket.completed  .*  \(again\)")
        self.assertRegex(pasted, r'"next":.*\n.*"type":"ticket.completed"')
        self.assertRegex(pasted, r'"status":"pending".*\n(.*\n)*{"count":\d+}')
        self.assertIn('"secret":"whsec_', pasted)


class MapTests(SimpleTestCase):
    def test_every_package_says_in_a_sentence_what_it_is_for(self):
        packages = [ROOT / "hopla" / "__init__.py", *(ROOT / "apps").rglob("__init__.py")]
        packages = [path for path in packages if not NAMED_BY_DJANGO.intersection(path.parts)]
        self.assertGreater(len(packages), 20)
        for path in packages:
            with self.subTest(str(path.relative_to(ROOT))):
                self.assertRegex(ast.get_docstring(ast.parse(path.read_text())) or "", r"\A\S.{10,}[.]")

    def test_every_folder_is_on_the_map(self):
        mapped = tables_of_folders()
        folders = {name for name in folders_in(ROOT) if name[0] != "." or name == ".ci/"} - {"apps/"}
        folders |= {f"apps/{name}" for name in folders_in(ROOT / "apps")}
        self.assertEqual(mapped[""], folders)
        for parent in ("apps/tickets/", "apps/common/"):
            self.assertEqual(mapped[parent], folders_in(ROOT / parent))

    def test_files_it_names_exist(self):
        named = re.findall(r"`(\w+/\w+\.py)`", section("Find your way"))
        self.assertEqual(len(named), 3)
        self.assertEqual([file for file in named if not (ROOT / "apps" / "tickets" / file).exists()], [])


def tables_of_folders() -> dict[str, set[str]]:
    """The folders in the first column of each table of the map, by the folder that the sentence above it names."""
    tables, parent = {}, ""
    for paragraph in section("Find your way").split("\n\n"):
        if paragraph.strip().startswith("|"):
            tables[parent] = set(re.findall(r"^\| `([^`]+/)` \|", paragraph, re.MULTILINE))
        elif found := re.search(r"`(apps/\w+/)`", paragraph):
            parent = found[1]
    return tables


def folders_in(folder: Path) -> set[str]:
    """With a slash at the end of each, and without those that are not the checkout's or that every app has."""
    left_out = NOT_IN_GIT | OF_EVERY_APP
    return {f"{path.name}/" for path in folder.iterdir() if path.is_dir() and path.name not in left_out}


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
        sources = "".join(path.read_text() for path in (ROOT / "apps" / "tickets").rglob("*.py"))
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
