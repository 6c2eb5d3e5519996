from tests.browser.case import DESKTOP, PHONE, BrowserTestCase

NARROW = {"width": 320, "height": 568}


class FirstPageTests(BrowserTestCase):
    def test_opens_without_a_complaint_in_any_window_and_light(self):
        for language in ("en", "es", "pl"):
            for size in (DESKTOP, PHONE, NARROW):
                for scheme in ("light", "dark"):
                    with self.subTest(language, width=size["width"], scheme=scheme):
                        tab = self.open_browser(user=None, size=size, scheme=scheme, language=language)
                        self.assertEqual(tab.open("/"), [])
                        self.assertEqual((tab.overflow(), tab.is_dark()), (0, scheme == "dark"))

    def test_leads_to_pages_that_are_there(self):
        tab = self.open_browser(user=None)
        tab.open("/")
        addresses = tab.page.eval_on_selector_all("main a", "links => links.map(link => link.pathname)")
        self.assertIn("/documentation/", addresses)
        for address in addresses:
            with self.subTest(address):
                # Nothing works for these tests in the background: /readyz says so.
                expected = 503 if address == "/readyz" else 200
                self.assertEqual(tab.page.request.get(address).status, expected)
