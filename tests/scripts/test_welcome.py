import re
from unittest import mock

from django.conf import settings
from django.test import SimpleTestCase, override_settings

from script.welcome import qr_code, welcome

URL, LAN_URL = "http://127.0.0.1:8000", "http://192.168.1.5:8000"
PATH = "/u/" + "t" * 43 + "/"
SANDBOX = {"CLOUDINARY_URL": "http://127.0.0.1:8089"}
OPEN_TO_ALL = "EVERYONE IN THIS NETWORK CAN REACH"


@override_settings(DEBUG=True)
class WelcomeTests(SimpleTestCase):
    def setUp(self):
        super().setUp()
        self.enterContext(mock.patch.dict("os.environ", SANDBOX))

    def welcome(self, **options) -> str:
        return welcome(**{"url": URL, "settings": settings, "started": SANDBOX, "guest_path": PATH} | options)

    def test_guest_link_is_in_a_line_of_its_own(self):
        self.assertIn(f"\n  {URL}{PATH}\n", self.welcome())
        self.assertNotIn(OPEN_TO_ALL, self.welcome())

    def assert_shows_qr_code(self, link: str, printed: str) -> None:
        shown = re.findall(r"^\033\[97;40m(.*)\033\[0m$", printed, re.MULTILINE)
        self.assertEqual(shown, qr_code(link))

    def test_qr_code_is_for_a_terminal_that_it_fits(self):
        width = max(map(len, qr_code(URL + PATH)))
        self.assertLess(width, 80)
        self.assert_shows_qr_code(URL + PATH, self.welcome(columns=width))
        for columns in (0, width - 1):
            self.assertNotIn("\N{FULL BLOCK}", self.welcome(columns=columns))

    def test_in_a_network_link_and_code_begin_with_its_address_and_it_is_said_what_that_opens(self):
        printed = self.welcome(lan_url=LAN_URL, columns=80)
        self.assertIn(f"\n  {LAN_URL}{PATH}\n", printed)
        self.assert_shows_qr_code(LAN_URL + PATH, printed)
        self.assertIn(f"{OPEN_TO_ALL} THIS DEVELOPMENT SERVER, at {LAN_URL}.", printed)
        self.assertNotIn("On this machine alone", printed)

    def test_without_a_page_for_guests_it_is_still_said_what_is_open(self):
        printed = self.welcome(lan_url=LAN_URL, guest_path="")
        self.assertNotIn("/u/", printed)
        self.assertIn(OPEN_TO_ALL, printed)
