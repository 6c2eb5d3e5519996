"""Content-Digest: https://www.rfc-editor.org/rfc/rfc9530"""

import base64
import hashlib

from django.core.files.uploadedfile import SimpleUploadedFile
from django.test.client import encode_multipart

from apps.tickets.models import Image
from tests.makers import jpeg_bytes, make_image
from tests.tickets.intake.test_stream import PHOTO, IntakeTestCase

OTHER = jpeg_bytes(2)
FORM_TYPE = "multipart/form-data; boundary=b"


def digest_of(content: bytes, algorithm: str = "sha256") -> str:
    return base64.b64encode(hashlib.new(algorithm, content).digest()).decode()


def header_of(content: bytes) -> str:
    return f"sha-256=:{digest_of(content)}:"


def form_of(content: bytes) -> bytes:
    return encode_multipart("b", {"image": SimpleUploadedFile("photo.jpg", content, "image/jpeg")})


class DigestTestCase(IntakeTestCase):
    def post(self, content=PHOTO, *, digest: str, **options):
        return self.post_bare(content, HTTP_CONTENT_DIGEST=digest, **options)

    def post_as_form(self, content=PHOTO, *, digest: str):
        return self.post(form_of(content), digest=digest, content_type=FORM_TYPE)

    def assert_taken(self, response):
        self.assertEqual(response.status_code, 202, response.content)
        Image.objects.all().delete()


class RightDigestTests(DigestTestCase):
    def test_digest_of_the_bare_photo(self):
        self.assert_taken(self.post(digest=header_of(PHOTO)))

    def test_digest_of_a_form_is_that_of_its_body_or_of_the_photo_inside(self):
        for content in (form_of(PHOTO), PHOTO):
            self.assert_taken(self.post_as_form(digest=header_of(content)))

    def test_digest_of_a_photo_of_many_pieces(self):
        content = jpeg_bytes(3, size=900_000)

        for post, hashed in ((self.post, content), (self.post_as_form, content), (self.post_as_form, form_of(content))):
            self.assert_taken(post(content, digest=header_of(hashed)))

    def test_sha256_among_other_algorithms(self):
        sha512 = f"sha-512=:{digest_of(OTHER, 'sha512')}:"  # not looked at
        for digest in (
            f"{sha512}, {header_of(PHOTO)}",
            f"{header_of(PHOTO)},{sha512}",
            f"{header_of(PHOTO)};note=1, {sha512}",
            f"  {header_of(PHOTO)}  ",
        ):
            with self.subTest(digest):
                self.assert_taken(self.post(digest=digest))


class WrongDigestTests(DigestTestCase):
    def test_digest_of_another_photo(self):
        for post in (self.post, self.post_as_form):
            self.assert_refused(post(digest=header_of(OTHER)), 400, "digest_mismatch")

    def test_photo_that_changed_on_its_way(self):
        changed = PHOTO[:-1] + bytes([PHOTO[-1] ^ 1])

        self.assert_refused(self.post(changed, digest=header_of(PHOTO)), 400, "digest_mismatch")
        self.assert_refused(self.post_as_form(changed, digest=header_of(form_of(PHOTO))), 400, "digest_mismatch")

    def test_large_photo_leaves_nothing_staged(self):
        self.assert_refused(self.post(jpeg_bytes(3, size=900_000), digest=header_of(PHOTO)), 400, "digest_mismatch")

    def test_refused_photo_keeps_no_idempotency_key(self):
        refused = self.post(digest=header_of(OTHER), HTTP_IDEMPOTENCY_KEY="a")
        self.assert_refused(refused, 400, "digest_mismatch")

        self.assert_taken(self.post(digest=header_of(PHOTO), HTTP_IDEMPOTENCY_KEY="a"))

    def test_digest_that_is_none(self):
        good = digest_of(PHOTO)
        for digest in (
            "",
            "sha-256",
            f"sha-256={good}",
            f"sha-256=:{good}",
            f"sha-256=::{good}::",
            "sha-256=::",
            "sha-256=:not base64!:",
            f"sha-256=:{good[:-2]}:",
            f"sha-256=:{digest_of(PHOTO, 'sha1')}:",
            f"sha-256=:{digest_of(PHOTO, 'sha512')}:",
            f"sha-256=:{hashlib.sha256(PHOTO).hexdigest()}:",
            f"x-sha-256=:{good}:",
            f"sha-512=:{digest_of(PHOTO, 'sha512')}:",  # an algorithm that nobody checks would be no promise
            f"md5=:{digest_of(PHOTO, 'md5')}:",
        ):
            with self.subTest(digest):
                self.assert_refused(self.post(digest=digest), 400, "digest_invalid")


class DuplicateTests(IntakeTestCase):
    def setUp(self):
        super().setUp()
        self.ticket.num_images = 9
        self.ticket.save()

    def post(self, content=PHOTO) -> dict:
        return self.post_bare(content).json()

    def test_photo_names_the_first_one_of_the_same_bytes(self):
        first, other, second, third = self.post(), self.post(OTHER), self.post(), self.post()

        self.assertEqual((first["duplicate_of"], other["duplicate_of"]), (None, None))
        self.assertEqual((second["duplicate_of"], third["duplicate_of"]), (first["id"], first["id"]))

    def test_failed_photo_has_no_duplicates(self):
        self.post()
        Image.objects.update(status="failed")

        self.assertIsNone(self.post()["duplicate_of"])

    def test_photo_of_another_ticket_does_not_count(self):
        first = make_image(self.ticket)
        elsewhere = make_image(type(self.ticket).objects.create(owner=self.owner, num_images=1))
        Image.objects.filter(pk=elsewhere.pk).update(sha256=hashlib.sha256(PHOTO).hexdigest())
        first.delete()

        self.assertIsNone(self.post()["duplicate_of"])

    def test_duplicate_outlives_the_first_one(self):
        first, second = self.post(), self.post()
        Image.objects.get(pk=first["id"]).delete()

        shown = self.client.get(f"{self.url}{second['id']}/").json()
        self.assertIsNone(shown["duplicate_of"])
