import base64
import functools
import http.server
import importlib.util
import os
import re
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import SkipTest, mock
from urllib.parse import urlsplit

from script.browser import NEEDED as BROWSER_NEEDED
from script.browser import find_chromium
from script.clients import NEEDED
from tests.clients.case import DEADLINE_SECONDS, ClientsTestCase, bundle, snippet_of
from tests.faults.case import needs_postgres
from tests.faults.clients import new_key
from tests.faults.world import PATIENT


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


@contextmanager
def served(folder: Path):
    """Yields the origin of a web server of the files in that folder."""
    handler = functools.partial(QuietHandler, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


SMALL = 100_000  # bytes of a photo
DELAYS = [0, 100, 1000, 1000]


@needs_postgres
class ResumableClientTests(ClientsTestCase):
    @classmethod
    def setUpClass(cls):
        cls.page_folder = Path(cls.enterClassContext(TemporaryDirectory()))
        cls.page_origin = cls.enterClassContext(served(cls.page_folder))
        cls.world_options = {"environment": PATIENT | {"CORS_ALLOWED_ORIGINS": cls.page_origin}}
        super().setUpClass()

    def test_tus_js_client_over_a_line_that_is_cut(self):
        self.make_photos()
        line = self.cut_line()

        photos = [{"path": str(path), "filename": path.name, "key": new_key()} for path in self.photos]
        self.run_node("snippet", photos=photos, **self.given(line))

        self.assert_all_arrived_once()
        self.assert_little_was_sent_twice(line)

    def test_tus_js_client_finds_a_finished_upload_and_sends_nothing(self):
        self.make_photos(1, size=SMALL)
        [path], key = self.photos, new_key()
        given = {"photos": [{"path": str(path), "filename": path.name, "key": key}]}
        [url] = self.run_node("snippet", **given, **self.given(self.line()))
        line = self.line()
        [there] = self.run_node("snippet", **given, **self.given(line))  # by the key of the photo, from another line

        answers = self.run_node("options", path=str(path), options=self.options(line) | {"uploadUrl": url})

        self.assertEqual(answers, ["HEAD 200"])
        self.assertEqual(urlsplit(there).path, urlsplit(url).path)
        self.assertLess(line.sent, SMALL / 2)
        self.assert_all_arrived_once()

    def test_tus_js_client_asks_again_after_a_conflict_with_another_device(self):
        self.make_photos(1, size=SMALL)
        [path] = self.photos

        answers = self.run_node("overtaken", path=str(path), options=self.options(self.line()))

        self.assertEqual(answers, ["POST 201", "PATCH 409", "HEAD 200", "PATCH 204"])
        self.assert_all_arrived_once()

    def test_tus_js_client_that_has_post_alone(self):
        self.make_photos(1, size=SMALL)
        [path] = self.photos
        options = self.options(self.line()) | {"overridePatchMethod": True, "chunkSize": SMALL // 2}

        self.assertEqual(
            self.run_node("options", path=str(path), options=options), ["POST 201", "POST 204", "POST 204"]
        )

        self.assert_all_arrived_once()

    def test_curl_told_by_104_where_to_resume_over_a_line_that_is_cut(self):
        self.make_photos()
        line = self.cut_line()

        for path, content in self.photos.items():
            self.send_with_curl(path, content, url=f"{line.url}/api/v1/tickets/{self.ticket}/images/")

        self.assert_all_arrived_once()
        self.assert_little_was_sent_twice(line)

    def send_with_curl(self, path: Path, content: bytes, *, url: str) -> None:
        """As the IETF has it. Posts the photo, and goes on where it broke off until it has its plain answer."""
        head = self.curl(url, "--data-binary", f"@{path}", "-H", "Content-Type: image/jpeg")
        location = re.search(r"^HTTP/1.1 104 .*?^Location: (\S+)", head, re.DOTALL | re.MULTILINE | re.IGNORECASE)
        while " 202 " not in head:
            found = re.search(r"^Upload-Offset: (\d+)", self.curl(location[1], "--head"), re.MULTILINE | re.IGNORECASE)
            if not found:
                continue
            offset = int(found[1])
            rest = self.folder / "rest"
            rest.write_bytes(content[offset:])
            options = ["-X", "PATCH", "--data-binary", f"@{rest}", "-H", f"Upload-Offset: {offset}"]
            head = self.curl(location[1], *options, "-H", "Content-Type: application/partial-upload")

    def curl(self, url: str, *options: str) -> str:
        """The heads of all its answers, as far as they came."""
        spoken = {"Authorization": f"Token {self.token}", "Upload-Draft-Interop-Version": "8"}
        if "--head" not in options:
            spoken["Upload-Complete"] = "?1"
        named = [word for name, value in spoken.items() for word in ("-H", f"{name}: {value}")]
        heads = self.folder / "heads"
        heads.write_bytes(b"")
        command = ["curl", "-s", "-o", os.devnull, "-D", heads, *named, *options, url]
        subprocess.run(command, timeout=DEADLINE_SECONDS)
        return heads.read_text()

    def options(self, line) -> dict:
        """Of tus-js-client."""
        given = self.given(line)
        headers = {"Authorization": f"Token {self.token}"}
        return {"endpoint": f"{given['api']}/tickets/{self.ticket}/uploads/", "headers": headers, "retryDelays": DELAYS}

    def test_uppy_in_a_page_of_another_origin_over_a_line_that_is_cut(self):
        self.make_photos()
        line = self.cut_line()
        bundle(snippet_of("Uppy"), "drive_uppy.mjs", folder=self.page_folder, platform="browser")
        (self.page_folder / "index.html").write_text('<!doctype html><script src="bundle.js"></script>')
        photos = [
            {"filename": path.name, "base64": base64.b64encode(content).decode()}
            for path, content in self.photos.items()
        ]

        with self.open_page() as page:
            page.goto(self.page_origin)
            failed = page.evaluate("given => send(given)", {"photos": photos} | self.given(line))

        self.assertEqual(failed, [])
        self.assert_all_arrived_once()
        self.assert_little_was_sent_twice(line)

    @contextmanager
    def open_page(self):
        path = find_chromium()
        if not path:
            raise SkipTest(BROWSER_NEEDED)
        from playwright.sync_api import sync_playwright

        # Playwright's own event loop runs in this thread; our code here is as synchronous as ever.
        with (
            mock.patch.dict(os.environ, {"DJANGO_ALLOW_ASYNC_UNSAFE": "1"}),
            sync_playwright() as playwright,
            playwright.chromium.launch(executable_path=path) as chromium,
        ):
            yield chromium.new_page()

    def test_tuspy_over_a_line_that_is_cut(self):
        if not importlib.util.find_spec("tusclient"):
            raise SkipTest(NEEDED)
        self.make_photos()
        line = self.cut_line()
        exec(compile(snippet_of("Python"), "docs/resumable.md", "exec"), page := {})

        with ThreadPoolExecutor(len(self.photos)) as pool:
            sending = [
                pool.submit(page["send_photo"], str(path), key=new_key(), filename=path.name, **self.given(line))
                for path in self.photos
            ]
        for each in sending:
            each.result()

        self.assert_all_arrived_once()
        self.assert_little_was_sent_twice(line)
