"""The page where guests take photos, where direct uploads are on: it posts them to the sandbox itself."""

from contextlib import contextmanager
from datetime import timedelta
from urllib.parse import urlsplit

from django.conf import settings
from django.utils import timezone

from apps.common.redis.client import redis_at
from apps.guests.links import token_of
from apps.guests.models import GuestLink
from apps.tickets.direct.looking import NEXT_LOOK, look_for_uploads
from apps.tickets.models import Image
from tests.browser.test_capture import LARGE, WITHOUT_STORAGE, CaptureTestCase, Phone, photo
from tests.makers import make_guest_link, make_ticket

NO_PHOTO = {"name": "image.jpg", "mimeType": "image/jpeg", "buffer": b"no photo at all"}
STALE = "Stale request - reported time is 2026-01-01 00:00:00 +0000 which is more than 1 hour ago"
BEGINNING, FORM, CONFIRMATION = "/direct-uploads/", "/v1_1/", "/confirm/"


class DirectCaptureTests(CaptureTestCase):
    """In one class, so that one server and one browser serve them all."""

    @classmethod
    def environment(cls, url):
        return {"DIRECT_UPLOADS": "on", "PUBLIC_URL": url}

    def setUp(self):
        super().setUp()
        self.sandbox.behave()
        self.sandbox.assets.clear()
        self.sandbox.cloud.journal.clear()
        self.sent = []

    def opened(self, **options) -> Phone:
        phone = super().opened(**options)
        self.note_requests(phone)
        return phone

    def note_requests(self, phone: Phone) -> None:
        """Note what it sends to hopla from now on."""
        to_hopla = lambda request: request.method != "GET" and request.url.startswith(self.url)  # noqa: E731
        note = lambda request: self.sent.append(f"{request.method} {last_of(request.url)}")  # noqa: E731
        phone.page.on("request", lambda request: note(request) if to_hopla(request) else None)

    @contextmanager
    def held(self, phone: Phone, part: str):
        """Inside, a request for a path with this part begins, and waits; later ones go on. Yields it, in a list."""
        held = []
        hold = lambda route: route.continue_() if held else held.append(route)  # noqa: E731
        phone.page.context.route(f"**{part}**", hold)
        with phone.page.expect_request(lambda request: part in request.url):
            yield held

    def reopened(self, phone: Phone) -> Phone:
        """Its page is ended by the phone, and opened once more."""
        context = phone.page.context
        context.set_offline(True)  # or closing the page would let the request go on
        phone.page.close()
        phone = self.phone(context=context)
        context.set_offline(False)
        self.note_requests(phone)
        phone.open(self.path)
        return phone

    def look(self) -> None:
        """As the reconciler does, which does not run here."""
        redis_at(settings.REDIS_URL).delete(NEXT_LOOK)
        look_for_uploads()

    def end_form(self, position: int) -> None:
        """The time of the form for this place has passed."""
        past = timezone.now() - timedelta(seconds=1)
        awaited = Image.objects.filter(status="awaiting_upload", position=position)
        awaited.update(upload_expires_at=past, next_check_at=past)
        self.look()

    def outcomes(self) -> list[tuple[str, str]]:
        return list(Image.objects.order_by("created_at").values_list("status", "error_code"))

    def test_whole_set_goes_to_cloudinary_and_not_through_hopla(self):
        phone = self.opened()
        photos = [photo(place) for place in (1, 2, 3)]
        phone.take(1, photos[0])
        phone.take(2, photos[1])
        phone.take(3, photos[2], from_gallery=True)
        phone.wait_for_words("Everything has arrived. Thank you!")

        self.assertEqual(self.images(), [(1, "stored"), (2, "stored"), (3, "stored")])
        self.assertEqual(GuestLink.objects.with_photos().get().photos, 3)
        arrivals = sorted(arrival.bytes for arrival in self.sandbox.uploads if arrival.stored)
        self.assertEqual(arrivals, sorted(len(each["buffer"]) for each in photos))
        self.assertEqual(set(self.sent), {"POST direct-uploads", "POST confirm"})
        self.assertEqual((phone.complaints(), phone.overflow()), ([], 0))

    def test_page_that_ends_at_any_step_goes_on_there(self):
        self.sandbox.misbehave("notification_lost")
        phone = self.opened()
        for place, step, posts_again in ((1, BEGINNING, True), (2, FORM, True), (3, CONFIRMATION, False)):
            with self.subTest(step):
                with self.held(phone, step):
                    phone.take(place, photo(place, size=LARGE))
                phone.wait_for(place, "sending")
                before = self.sandbox.requests["upload"]
                phone = self.reopened(phone)
                phone.wait_for(place, "checking")
                posts = self.sandbox.requests["upload"] - before  # on a slow line a form goes more than once
                self.assertEqual(posts > 0, posts_again)
        self.look()
        phone.wait_for_words("Everything has arrived. Thank you!")
        self.assertEqual((Image.objects.count(), len(list(self.sandbox.assets))), (3, 3))

    def test_connection_that_breaks_with_or_without_the_photo_there(self):
        self.sandbox.misbehave("notification_lost")
        phone = self.opened()
        for place, kind in ((1, "reset_before_storing"), (2, "store_then_drop")):
            with self.subTest(kind):
                self.sandbox.misbehave(kind, times=1)
                phone.take(place, photo(place))
                phone.wait_for(place, "checking")
        self.look()
        for place in (1, 2):
            phone.wait_for(place, "stored")
        self.assertEqual(self.images(), [(1, "stored"), (2, "stored")])
        self.assertEqual(len(list(self.sandbox.assets)), 2)

    def test_cloudinary_out_of_reach_for_good(self):
        phone = self.opened()
        phone.page.context.route(f"**{FORM}**", lambda route: route.abort())
        phone.take(1, photo(1))
        phone.wait_for(1, "received")
        self.assertEqual(self.outcomes(), [("failed", "direct_upload_given_up"), ("queued", "")])
        phone.take(2, photo(2))  # is not tried there any more
        phone.wait_for(2, "received")
        self.assertEqual(Image.objects.count(), 3)
        self.deliver_all()
        phone.page.context.unroute(f"**{FORM}**")
        phone.open(self.path)
        phone.take(3, photo(3))
        phone.wait_for_words("Everything has arrived. Thank you!")

    def test_photo_that_the_phone_cannot_keep_holds_no_place_before_it_comes(self):
        phone = self.opened(script=WITHOUT_STORAGE)
        phone.take(1, photo(1))
        phone.wait_for(1, "received")
        self.assertEqual(self.outcomes(), [("queued", "")])

    def test_what_cloudinary_refuses_hopla_refuses_in_words(self):
        phone = self.opened(language="es")
        phone.take(1, NO_PHOTO)
        phone.wait_for(1, "refused")
        self.assertRegex(phone.tile(1).locator(".trouble").inner_text(), "JPEG|imagen|foto")
        phone.take(1, photo(1))
        phone.wait_for(1, "stored")
        self.assertTrue(phone.tile(1).locator(".trouble").is_hidden())

    def test_photo_that_did_not_come_as_it_was_announced_comes_through_hopla(self):
        self.sandbox.misbehave("wrong_bytes", times=1)
        phone = self.opened()
        phone.take(1, photo(1))
        phone.wait_for(1, "received")
        self.assertEqual(self.outcomes(), [("failed", "direct_upload_size_mismatch"), ("queued", "")])

    def test_form_that_has_ended_is_followed_by_another(self):
        phone = self.opened()
        self.sandbox.misbehave("refuse", status=400, message=STALE, times=1)
        phone.take(1, photo(1))
        phone.wait_for(1, "stored")
        with self.held(phone, FORM):
            phone.take(2, photo(2))
        self.end_form(2)
        phone.wait_for(2, "stored")
        self.assertEqual(
            self.outcomes(),
            [("failed", "direct_upload_given_up"), ("stored", ""), ("failed", "direct_upload_expired"), ("stored", "")],
        )

    def test_another_photo_takes_the_place_that_the_first_one_held(self):
        phone = self.opened()
        with self.held(phone, FORM):
            phone.take(1, photo(1))
        phone.take(1, photo(2))
        phone.wait_for(1, "stored")
        self.assertEqual(self.outcomes(), [("failed", "direct_upload_given_up"), ("stored", "")])
        self.assertEqual(Image.objects.get(status="stored").size, len(photo(2)["buffer"]))

    def test_second_phone_waits_while_the_first_one_holds_the_place(self):
        first, second = self.opened(), self.opened()
        for place, is_ended in ((1, False), (2, True)):
            with self.subTest(is_ended=is_ended):
                second.page.context.set_offline(True)
                second.take(place, photo(place + 2))
                second.wait_for(place, "waiting")
                with self.held(first, FORM) as held:
                    first.take(place, photo(place))
                third = self.opened()
                third.wait_for(place, "awaiting")
                self.assertIn(f"{place - 1} of 3", third.page.locator("#arrived").inner_text())
                self.assertTrue(third.tile(place).locator("form").is_hidden())

                with second.page.expect_response(lambda response: response.status == 409):
                    second.page.context.set_offline(False)
                second.wait_for(place, "waiting")
                if is_ended:
                    first.page.context.set_offline(True)
                    first.page.close()
                    self.end_form(place)
                    second.wait_for(place, "stored")
                else:
                    held[0].continue_()
                    second.wait_for_words("Somebody else has sent this photo already", f"#place-{place}")
        sizes = Image.objects.filter(status="stored").order_by("position").values_list("size", flat=True)
        self.assertEqual(list(sizes), [len(photo(each)["buffer"]) for each in (1, 4)])

    def test_one_of_two_tabs_sends(self):
        context = self.context()
        tabs = [self.phone(context=context) for _ in range(2)]
        for tab in tabs:
            tab.open(self.path)
        for place, tab in enumerate(tabs, start=1):
            tab.take(place, photo(place))
        for tab in tabs:
            for place in (1, 2):
                tab.wait_for(place, "stored")
        self.assertEqual((Image.objects.count(), self.sandbox.requests["upload"]), (2, 2))

    def test_same_photo_twice_is_sent_once(self):
        ticket = make_ticket(num_images=3)
        phone = self.phone()
        phone.open(f"/u/{token_of(make_guest_link(ticket))}/")
        phone.take(1, photo(1))
        phone.wait_for(1, "stored")
        phone.take(2, photo(1))
        phone.wait_for_words("the same photo once more", "#place-2")
        self.assertEqual(ticket.images.count(), 1)


def last_of(url: str) -> str:
    return urlsplit(url).path.rstrip("/").rpartition("/")[2]
