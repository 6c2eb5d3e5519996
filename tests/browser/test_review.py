import io

from django.utils import timezone
from PIL import Image as Picture

from apps.tickets.delivery.job import deliver_photo
from apps.tickets.intake.acceptance import accept_photo
from apps.tickets.models import Image, Ticket
from apps.tickets.upkeep.review import Rejection, request_retakes
from tests.browser.case import DESKTOP, PHONE, BrowserTestCase
from tests.case import default_queue
from tests.makers import jpeg_bytes, make_image, make_ticket, stage_photo
from tests.tickets.api.test_sets import slots

NARROW = {"width": 320, "height": 568}
LOADED = "image => image.decode().then(() => image.naturalWidth)"
SMALL = """size => [...document.querySelectorAll(".review button, .review select, .review-mark, .review-strip a")]
    .filter(each => each.checkVisibility())
    .filter(each => Math.min(each.getBoundingClientRect().width, each.getBoundingClientRect().height) < size)
    .map(each => each.outerHTML)"""
NAMELESS = """[...document.querySelectorAll(".review :is(button, input, select, textarea, a)")]
    .filter(each => each.type !== "hidden")
    .filter(each => !(each.ariaLabel || each.innerText || each.textContent.trim() || each.labels?.length
                      || each.querySelector("img")?.alt))
    .map(each => each.outerHTML)"""
COVERED = """() => {
    const bar = document.querySelector(".review-bar").getBoundingClientRect();
    return document.activeElement.getBoundingClientRect().bottom > bar.top;
}"""
PLACE = "document.activeElement.closest('.review-place')?.id"


