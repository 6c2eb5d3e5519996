"""Base of the tests in which clients of resumable uploads send photos as their users would, by the snippets of
docs/resumable.md, over a line that is cut again and again."""

import hashlib
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import SkipTest

from django.conf import settings

from script.clients import MODULES, NODE_NEEDED, find_node
from tests.faults.case import FaultsTestCase
from tests.faults.clients import photo
from tests.faults.proxies import BadLine
from tests.makers import make_user, token_for

PAGE = settings.BASE_DIR / "docs" / "resumable.md"
HERE = Path(__file__).parent
PHOTOS, PHOTO_BYTES = 4, 400_000
CUT_AFTER_BYTES = 400_000
CUTS = 3  # at least: so often is the line cut, even when no byte is sent twice
MOST_SENT = 1.15  # times the photos
DEADLINE_SECONDS = 600  # of a program that hangs


def snippet_of(title: str) -> str:
    """The program below this heading of the page."""
    below = PAGE.read_text().partition(f"\n### {title}\n")[2].partition("\n##")[0]
    return re.search(r"```\w+\n(.*?)```", below, re.DOTALL)[1]


def bundle(snippet: str, driver: str, *, folder: Path, platform: str) -> Path:
    """The driver with the snippet and the packages that both import, as one file in that folder."""
    if not find_node():
        raise SkipTest(NODE_NEEDED)
    shutil.copy(HERE / driver, folder)
    (folder / "snippet.mjs").write_text(snippet)
    bundled = folder / "bundle.js"
    command = [
        MODULES / ".bin" / "esbuild",
        folder / driver,
        "--bundle",
        f"--platform={platform}",
        "--log-level=warning",
    ]
    subprocess.run([*command, f"--outfile={bundled}"], env=os.environ | {"NODE_PATH": str(MODULES)}, check=True)
    return bundled


class ClientsTestCase(FaultsTestCase):
    """`self.ticket` is for the photos `self.photos`, by their paths; a test sends them over `self.line`, if it calls
    `cut_line` over one that is cut."""

    def setUp(self):
        super().setUp()
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.user = make_user()
        self.client, self.token = self.client_of(self.user), token_for(self.user)

    def make_photos(self, number: int = PHOTOS, *, size: int = PHOTO_BYTES) -> None:
        self.ticket, self.photos = self.open_ticket(number), {}
        for seed in range(number):
            content = photo(f"{self.id()} {seed}", size=size)
            self.client.remember(content)
            path = self.folder / f"photo-{seed}.jpg"
            path.write_bytes(content)
            self.photos[path] = content

    def line(self, **options) -> BadLine:
        return self.enterContext(BadLine(self.world.url, in_step=True, **options))

    def cut_line(self) -> BadLine:
        return self.line(cut_after_bytes=CUT_AFTER_BYTES)

    def given(self, line: BadLine) -> dict:
        """What each snippet asks for."""
        return {"api": f"{line.url}/api/v1", "token": self.token, "ticket": self.ticket}

    def assert_all_arrived_once(self) -> None:
        """Each photo is stored, with the bytes that were sent, and the ticket completed."""
        self.wait_until(lambda: self.client.read_ticket(self.ticket)["status"] == "completed")
        images = self.client.read_ticket(self.ticket)["images"]
        sent = [hashlib.sha256(content).hexdigest() for content in self.photos.values()]
        self.assertCountEqual([image["sha256"] for image in images], sent)
        self.assertEqual({image["status"] for image in images}, {"stored"})
        self.assert_books_balance()

    def assert_little_was_sent_twice(self, line: BadLine) -> None:
        self.assertGreaterEqual(line.cuts, CUTS)
        self.assertLess(line.sent, MOST_SENT * sum(map(len, self.photos.values())))

    def run_node(self, way: str, **given):
        """What that way of drive_tus.mjs returns."""
        if not hasattr(self, "_bundled"):
            self._bundled = bundle(snippet_of("tus-js-client"), "drive_tus.mjs", folder=self.folder, platform="node")
        command = [find_node(), self._bundled, json.dumps({"way": way} | given)]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_SECONDS)
        self.assertEqual(ran.returncode, 0, ran.stderr)
        return json.loads(ran.stdout)
