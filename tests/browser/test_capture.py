"""The page where guests take photos, on an emulated phone whose camera is the files that are set on its inputs."""

from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from unittest import SkipTest

from django.conf import settings
from django.utils import timezone

from apps.guests.links import revoke, token_of
from apps.guests.models import GuestLink
from apps.tickets.delivery.job import deliver_photo
from apps.tickets.models import Image, slot_as_kept
from apps.tickets.upkeep.review import Rejection, request_retakes
from tests.browser.case import PATIENCE_MILLISECONDS, PHONE, BrowserTestCase, Tab
from tests.makers import jpeg_bytes, make_guest_link, make_image, make_ticket

NARROW = {"width": 320, "height": 568}
AXE = Path(settings.BASE_DIR) / "frontend" / "node_modules" / "axe-core" / "axe.min.js"
# What is pressed, and smaller than a thumb.
TOO_SMALL = """
[...document.querySelectorAll("label.take > span:first-child, .send, .example-link")]
    .filter(each => each.checkVisibility())
    .map(each => [each.textContent, each.getBoundingClientRect()])
    .filter(([_text, box]) => box.height < 44 || box.width < 44)
    .map(([text]) => text)
"""
SLOTS = [
    slot_as_kept("front", title="The front", source="camera"),
    slot_as_kept("back", title="The back", source="camera"),
]
LARGE = 1_000_000
WITHOUT_SUBTLE = "Object.defineProperty(crypto, 'subtle', {value: undefined});"  # as pages have it that came by http
WITHOUT_STORAGE = "Object.defineProperty(window, 'indexedDB', {get() { throw new Error('private mode') }});"


def is_patch(request) -> bool:
    return request.method == "PATCH" and "/uploads/" in request.url


def photo(seed: int, *, size: int | None = None, name: str = "image.jpg") -> dict:
    return {"name": name, "mimeType": "image/jpeg", "buffer": jpeg_bytes(seed, size=size)}


