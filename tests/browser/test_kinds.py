from django.urls import reverse

from apps.tickets.models import ExamplePicture, TicketKind
from tests.browser.case import DESKTOP, PHONE, BrowserTestCase
from tests.makers import jpeg_bytes, make_kind

ADD = "/admin/tickets/ticketkind/add/"


class KindFormTests(BrowserTestCase):
    """The form of a kind, as staff fill it in: rows of slots that are added, moved and sent with a picture."""

    def names(self, tab) -> list[str]:
        inputs = tab.page.locator(".inline-related:not(.empty-form) input[name$='-name']")
        return [each.input_value() for each in inputs.all()]

    def add_slot(self, tab, name: str) -> None:
        number = len(self.names(tab))
        tab.page.locator("#slots-group .add-row a").click()
        tab.page.locator(f"#id_slots-{number}-name").fill(name)

    def row(self, tab, number: int):
        return tab.page.locator(".inline-related:not(.empty-form)").nth(number)

    def save(self, tab) -> TicketKind:
        with tab.page.expect_navigation():
            tab.page.locator("input[name=_save]").click()
        errors = tab.page.locator(".errorlist, .errornote").all()
        self.assertEqual(([each.inner_text() for each in errors], tab.complaints()), ([], []))
        return TicketKind.objects.get()

    def test_kind_is_made_by_keyboard_alone_on_any_screen(self):
        for scheme, size, language in (("light", DESKTOP, "es"), ("dark", PHONE, "pl")):
            with self.subTest(language):
                TicketKind.objects.all().delete()
                tab = self.open_browser(user=self.superuser, scheme=scheme, size=size, language=language)
                self.assertEqual(tab.open(ADD), [])
                tab.page.locator("#id_name").fill("car")
                tab.page.locator("#id_titles_1").fill("Un coche")
                for name in ("front", "rear", "odometer"):
                    self.add_slot(tab, name)
                self.row(tab, 2).locator(".slot-up").focus()
                tab.page.keyboard.press("Enter")
                tab.page.keyboard.press("Enter")
                self.assertEqual(self.names(tab), ["odometer", "front", "rear"])
                self.assertTrue(tab.page.evaluate("document.activeElement.matches('.slot-down')"), "at the top")
                tab.page.keyboard.press("Enter")
                self.assertIn("2", tab.page.locator(".slots-told").inner_text())
                self.assertEqual(tab.cut_off(), [])
                self.assertLessEqual(tab.overflow(), 0)

                kind = self.save(tab)

                self.assertEqual([slot.name for slot in kind.slots.all()], ["front", "odometer", "rear"])
                self.assertEqual(kind.titles, {"es": "Un coche"})

    def test_rows_are_dragged_to_their_place(self):
        kind = make_kind("car", slots=["front", "rear", "odometer"])
        tab = self.open_browser(user=self.superuser)
        tab.open(reverse("admin:tickets_ticketkind_change", args=[kind.pk]))

        self.row(tab, 2).locator("h3").scroll_into_view_if_needed()
        moved, onto = self.row(tab, 2).locator("h3").bounding_box(), self.row(tab, 1).locator("h3").bounding_box()
        mouse = tab.page.mouse
        mouse.move(moved["x"] + 200, moved["y"] + 8)
        mouse.down()
        mouse.move(onto["x"] + 200, onto["y"] + 12, steps=5)
        mouse.move(onto["x"] + 200, onto["y"] + 6, steps=5)
        mouse.up()

        self.assertEqual(self.names(tab), ["front", "odometer", "rear"])
        kind = self.save(tab)
        self.assertEqual([slot.name for slot in kind.slots.all()], ["front", "odometer", "rear"])
        self.assertEqual(kind.version, 2)

    def test_row_that_was_added_by_mistake_goes_and_the_others_close_up(self):
        tab = self.open_browser(user=self.superuser)
        tab.open(ADD)
        for name in ("front", "mistake", "rear"):
            self.add_slot(tab, name)

        self.row(tab, 1).locator(".inline-deletelink").click()

        self.assertEqual(self.names(tab), ["front", "rear"])
        orders = tab.page.locator(".inline-related:not(.empty-form) input[name$='-order']").all()
        self.assertEqual([each.input_value() for each in orders], ["1", "2"])

    def test_picture_is_shown_when_it_is_chosen_and_after_it_is_saved(self):
        kind = make_kind("car", slots=["front"])
        change = reverse("admin:tickets_ticketkind_change", args=[kind.pk])
        tab = self.open_browser(user=self.superuser)
        tab.open(change)
        photo = {"name": "front.jpg", "mimeType": "image/jpeg", "buffer": jpeg_bytes(3)}

        self.row(tab, 0).locator("input[type=file]").set_input_files([photo])

        shown = self.row(tab, 0).locator("img.thumbnail")
        shown.wait_for()
        self.assertTrue(shown.evaluate("image => image.decode().then(() => image.naturalWidth > 0)"))
        self.assertEqual(self.save(tab).slots.get().example, ExamplePicture.objects.get())
        self.assertEqual(tab.open(change), [])
        saved = tab.page.locator("img.thumbnail")
        self.assertTrue(saved.first.evaluate("image => image.decode().then(() => image.naturalWidth > 0)"))
