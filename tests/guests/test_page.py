"""The page behind a guest link: its states, its headers, and that it is told in the reader's language."""

from django.conf import settings
from django.test import override_settings
from django.utils import timezone

from apps.guests.links import revoke, token_of, url_of
from apps.guests.models import GuestLink
from apps.tickets.lifecycle.endings import cancel_ticket
from tests.case import ApiTestCase
from tests.makers import make_awaited, make_guest_link, make_image, make_ticket

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: {photos}; "
    "connect-src 'self'{uploads}; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


class PageTests(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.ticket = make_ticket(num_images=3, title="Owner's words")
        self.link = make_guest_link(self.ticket)

    def page(self, **headers):
        return self.client.get(f"/u/{token_of(self.link)}/", **headers)

    def assert_page(self, response, status: int, words: str, *, uploads: str = ""):
        self.assertContains(response, words, status_code=status)
        self.assertEqual(response["Referrer-Policy"], "no-referrer")
        self.assertEqual(response["X-Robots-Tag"], "noindex")
        permissions = response["Permissions-Policy"].split(", ")
        self.assertEqual([each for each in permissions if "()" not in each], ["camera=(self)", "geolocation=(self)"])
        self.assertEqual(response["Cache-Control"], "no-store")
        policy = POLICY.format(photos=settings.DELIVERY_ORIGIN, uploads=uploads)
        self.assertCountEqual(response["Content-Security-Policy"].split("; "), policy.split("; "))

    def test_open_link(self):
        make_image(self.ticket)
        self.assert_page(self.page(), 200, "1 of 3 photos have arrived")

    def test_direct_uploads(self):
        url = "cloudinary://key:secret@demo?upload_prefix=https://api-eu.cloudinary.com"
        with override_settings(DIRECT_UPLOADS=True, CLOUDINARY_URL=url):
            self.assert_page(self.page(), 200, '"direct": true', uploads=" https://api-eu.cloudinary.com")
        self.assert_page(self.page(), 200, '"direct": false')

    def test_photo_that_is_only_awaited(self):
        make_awaited(self.ticket)
        taken_back = make_image(self.ticket, position=2, status="failed", error_code="direct_upload_given_up")
        page = self.page()
        self.assert_page(page, 200, "0 of 3 photos have arrived")
        self.assertContains(page, "Being sent")
        self.assertEqual(page.content.decode().count("<form"), 2)
        self.assertNotContains(page, "<p>The photo could not be stored")
        type(taken_back).objects.filter(pk=taken_back.pk).update(error_code="direct_upload_expired")
        self.assertContains(self.page(), "<p>The photo could not be stored")

    def test_completed_ticket(self):
        now = timezone.now()
        type(self.ticket).objects.filter(pk=self.ticket.pk).update(status="completed", completed_at=now)
        self.assert_page(self.page(), 200, "Everything has arrived")

    def test_unknown_link(self):
        self.assert_page(self.client.get("/u/no-such-token/"), 404, "There is no such link")

    def test_revoked_link(self):
        revoke(self.link)
        self.assert_page(self.page(), 410, "This link was withdrawn")

    def test_link_of_a_deactivated_owner(self):
        type(self.ticket.owner).objects.update(is_active=False)
        self.assert_page(self.page(), 410, "This link was withdrawn")

    def test_expired_link(self):
        GuestLink.objects.update(expires_at=timezone.now())
        self.assert_page(self.page(), 410, "This link has expired")

    def test_cancelled_ticket(self):
        cancel_ticket(self.ticket.pk)
        self.assert_page(self.page(), 410, "not needed any more")

    def test_in_the_readers_language(self):
        self.assert_page(self.page(HTTP_ACCEPT_LANGUAGE="es"), 200, 'lang="es"')

    def test_first_visit_is_remembered(self):
        self.page()
        first = GuestLink.objects.get()
        self.assertEqual(first.opened_at, first.last_used_at)
        self.page()
        self.assertEqual(GuestLink.objects.get().opened_at, first.opened_at)

    def test_head_and_unknown_methods(self):
        self.assertEqual(self.client.head(f"/u/{token_of(self.link)}/").status_code, 200)
        self.assertIsNone(GuestLink.objects.get().opened_at)
        self.assertEqual(self.client.delete(f"/u/{token_of(self.link)}/").status_code, 405)

    @override_settings(PUBLIC_URL="https://hopla.example/", PUBLIC_URL_IS_SET=True)
    def test_address_begins_with_the_public_url(self):
        self.assertEqual(url_of("abc"), "https://hopla.example/u/abc/")
