"""What a photo claims of itself, from its EXIF to the answer, and without its place where that is not kept."""

from django.test import override_settings

from apps.tickets.formats.claims import MAX_CAMERA_LENGTH
from apps.tickets.models import Image
from tests.makers import jpeg_bytes, make_image
from tests.tickets.formats.photo_files import jpeg_that_claims

from .test_stream import IntakeTestCase

PLACE = {"latitude": 52.2297, "longitude": 21.0123}
WITHOUT = override_settings(KEEP_PHOTO_LOCATION=False)


class ClaimsTests(IntakeTestCase):
    def post(self, content: bytes, **headers) -> dict:
        response = self.post_bare(content, **headers)
        self.assertEqual(response.status_code, 202, response.content)
        shown = response.json()
        self.assertEqual(shown, self.client.get(response["Location"]).json())
        return {name: shown[name] for name in ("captured_at", "location", "camera")}

    def test_a_photo_says_when_where_and_by_what_it_was_taken(self):
        shown = self.post(jpeg_that_claims())

        expected = {"captured_at": "2026-11-26T12:00:00.25+01:00", "location": PLACE, "camera": "Canon EOS 7D"}
        self.assertEqual(shown, expected)
        image = Image.objects.get()
        stored = (image.captured_at, image.latitude, image.longitude, image.camera)
        self.assertEqual(stored, (expected["captured_at"], *PLACE.values(), expected["camera"]))

    def test_by_a_form_and_after_a_photo_that_failed(self):
        # The long way of taking a place writes the row by another statement.
        make_image(self.ticket, position=1, status="failed")
        make_image(self.ticket, position=2)
        response = self.post_form(jpeg_that_claims(offset=None, fraction=None))

        self.assertEqual(response.json()["captured_at"], "2026-11-26T12:00:00")
        self.assertEqual(response.json()["location"], PLACE)

    def test_a_photo_without_exif_says_nothing(self):
        self.assertEqual(self.post(jpeg_bytes(1)), {"captured_at": None, "location": None, "camera": None})

    def test_each_claim_is_one_by_itself(self):
        self.assertEqual(
            self.post(jpeg_that_claims(captured="0000:00:00 00:00:00", latitude=((0, 0),) * 3)),
            {"captured_at": None, "location": None, "camera": "Canon EOS 7D"},
        )

    def test_the_longest_claims_fit_their_columns(self):
        shown = self.post(jpeg_that_claims(make="Ż" * 500, model="ó" * 500, fraction="123456789"))

        self.assertLessEqual(len(shown["camera"]), MAX_CAMERA_LENGTH)
        self.assertGreater(len(shown["camera"]), MAX_CAMERA_LENGTH // 2)
        self.assertLessEqual(len(shown["captured_at"]), Image._meta.get_field("captured_at").max_length)
        self.assertLessEqual(MAX_CAMERA_LENGTH, Image._meta.get_field("camera").max_length)

    def test_places_are_neither_kept_nor_shown_where_they_are_switched_off(self):
        with WITHOUT:
            shown = self.post(jpeg_that_claims())

        self.assertEqual((shown["location"], shown["camera"]), (None, "Canon EOS 7D"))
        image = Image.objects.get()
        self.assertEqual((image.latitude, image.longitude), (None, None))

    def test_places_kept_before_they_were_switched_off_are_not_shown(self):
        key = {"HTTP_IDEMPOTENCY_KEY": "a"}
        first = self.post_bare(jpeg_that_claims(), **key)
        self.assertEqual(first.json()["location"], PLACE)

        with WITHOUT:
            replayed = self.post_bare(jpeg_that_claims(), **key)
            self.assertEqual(replayed["Idempotent-Replayed"], "true")
            self.assertEqual(replayed.json(), first.json() | {"location": None})
            for url in (first["Location"], self.url, self.url.removesuffix("images/")):
                with self.subTest(url):
                    response = self.client.get(url)
                    self.assertEqual(response.status_code, 200)
                    self.assertNotContains(response, "52.2297")
        self.assertEqual(self.post_bare(jpeg_that_claims(), **key).json(), first.json())
