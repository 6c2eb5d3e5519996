"""The page's plain forms, which need no JavaScript: what they show of each place, and a photo sent by one."""

import gzip
import json
import re
from html import unescape
from pathlib import Path

from django.conf import settings
from django.contrib.staticfiles import finders
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client, override_settings
from django.utils import timezone

from apps.guests.links import revoke, token_of
from apps.guests.look import GROUNDS, TEXTS, contrast, readable, theme
from apps.guests.models import GuestLink
from apps.tickets.models import Image, Ticket, slot_as_kept
from apps.tickets.models.statuses import ImageStatus, TicketStatus
from tests.case import ApiTestCase, staged_photos
from tests.makers import jpeg_bytes, make_guest_link, make_image, make_ticket
from tests.scripts.test_environment import error_of_settings

FORM = re.compile(r'<form method="post" enctype="multipart/form-data" action="([^"]+)">.*?</form>', re.DOTALL)


class FormTestCase(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.client = Client(enforce_csrf_checks=True)
        slots = [
            slot_as_kept("front", title="The front", instructions="From the street", source="camera"),
            slot_as_kept("back", example_url="https://elsewhere.example/back.jpg"),
        ]
        self.ticket = make_ticket(num_images=3, slots=slots)
        self.link = make_guest_link(self.ticket)
        self.path = f"/u/{token_of(self.link)}/"

    def page(self) -> str:
        return self.client.get(self.path).content.decode()

    def tile(self, place: int, page: str = "") -> str:
        return re.search(rf'<li class="tile" id="place-{place}".*?</li>', page or self.page(), re.DOTALL)[0]

    def action(self, place: int = 1) -> str:
        return unescape(FORM.search(self.tile(place))[1])

    def send(self, action: str, content: bytes | None = None, filename: str = "image.jpg", **headers):
        photo = SimpleUploadedFile(filename, jpeg_bytes() if content is None else content, "image/jpeg")
        return self.client.post(self.path + action.partition("#")[0], {"image": photo}, **headers)

    def assert_told(self, response, status: int, place: int, words: str):
        self.assertEqual(response.status_code, status)
        tile = self.tile(place, response.content.decode())
        self.assertIn(words, unescape(re.search(r'<p role="alert">(.*?)</p>', tile)[1]))
        self.assert_nothing_kept()

    def set_ticket(self, **fields):
        Ticket.objects.filter(pk=self.ticket.pk).update(**fields)


class TileTests(FormTestCase):
    def test_place_says_what_to_take_and_how(self):
        tile = self.tile(1)
        for words in ("The front", "From the street", 'capture="environment"', 'data-slot="front"', "Still missing"):
            self.assertIn(words, tile)
        self.assertNotIn("capture=", self.tile(2))
        self.assertIn("Photo 3", self.tile(3))
        self.assertIn('data-slot=""', self.tile(3))

    def test_example_is_shown_from_hosts_that_the_policy_names_and_else_linked(self):
        own = ["http://testserver/static/front.jpg", "https://res.cloudinary.com/demo/front.jpg"]
        for url in (*own, "https://res.cloudinary.com.evil.example/a.jpg", "http://testserver:81/a.jpg"):
            self.set_ticket(slots=[slot_as_kept("front", example_url=url)])
            with override_settings(DELIVERY_ORIGIN="https://res.cloudinary.com"):
                tile = self.tile(1)
            self.assertEqual(f'<img src="{url}"' in tile, url in own, url)
            self.assertIn(f'href="{url}"', tile)

    def test_what_the_server_has_is_told_and_needs_no_form(self):
        make_image(self.ticket, position=1)
        make_image(self.ticket, position=2, status=ImageStatus.STORED, asset_version=1)
        page = self.page()
        self.assertIn("Arrived, being stored", self.tile(1, page))
        self.assertIn('<p class="state">Arrived</p>', self.tile(2, page))
        self.assertIn('<img class="photo" src="', self.tile(2, page))
        self.assertEqual(len(FORM.findall(page)), 1)
        self.assertIn("2 of 3 photos have arrived.", page)

    def test_retake_says_why(self):
        make_image(
            self.ticket, status="rejected", rejection_reason="blurred", rejection_note="Hold <still>", asset_version=1
        )
        tile = self.tile(1)
        for words in ("Another photo is wanted.", "It is blurred.", "Hold &lt;still&gt;", "<form"):
            self.assertIn(words, tile)

    def test_failed_photo_is_told_until_another_comes(self):
        make_image(self.ticket, status="failed", error_code="cloudinary_refused", error_detail="Invalid image file")
        self.assertIn("could not be stored, please take it again. Invalid image file", self.tile(1))
        make_image(self.ticket)
        self.assertNotIn("could not be stored", self.tile(1))

    def test_completed_ticket_shows_its_photos_and_no_form(self):
        make_image(self.ticket)
        self.set_ticket(status=TicketStatus.COMPLETED, completed_at=timezone.now())
        page = self.page()
        self.assertIn("Everything has arrived", page)
        self.assertIn("Arrived", self.tile(1, page))
        self.assertEqual(FORM.findall(page), [])


class SendingTests(FormTestCase):
    def test_photo_takes_its_place_and_leads_back_to_the_tile(self):
        response = self.send(self.action(2))

        self.assertEqual((response.status_code, response["Location"]), (303, f"{self.path}#place-2"))
        image = Image.objects.get()
        self.assertEqual((image.slot, image.filename, image.guest_link_id), ("back", "image.jpg", self.link.pk))
        self.assertEqual(len(staged_photos()), 1)
        self.assertIn("Arrived", self.tile(2))
        self.assertEqual(response["Referrer-Policy"], "no-referrer")

    def test_place_without_a_name(self):
        self.assertEqual(self.send(self.action(3)).status_code, 303)
        self.assertEqual(Image.objects.get().position, 3)

    def test_browser_that_names_no_origin(self):
        response = self.send(self.action(), HTTP_ORIGIN="null", HTTP_SEC_FETCH_SITE="same-origin")
        self.assertEqual(response.status_code, 303)

    def test_form_that_is_not_the_pages_own(self):
        other = make_guest_link(self.ticket)
        action = self.action()
        theirs = unescape(FORM.search(self.client.get(f"/u/{token_of(other)}/").content.decode())[1])
        for forged in (action.partition("&proof")[0], action.replace("proof=", "proof=x"), theirs):
            with self.subTest(forged):
                self.assert_told(self.send(forged), 403, 1, "send the photo once more")
        self.assert_told(self.send(action, HTTP_SEC_FETCH_SITE="cross-site"), 403, 1, "once more")

    def test_bad_input(self):
        self.assert_told(self.send(self.action(), b"no photo at all"), 415, 1, "JPEG")
        self.assert_told(self.client.post(self.path + self.action()), 400, 1, "")
        empty = b'--b\r\nContent-Disposition: form-data; name="image"; filename=""\r\n\r\n\r\n--b--\r\n'
        nothing = self.client.post(self.path + self.action(), empty, content_type="multipart/form-data; boundary=b")
        self.assert_told(nothing, 400, 1, "photo")
        with override_settings(IMAGE_MAX_BYTES=100):
            self.assert_told(self.send(self.action()), 413, 1, "100")

    def test_place_that_is_none(self):
        action = self.action()
        for forged in ("place=0&", f"place={'9' * 5000}&", "place=x&", ""):
            response = self.send(action.replace("place=1&", forged), b"no photo")
            self.assertContains(response, '<p class="trouble" role="alert">', status_code=415)

    def test_refusal_in_the_readers_language(self):
        response = self.send(self.action(), b"no photo", HTTP_ACCEPT_LANGUAGE="es")
        self.assertContains(response, 'lang="es"', status_code=415)

    def test_photo_that_came_second(self):
        action = self.action()
        make_image(self.ticket)
        response = self.send(action)
        self.assertContains(response, "Somebody else has sent this photo already", status_code=409)
        self.assertEqual(Image.objects.count(), 1)

    def test_unknown_link(self):
        response = self.client.post("/u/no-such-token/" + self.action())
        self.assertContains(response, "There is no such link", status_code=404)

    def test_wrong_state(self):
        action = self.action()
        for status, fields, words in (
            (409, {"status": "completed", "completed_at": timezone.now()}, "Everything has arrived"),
            (410, {"status": "cancelled"}, "not needed any more"),
            (410, {"status": "expired"}, "has expired"),
        ):
            self.set_ticket(**fields)
            self.assertContains(self.send(action), words, status_code=status)
        self.assert_nothing_kept()

    def test_expired_and_revoked_link(self):
        action = self.action()
        revoke(self.link)
        self.assertContains(self.send(action), "was withdrawn", status_code=410)
        GuestLink.objects.update(revoked_at=None, expires_at=timezone.now())
        self.assertContains(self.send(action), "has expired", status_code=410)
        self.assert_nothing_kept()

    def test_ticket_whose_time_is_over_and_that_nobody_has_ended_yet(self):
        action = self.action()
        self.set_ticket(expires_at=timezone.now())
        self.assert_told(self.send(action), 410, 1, "expired")

    @override_settings(THROTTLE_RATES={"guests": "1/minute"})
    def test_throttled_as_the_api_is(self):
        self.assertEqual(self.send(self.action(1)).status_code, 303)
        refused = self.send(self.action(2))
        self.assertEqual(refused.status_code, 429)
        self.assertGreaterEqual(int(refused["Retry-After"]), 1)
        self.assertEqual(Image.objects.count(), 1)


class ScriptTests(FormTestCase):
    def test_script_and_styles_are_small(self):
        files = [Path(finders.find(f"guests/capture.{kind}")).read_bytes() for kind in ("js", "css")]
        self.assertLess(sum(len(gzip.compress(each)) for each in files), 60 * 1024)

    def test_it_gets_its_words_in_the_readers_language_with_every_plural(self):
        for language, plurals in (("en", 2), ("es", 2), ("pl", 3)):
            page = self.client.get(self.path, HTTP_ACCEPT_LANGUAGE=language).content.decode()
            told = json.loads(re.search(r'<script id="hopla" type="application/json">(.*?)</script>', page)[1])
            self.assertEqual(len(set(told["words"]["kept_offline"].values())), plurals)
            self.assertEqual(told["status"], f"/api/v1/tickets/{self.ticket.pk}/status/")
            self.assertNotIn(token_of(self.link), page)

    def test_lock_file_names_no_registry(self):
        lock = (settings.BASE_DIR / "frontend" / "package-lock.json").read_text()
        self.assertNotIn('"resolved"', lock)


class LookTests(FormTestCase):
    @override_settings(GUEST_PAGE_NAME="Acme <Homes>", GUEST_PAGE_LOGO_URL="/static/logo.svg")
    def test_name_and_logo(self):
        page = self.page()
        self.assertIn("<span>Acme &lt;Homes&gt;</span>", page)
        self.assertIn('src="/static/logo.svg"', page)

    @override_settings(GUEST_PAGE_ACCENT="#ffee00")
    def test_colour_is_in_a_style_sheet_of_its_own_that_is_kept_as_long_as_it_holds(self):
        address = re.search(r'href="(/guest-page\.css\?\w+)"', self.page())[1]
        response = self.client.get(address)
        self.assertEqual((response.status_code, response.content.decode()), (200, theme()))
        self.assertIn("immutable", response["Cache-Control"])
        with override_settings(GUEST_PAGE_ACCENT="#ff0000"):
            self.assertNotIn(address, self.page())

    def test_what_the_page_could_not_show_stops_the_start(self):
        for variable, value in (
            ("GUEST_PAGE_LOGO_URL", "https://elsewhere.example/logo.svg"),
            ("GUEST_PAGE_LOGO_URL", "//elsewhere.example/logo.svg"),
            ("GUEST_PAGE_ACCENT", "red"),
        ):
            with self.subTest(value):
                self.assertIn(f"{variable} is", error_of_settings({variable: value}))

    def test_any_colour_can_be_read(self):
        for accent in ("#ffffff", "#000000", "#ffee00", "#4f46e5", "#777777", "#00ff00", "#0000ff"):
            for scheme, grounds in GROUNDS.items():
                colour = readable(accent, scheme)
                text = max(contrast(each, colour) for each in TEXTS)
                self.assertGreaterEqual(min(text, *(contrast(colour, ground) for ground in grounds)), 4.5, accent)