class Phone(Tab):
    """A page of the capture page's, and what a person does there."""

    def open(self, path: str) -> list[str]:
        complaints = super().open(path)
        self.page.wait_for_selector("html[data-ready]", state="attached")
        return complaints

    def tile(self, place: int):
        return self.page.locator(f"#place-{place}")

    def take(self, place: int, *photos: dict, from_gallery: bool = False) -> None:
        fields = self.tile(place).locator("input[type=file]")
        (fields.last if from_gallery else fields.first).set_input_files(list(photos))

    def wait_for(self, place: int, *states: str) -> None:
        self.page.wait_for_selector(",".join(f"#place-{place}[data-state={state}]" for state in states))

    def wait_for_words(self, words: str, where: str = "main") -> None:
        self.page.locator(where).get_by_text(words).first.wait_for()

    @contextmanager
    def cut_off_halfway(self, content: bytes):
        """Inside, an upload begins of which half comes; yields the request for the rest, which waits, in a list."""
        held = []

        def handle(route) -> None:
            if not is_patch(route.request):
                route.continue_()
            elif route.request.headers["upload-offset"] == "0":
                route.continue_(post_data=content[: len(content) // 2])
            elif self.holds:
                held.append(route)
            else:
                route.continue_()

        self.holds = True
        self.page.context.route("**/uploads/**", handle)
        with self.page.expect_request(lambda request: is_patch(request) and request.headers["upload-offset"] != "0"):
            yield held

    def requests(self, method: str) -> list:
        """Collects the requests of this method for uploads from now on."""
        found = []
        wanted = lambda request: request.method == method and "/uploads/" in request.url  # noqa: E731
        self.page.on("request", lambda request: found.append(request) if wanted(request) else None)
        return found


class CaptureTestCase(BrowserTestCase):
    def setUp(self):
        super().setUp()
        self.ticket = make_ticket(num_images=3, slots=SLOTS, title="Flat 3B")
        self.link = make_guest_link(self.ticket)
        self.path = f"/u/{token_of(self.link)}/"

    def phone(self, *, context=None, **options) -> Phone:
        context = context or self.context(**options)
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MILLISECONDS)
        return Phone(page, hosts=self.hosts)

    def context(self, *, script: str = "", scheme: str = "light", language: str = "en", **options):
        context = self.chromium.new_context(
            viewport=PHONE,
            device_scale_factor=2,
            is_mobile=True,
            has_touch=True,
            color_scheme=scheme,
            locale=language,
            base_url=self.url,
            **options,
        )
        self.addCleanup(context.close)
        if script:
            context.add_init_script(script)
        return context

    def opened(self, **options) -> Phone:
        phone = self.phone(**options)
        self.assertEqual(phone.open(self.path), [])
        return phone

    def deliver_all(self) -> None:
        for image in Image.objects.filter(status="queued"):
            deliver_photo(str(image.pk))

    def images(self) -> list[tuple]:
        return list(Image.objects.order_by("position").values_list("position", "status"))


class CapturePageTests(CaptureTestCase):
    """In one class, so that one server and one browser serve them all."""

    def test_whole_set(self):
        phone = self.opened()

        phone.take(1, photo(1))
        phone.wait_for(1, "received")
        phone.take(2, photo(2))
        phone.take(3, photo(3), from_gallery=True)
        for place in (2, 3):
            phone.wait_for(place, "received")
        phone.wait_for_words("3 of 3 photos have arrived.")
        self.deliver_all()
        phone.wait_for_words("Everything has arrived. Thank you!")

        self.assertEqual(self.images(), [(1, "stored"), (2, "stored"), (3, "stored")])
        self.assertEqual(GuestLink.objects.with_photos().get().photos, 3)
        self.assertRegex(phone.page.locator("#end-time").inner_text(), r"complete on \w+ \d+, \d{4} at ")
        phone.page.wait_for_selector("#place-1 img.photo")
        self.assertEqual(phone.page.evaluate("document.activeElement.id"), "end-title")
        self.assertEqual((phone.complaints(), phone.overflow()), ([], 0))

    def test_upload_goes_on_where_a_reload_or_an_end_of_the_page_cut_it_off(self):
        phone = self.opened()
        for place, is_killed in ((1, False), (2, True)):
            with self.subTest(is_killed=is_killed):
                content = photo(place, size=LARGE)
                with phone.cut_off_halfway(content["buffer"]) as held:
                    phone.take(place, content)
                phone.wait_for(place, "sending")
                phone.holds = False
                if is_killed:
                    phone.page.context.set_offline(True)  # or closing the page would let the request go on
                    held[0].abort()
                    phone.page.close()
                    phone = self.phone(context=phone.page.context)
                    phone.page.context.set_offline(False)
                with phone.page.expect_request(is_patch) as patch:
                    phone.open(self.path)
                    phone.wait_for(place, "received")
                self.assertEqual(patch.value.headers["upload-offset"], str(LARGE // 2))

    def test_without_a_network_photos_are_kept_and_sent_when_it_is_back(self):
        phone = self.opened()
        phone.page.context.set_offline(True)
        for place in (1, 2):
            phone.take(place, photo(place))
            phone.wait_for(place, "waiting")
        phone.wait_for_words("Waiting for a network: 2 photos are kept on this phone.", "#line")
        self.assertIn("Waiting for a network", phone.page.locator("#news").inner_text())
        self.assertEqual(Image.objects.count(), 0)
        phone.page.close()  # by the phone, which needs the memory

        phone = self.phone(context=phone.page.context)
        phone.page.context.set_offline(False)
        phone.open(self.path)

        for place in (1, 2):
            phone.wait_for(place, "received")

    def test_twenty_photos_of_one_name_and_size(self):
        ticket = make_ticket(num_images=20)
        phone = self.phone()
        phone.open(f"/u/{token_of(make_guest_link(ticket))}/")
        photos = [photo(seed, size=2000) for seed in range(20)]

        phone.take(1, *photos, from_gallery=True)

        phone.wait_for_words("20 of 20 photos have arrived.")
        self.assertEqual(len(set(ticket.images.values_list("sha256"))), 20)
        self.assertEqual(set(ticket.images.values_list("size", "filename")), {(2000, "image.jpg")})
        phone.page.wait_for_function("indexedDB.databases().then(found => found.length === 1)")

    def test_same_photo_twice_is_sent_once(self):
        ticket = make_ticket(num_images=3)
        phone = self.phone()
        phone.open(f"/u/{token_of(make_guest_link(ticket))}/")
        phone.take(1, photo(1))
        phone.wait_for(1, "received")
        phone.take(2, photo(1))
        phone.wait_for_words("the same photo once more", "#place-2")
        self.assertEqual(ticket.images.count(), 1)

    def test_one_of_two_tabs_sends(self):
        context = self.context()
        tabs = [self.phone(context=context) for _ in range(2)]
        for tab in tabs:
            tab.open(self.path)
        creations = [tab.requests("POST") for tab in tabs]

        tabs[0].take(1, photo(1))
        tabs[1].take(2, photo(2))

        for tab in tabs:
            for place in (1, 2):
                tab.wait_for(place, "received")
        self.assertEqual(min(map(len, creations)), 0, creations)
        self.assertEqual(Image.objects.count(), 2)
        sender, other = sorted(range(2), key=lambda each: len(creations[each]), reverse=True)
        tabs[sender].page.close()
        tabs[other].take(3, photo(3))
        tabs[other].wait_for(3, "received")

    def test_second_phone_came_first(self):
        first, second = self.opened(), self.opened()
        second.page.context.set_offline(True)
        second.take(1, photo(2))
        second.wait_for(1, "waiting")
        first.take(1, photo(1))
        first.wait_for(1, "received")

        second.page.context.set_offline(False)

        second.wait_for_words("Somebody else has sent this photo already", "#place-1")
        second.wait_for(1, "received")
        self.assertEqual(Image.objects.get().sha256, first.page.evaluate(SHA256_OF_FIRST, list(photo(1)["buffer"])))

    def test_storage_refused(self):
        phone = self.phone(script=WITHOUT_STORAGE + WITHOUT_SUBTLE)
        phone.open(self.path)
        phone.wait_for_words("keeps nothing on the phone", "#warning")
        phone.page.context.set_offline(True)
        phone.take(1, photo(1))
        phone.wait_for_words("Leave this page open.", "#line")
        phone.page.context.set_offline(False)
        phone.wait_for(1, "received")

    def test_refused_photo_says_why_and_another_is_taken(self):
        phone = self.phone(language="es")
        phone.open(self.path)
        phone.take(1, {"name": "image.jpg", "mimeType": "image/jpeg", "buffer": b"no photo at all"})
        phone.wait_for(1, "refused")
        trouble = phone.tile(1).locator(".trouble").inner_text()
        self.assertRegex(trouble, "JPEG|imagen|foto")
        self.assertIn(trouble, phone.page.locator("#news").inner_text())
        phone.open(self.path)
        phone.wait_for(1, "refused")
        phone.take(1, photo(1))
        phone.wait_for(1, "received")
        self.assertTrue(phone.tile(1).locator(".trouble").is_hidden())

    def test_retake_says_why(self):
        phone = self.opened()
        for place in (1, 2, 3):
            phone.take(place, photo(place))
            phone.wait_for(place, "received")
        self.deliver_all()
        phone.wait_for_words("Everything has arrived. Thank you!")
        image = Image.objects.get(position=2)
        self.ask_for_another(image)
        phone.page.reload()
        phone.wait_for_words("Another photo is wanted. It is blurred.", "#place-2")
        phone.wait_for_words("Hold still, please.", "#place-2")
        phone.take(2, photo(4))
        phone.wait_for(2, "received")
        self.deliver_all()
        phone.wait_for_words("Everything has arrived. Thank you!")

    def ask_for_another(self, image: Image) -> None:
        request_retakes(self.ticket.pk, [Rejection(image.pk, "blurred", "Hold still, please.")])

    def test_link_that_ends_while_a_photo_is_sent(self):
        phone = self.opened()
        content = photo(1, size=LARGE)
        with phone.cut_off_halfway(content["buffer"]) as held:
            phone.take(1, content)
        phone.wait_for(1, "sending")
        GuestLink.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
        held[0].continue_()
        phone.wait_for_words("This link has expired")
        phone.wait_for_words("1 photo on this phone was not sent.")
        self.assertEqual(phone.page.locator("label.take:visible").count(), 0)
        phone.holds = False
        # Another link to the same ticket sends what is kept.
        self.path = f"/u/{token_of(make_guest_link(self.ticket))}/"
        again = self.phone(context=phone.page.context)
        again.open(self.path)
        again.wait_for(1, "received")

    def test_revoked_link(self):
        phone = self.opened()
        revoke(self.link)
        phone.take(1, photo(1))
        phone.wait_for_words("This link was withdrawn")

    def test_whole_set_without_javascript(self):
        phone = self.phone(java_script_enabled=False)
        page = phone.page
        page.goto(self.path)
        for place in (1, 2, 3):
            tile = phone.tile(place)
            tile.locator("input[type=file]").set_input_files([photo(place)])
            with page.expect_navigation():
                tile.locator("button").tap()
            self.assertIn("Arrived", tile.inner_text())
            self.assertEqual(page.url.partition("#")[2], f"place-{place}")
        self.assertEqual((phone.complaints(), phone.overflow()), ([], 0))
        self.deliver_all()
        page.reload()
        self.assertIn("Everything has arrived", page.content())

    def test_refusal_without_javascript(self):
        phone = self.phone(java_script_enabled=False)
        phone.page.goto(self.path)
        tile = phone.tile(2)
        broken = {"name": "image.jpg", "mimeType": "image/jpeg", "buffer": b"no photo at all"}
        tile.locator("input[type=file]").set_input_files([broken])
        with phone.page.expect_navigation():
            tile.locator("button").tap()
        self.assertIn("JPEG", tile.locator("[role=alert]").inner_text())

    def test_it_looks_right_on_any_phone_and_in_any_language(self):
        for language, scheme, size in (("en", "light", PHONE), ("es", "dark", NARROW), ("pl", "light", NARROW)):
            with self.subTest(language, scheme=scheme):
                phone = self.phone(language=language, scheme=scheme)
                phone.page.set_viewport_size(size)
                self.assertEqual(phone.open(self.path), [])
                self.assertEqual((phone.overflow(), phone.is_dark()), (0, scheme == "dark"))
                self.assertEqual(phone.page.evaluate(TOO_SMALL), [])
                phone.page.context.set_offline(True)
                phone.take(1, photo(1))
                phone.wait_for(1, "waiting")
                self.assertEqual(phone.overflow(), 0)

    def test_camera_is_opened_by_the_keyboard(self):
        phone = self.opened()
        with phone.page.expect_file_chooser() as chooser:
            phone.page.locator("#place-1 input[type=file]").focus()
            phone.page.keyboard.press("Enter")
        self.assertFalse(chooser.value.is_multiple())
        self.assertEqual(chooser.value.element.get_attribute("capture"), "environment")
        gallery = phone.tile(3).locator("input").last
        self.assertIsNone(gallery.get_attribute("capture"))
        self.assertEqual(phone.tile(1).locator("input").count(), 1)

    def test_axe_finds_nothing(self):
        if not AXE.exists():
            raise SkipTest("needs axe: script/frontend gets it")
        make_image(self.ticket, status="rejected", rejection_reason="blurred", asset_version=1)
        for scheme in ("light", "dark"):
            phone = self.phone(scheme=scheme)
            phone.open(self.path)
            phone.wait_for_words("Another photo is wanted. It is blurred.", "#place-1")
            phone.page.evaluate(AXE.read_text())
            found = phone.page.evaluate("axe.run().then(report => report.violations.map(each => each.id))")
            self.assertEqual(found, [], scheme)


SHA256_OF_FIRST = """async bytes => {
    const digest = await crypto.subtle.digest("SHA-256", new Uint8Array(bytes));
    return [...new Uint8Array(digest)].map(byte => byte.toString(16).padStart(2, "0")).join("");
}"""
