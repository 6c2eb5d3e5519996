"""Base of the tests that see hopla's pages as people do: in a real Chromium, from the real web server, with photos from
the sandbox."""

import os
from contextlib import ExitStack
from unittest import SkipTest, mock
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.contenttypes.models import ContentType
from django.db import connection
from django.test import Client

from apps.accounts.models import User
from script.browser import NEEDED, find_chromium
from script.serve import free_port
from tests.case import CommittingTestCase
from tests.makers import make_user, running_sandbox
from tests.web_server import running_web_server

DESKTOP = {"width": 1280, "height": 850}
PHONE = {"width": 390, "height": 844}
PATIENCE_MILLISECONDS = 90_000  # only what hangs takes so long

# Of the page's background, 0 to 255.
BRIGHTNESS = "Math.max(...getComputedStyle(document.body).backgroundColor.match(/\\d+/g).slice(0, 3).map(Number))"

CUT_OFF = """
[...document.querySelectorAll("input, select, textarea, button, .button")]
    .filter(field => field.checkVisibility() && !field.closest(".results, .tabular, table, .selector"))
    .filter(field => {
        const box = (field.closest(".module") ?? document.documentElement).getBoundingClientRect();
        return field.getBoundingClientRect().right > box.right;
    })
    .map(field => `${field.tagName} ${field.id} ${field.className}`)
"""


class BrowserTestCase(CommittingTestCase):
    @classmethod
    def environment(cls, url: str) -> dict[str, str]:
        """What the web server, which is to be at this URL, is told besides where the photos are."""
        return {}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        if connection.vendor != "postgresql":
            raise SkipTest("needs PostgreSQL: pages look the same on any database, and this takes long")
        path = find_chromium()
        if not path:
            raise SkipTest(NEEDED)
        from playwright.sync_api import sync_playwright

        with ExitStack() as stack:
            # Playwright's own event loop runs in this thread; our code here is as synchronous as ever.
            stack.enter_context(mock.patch.dict(os.environ, {"DJANGO_ALLOW_ASYNC_UNSAFE": "1"}))
            sandbox = stack.enter_context(running_sandbox())
            photos = {"CLOUDINARY_URL": sandbox.cloudinary_url, "CLOUDINARY_DELIVERY_URL": sandbox.url}
            port = free_port()
            cls.url = f"http://127.0.0.1:{port}"
            stack.enter_context(running_web_server(port=port, **photos, **cls.environment(cls.url)))
            playwright = stack.enter_context(sync_playwright())
            cls.chromium = stack.enter_context(
                playwright.chromium.launch(executable_path=path, timeout=PATIENCE_MILLISECONDS)
            )
            cls.addClassCleanup(stack.pop_all().close)
        cls.sandbox = sandbox
        cls.hosts = {urlsplit(url).netloc for url in (cls.url, sandbox.url)}
        cls.content_types = list(ContentType.objects.all())

    def setUp(self):
        super().setUp()
        # The web server remembers their ids, and those differ after each test, when the database was emptied.
        ContentType.objects.all().delete()
        ContentType.objects.bulk_create(self.content_types)
        ContentType.objects.clear_cache()
        self.superuser = make_user("boss", is_staff=True, is_superuser=True)

    def open_browser(
        self,
        *,
        user: User | None,
        scheme: str = "light",
        size: dict = DESKTOP,
        language: str = "en",
        java_script: bool = True,
    ) -> "Tab":
        """A tab of a fresh browser in which this user, or none, is logged in to the admin."""
        context = self.chromium.new_context(
            color_scheme=scheme,
            viewport=size,
            locale=language,
            base_url=self.url,
            java_script_enabled=java_script,
        )
        self.addCleanup(context.close)
        context.set_default_timeout(PATIENCE_MILLISECONDS)
        if user is not None:
            session = Client()
            session.force_login(user)
            name = settings.SESSION_COOKIE_NAME
            context.add_cookies([{"name": name, "value": session.cookies[name].value, "url": self.url}])
        return Tab(context.new_page(), hosts=self.hosts)


class Tab:
    """A page of Playwright's, and everything that went wrong in it."""

    def __init__(self, page, *, hosts: set[str]):
        self.page = page
        self._complaints = []
        page.on("console", lambda message: self._note_message(message.type, message.text))
        page.on("pageerror", lambda error: self._complaints.append(str(error)))
        page.on("request", lambda request: self._note_request(request.url, hosts))
        page.on("response", lambda response: self._note_response(response.status, response.url))

    def open(self, path: str) -> list[str]:
        """Go there, and return what went wrong on the way: errors, failed responses, words with hosts
        other than hopla's and its photos'."""
        self.page.goto(path, wait_until="load")
        return self.complaints()

    def complaints(self) -> list[str]:
        found, self._complaints[:] = list(self._complaints), []
        return found

    def overflow(self) -> int:
        """By how many pixels the page is wider than the window."""
        return self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")

    def cut_off(self) -> list[str]:
        """What people fill in or press, and cannot see the end of; what lies in a table that scrolls can be seen."""
        return self.page.evaluate(CUT_OFF)

    def is_dark(self) -> bool:
        return self.page.evaluate(BRIGHTNESS) < 128

    def _note_message(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self._complaints.append(text)

    def _note_request(self, url: str, hosts: set[str]) -> None:
        if urlsplit(url).netloc not in {"", *hosts}:
            self._complaints.append(f"asks {url}")

    def _note_response(self, status: int, url: str) -> None:
        if status >= 400:
            self._complaints.append(f"{status} from {url}")