class ReviewTests(BrowserTestCase):
    """How staff look at the photos of a ticket and decide, by mouse, key and finger, with and without JavaScript."""

    def setUp(self):
        super().setUp()
        self.ticket = self.make_completed(num_images=3, slots=slots("front", "rear", "odometer"), title="Claim 7")
        self.address = self.review_of(self.ticket)

    def make_completed(self, *, num_images: int, **fields) -> Ticket:
        """A ticket whose photos are at the sandbox; the first is larger than a screen."""
        ticket = make_ticket(self.superuser, num_images=num_images, **fields)
        for position in range(1, num_images + 1):
            self.post(ticket, position, large_photo() if position == 1 else jpeg_bytes(position))
        default_queue().empty()
        ticket.refresh_from_db()
        return ticket

    @staticmethod
    def post(ticket: Ticket, position: int, content: bytes) -> Image:
        image = accept_photo(ticket_id=ticket.pk, photo=stage_photo(content), position=position)
        deliver_photo(str(image.pk))
        return image

    @staticmethod
    def review_of(ticket: Ticket) -> str:
        return f"/admin/tickets/ticket/{ticket.pk}/review/"

    def open_review(self, **browser):
        tab = self.open_browser(user=self.superuser, **browser)
        self.assertEqual(tab.open(self.address), [])
        return tab

    @staticmethod
    def place(tab, position: int):
        return tab.page.locator(f"#place-{position}")

    def mark(self, tab, position: int, reason: str, note: str = "") -> None:
        place = self.place(tab, position)
        place.locator(".review-mark input").check()
        place.locator("select").select_option(reason)
        place.locator("textarea").fill(note)

    def press(self, tab, *names: str) -> None:
        for name in names:
            tab.page.keyboard.press(name)

    def assert_decided(self, status: str, review: str) -> None:
        self.ticket.refresh_from_db()
        self.assertEqual((self.ticket.status, self.ticket.review), (status, review))

    def test_page_fits_any_screen_in_every_language(self):
        request_retakes(self.ticket.pk, [Rejection(self.ticket.images.first().pk, "too_dark", "Light, please. " * 20)])
        self.post(self.ticket, 1, jpeg_bytes(9))
        with_hole = make_ticket(num_images=9, status="in_progress", title="A title that is rather long " * 5)
        make_image(with_hole, position=2)
        make_image(with_hole, position=3, status="failed", error_code="cloudinary_unavailable")
        for language, size, scheme, told in (
            ("en", NARROW, "light", "Ask for another"),
            ("es", DESKTOP, "light", "Pedir otra"),
            ("pl", PHONE, "dark", "Poproś o inne"),
        ):
            with self.subTest(language, width=size["width"]):
                tab = self.open_review(size=size, scheme=scheme, language=language)
                self.assertIn(told, self.place(tab, 1).inner_text())
                self.place(tab, 1).locator(".review-mark input").check()
                for path in (None, self.review_of(with_hole)):
                    self.assertEqual(tab.open(path) if path else [], [])
                    self.assertLessEqual(tab.overflow(), 0)
                    self.assertEqual(tab.cut_off(), [])
                    self.assertEqual(tab.is_dark(), scheme == "dark")
                    self.assertEqual(tab.page.evaluate(NAMELESS), [])
                    self.assertEqual(tab.page.evaluate(SMALL, 24 if size == DESKTOP else 44), [])

    def test_photos_are_shown_large_side_by_side(self):
        tab = self.open_review()
        photos = tab.page.locator(".review-zooms img")
        self.assertEqual(photos.first.evaluate(LOADED), 1600)
        tops = [self.place(tab, position).bounding_box()["y"] for position in (1, 2, 3)]
        self.assertTrue(tops[0] == tops[1] < tops[2])

        tab.page.get_by_label("3", exact=True).check()

        tab.open(self.address)
        self.assertEqual(len({self.place(tab, position).bounding_box()["y"] for position in (1, 2, 3)}), 1)

    def test_ticket_is_approved_and_the_next_one_comes(self):
        following = self.make_completed(num_images=1)
        tab = self.open_review()

        with tab.page.expect_navigation():
            tab.page.get_by_role("button", name="Approve").click()

        self.assert_decided("completed", "approved")
        self.assertTrue(tab.page.url.endswith(self.review_of(following)))
        self.assertIn("Approved.", tab.page.locator(".messagelist").inner_text())
        tab.page.get_by_role("link", name=f"Ticket {self.ticket.pk}").click()
        tab.page.wait_for_url(f"**{self.address}")
        self.assertEqual(tab.page.get_by_role("button", name="Approve").count(), 0)

    def test_other_photos_are_asked_for_with_reasons_and_notes(self):
        tab = self.open_review()
        ask = tab.page.locator(".review-asks")
        self.assertTrue(ask.is_disabled())
        self.assertFalse(self.place(tab, 1).locator("textarea").is_visible())

        self.mark(tab, 1, "blurred", "Sharper,\nplease")
        self.mark(tab, 3, "incomplete", "All digits")

        self.assertIn("(2)", ask.inner_text())
        self.assertTrue(tab.page.locator(".review-approves").is_disabled())
        self.assertIn("Place 3 of 3: odometer. Another one is asked for.", tab.page.get_by_role("status").inner_text())
        with tab.page.expect_navigation():
            ask.click()
        self.assert_decided("in_progress", "retake_requested")
        told = self.ticket.images.filter(status="rejected").values_list("rejection_reason", "rejection_note")
        self.assertEqual(list(told), [("blurred", "Sharper,\nplease"), ("incomplete", "All digits")])
        self.assertEqual(tab.complaints(), [])

    def test_what_was_typed_is_there_when_it_was_refused(self):
        tab = self.open_review()
        self.mark(tab, 1, "blurred", "Sharper, please")
        Ticket.objects.update(expires_at=timezone.now())

        tab.page.locator(".review-asks").click()

        tab.page.locator("[role=alert]").wait_for()
        self.assertEqual(self.place(tab, 1).locator("textarea").input_value(), "Sharper, please")
        tab.page.get_by_label("takes photos until").fill("2099-12-31T10:30")
        with tab.page.expect_navigation():
            tab.page.locator(".review-asks").click()
        self.assert_decided("in_progress", "retake_requested")

    def test_page_asks_before_it_forgets_what_was_typed(self):
        tab = self.open_review()
        asked = []
        tab.page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.accept()))
        tab.open(self.address)
        self.assertEqual(asked, [])
        self.place(tab, 1).locator(".review-mark input").check()

        tab.open(self.address)

        self.assertEqual(asked, ["beforeunload"])
        self.mark(tab, 1, "blurred")
        with tab.page.expect_navigation():
            tab.page.locator(".review-asks").click()
        self.assertEqual(asked, ["beforeunload"])

    def test_all_of_it_goes_by_keys(self):
        tab = self.open_review()
        self.press(tab, "j")
        self.assertEqual(tab.page.evaluate(PLACE), "place-1")
        self.press(tab, "ArrowRight", "j", "j", "k")
        self.assertEqual(tab.page.evaluate(PLACE), "place-2")

        self.press(tab, "Enter")
        self.assertIn("Place 2 of 3: rear", tab.page.locator(".review-zoom-caption").inner_text())
        self.press(tab, "k", "z")
        self.assertEqual(tab.page.locator("[data-key=zoom]").get_attribute("aria-pressed"), "true")
        self.press(tab, "j", "x", "Escape")
        self.assertFalse(tab.page.locator(".review-zoom").is_visible())
        self.assertEqual(tab.page.evaluate(PLACE), "place-2")
        self.assertTrue(self.place(tab, 2).locator(".review-mark input").is_checked())

        self.press(tab, "a")
        self.assert_decided("completed", "")  # as one is marked
        self.press(tab, "x", "x")
        self.assertTrue(tab.page.evaluate("document.activeElement.matches('#place-2 select')"))
        self.press(tab, "Escape", "x", "?")
        self.assertTrue(tab.page.locator(".review-keys").is_visible())
        self.press(tab, "Escape")
        tab.page.once("dialog", lambda dialog: dialog.accept())
        with tab.page.expect_navigation():
            self.press(tab, "a")
        self.assert_decided("completed", "approved")

    def test_keys_that_are_typed_or_switched_off_do_nothing(self):
        tab = self.open_review()
        self.mark(tab, 1, "other")
        self.place(tab, 1).locator("textarea").press_sequentially("jxa?")
        self.assertEqual(self.place(tab, 1).locator("textarea").input_value(), "jxa?")
        self.assertFalse(tab.page.locator(".review-keys").is_visible())
        self.assertEqual(tab.page.evaluate(PLACE), "place-1")

        tab.page.get_by_role("button", name="Keys").click()
        tab.page.get_by_label("Use these keys").uncheck()
        self.press(tab, "Escape")
        tab.open(self.address)
        self.press(tab, "j", "?")
        self.assertIsNone(tab.page.evaluate(PLACE))
        self.assertFalse(tab.page.locator(".review-keys").is_visible())

    def test_photo_is_enlarged_to_its_own_size_and_dragged(self):
        tab = self.open_review()
        tab.page.locator(".review-zooms").first.click()
        picture, stage = tab.page.locator(".review-stage img"), tab.page.locator(".review-stage")
        tab.page.locator(".review-stage img[data-whole]").wait_for()
        self.assertEqual(picture.evaluate(LOADED), 2400)
        self.assertLessEqual(picture.bounding_box()["width"], DESKTOP["width"])

        tab.page.locator("[data-key=zoom]").click()

        self.assertEqual((picture.bounding_box()["width"], picture.bounding_box()["height"]), (2400, 1800))
        self.assertGreater(stage.evaluate("stage => stage.scrollLeft"), 400, "the middle stays in the middle")
        before = picture.bounding_box()["x"]
        tab.page.mouse.move(600, 400)
        tab.page.mouse.down()
        tab.page.mouse.move(700, 400, steps=4)
        tab.page.mouse.up()
        self.assertEqual(picture.bounding_box()["x"], before + 100)
        tab.page.locator("[data-key=close]").click()
        self.assertFalse(tab.page.locator(".review-zoom").is_visible())
        self.assertEqual(tab.complaints(), [])

    def test_nothing_that_has_the_focus_is_under_the_bar(self):
        tab = self.open_review(size=PHONE)
        self.mark(tab, 1, "blurred")
        self.place(tab, 1).locator("textarea").focus()
        for _ in range(12):
            self.press(tab, "Tab")
            if tab.page.evaluate("document.activeElement.closest('.review-bar') !== null"):
                break
            self.assertFalse(tab.page.evaluate(COVERED), tab.page.evaluate("document.activeElement.outerHTML"))

    def test_everything_but_keys_and_zoom_works_without_javascript(self):
        tab = self.open_browser(user=self.superuser, size=PHONE, java_script=False)
        tab.open(self.address)
        self.mark(tab, 2, "wrong_subject", "The rear, please")
        tab.page.get_by_role("button", name="Approve").click()
        tab.page.locator("[role=alert]").wait_for()
        self.assertEqual(self.place(tab, 2).locator("textarea").input_value(), "The rear, please")

        with tab.page.expect_navigation():
            tab.page.locator(".review-asks").click()

        self.assert_decided("in_progress", "retake_requested")
        self.assertEqual(self.ticket.images.get(status="rejected").rejection_note, "The rear, please")

    def test_retake_is_compared_with_what_was_rejected(self):
        request_retakes(self.ticket.pk, [Rejection(self.ticket.images.first().pk, "too_dark", "Light, please")])
        self.post(self.ticket, 1, jpeg_bytes(9))
        tab = self.open_review()

        now, before = self.place(tab, 1).locator("figure").all()

        self.assertEqual(now.bounding_box()["y"], before.bounding_box()["y"])
        self.assertIn("Light, please", before.inner_text())
        before.locator(".review-zooms").click()
        self.assertIn("Earlier photo", tab.page.locator(".review-zoom-caption").inner_text())
        self.press(tab, "ArrowLeft")
        self.assertNotIn("Earlier photo", tab.page.locator(".review-zoom-caption").inner_text())


def large_photo() -> bytes:
    buffer = io.BytesIO()
    Picture.linear_gradient("L").resize((2400, 1800)).convert("RGB").save(buffer, "JPEG")
    return buffer.getvalue()
