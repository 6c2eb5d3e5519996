import hashlib
import uuid

from django.test import SimpleTestCase, override_settings

from apps.tickets.errors import StagingFullError, TemporarilyUnavailableError, UnsupportedImageError
from apps.tickets.intake.photo_check import PhotoCheck
from apps.tickets.intake.staged_upload import PIECE_BYTES, StagedUpload
from apps.tickets.staging import store
from tests.case import HoplaAssertions, staged_photos, staging_redis
from tests.makers import jpeg_bytes

PHOTO = jpeg_bytes(1, size=1_000_000)


class StagedUploadTestCase(HoplaAssertions, SimpleTestCase):
    def setUp(self):
        super().setUp()
        self.upload_id = uuid.uuid4()

    def upload(self, *, offset=0, user="7"):
        return StagedUpload(self.upload_id, expected_size=len(PHOTO), user=user, offset=offset)


class ContinuedUploadTests(StagedUploadTestCase):
    def test_offset_is_what_is_in_redis(self):
        upload = self.upload()

        upload.write(PHOTO[:1000])
        self.assertEqual((upload.offset, staged_photos()), (0, []))
        upload.flush()
        self.assertEqual((upload.offset, upload.read_at(0, 2000)), (1000, PHOTO[:1000]))
        upload.write(PHOTO[1000 : 1000 + PIECE_BYTES])
        self.assertEqual(upload.offset, 1000 + PIECE_BYTES)

    def test_upload_is_continued_where_it_ended(self):
        for offset in (100, 200_000, 700_000, len(PHOTO)):
            with self.subTest(offset):
                self.upload_id = uuid.uuid4()
                first = self.upload()
                first.write(PHOTO[:offset])
                first.flush()

                second = self.upload(offset=first.offset)
                second.write(PHOTO[offset:])
                second.finish()

                self.assertEqual((second.offset, store.read(self.upload_id, len(PHOTO))), (len(PHOTO), PHOTO))
                self.assertEqual(store.bytes_in_use(), len(PHOTO))
                self.assertGreater(staging_redis().ttl(store.key_of(self.upload_id)), store.INCOMING_TTL_SECONDS)
                store.discard(self.upload_id)
                self.assert_nothing_staged()

    def test_upload_whose_bytes_are_gone_is_not_continued(self):
        first = self.upload()
        first.write(PHOTO[:500_000])
        first.discard()
        for step in ("flush", "finish"):
            with self.subTest(step), self.assertRaises(TemporarilyUnavailableError):
                second = self.upload(offset=first.offset)
                second.write(PHOTO[500_000:500_100])
                getattr(second, step)()
            self.assert_nothing_staged()

    def test_piece_that_found_no_room_is_written_later(self):
        upload = self.upload()
        with override_settings(STAGING_MAX_BYTES=1000, STAGING_USER_SHARE=1), self.assertRaises(StagingFullError):
            upload.write(PHOTO[:PIECE_BYTES])
        self.assertEqual(upload.offset, 0)

        upload.write(PHOTO[PIECE_BYTES:])
        upload.finish()
        self.assertEqual(store.read(self.upload_id, len(PHOTO)), PHOTO)
        store.discard(self.upload_id)

    def assert_nothing_staged(self):
        self.assertEqual((staged_photos(), store.bytes_in_use()), ([], 0))


class CheckTests(StagedUploadTestCase):
    def test_photo_is_judged_again_from_staging(self):
        photo = jpeg_bytes(2, size=700_000)
        upload = StagedUpload(self.upload_id, expected_size=len(photo))
        upload.write(photo[:300_000])
        upload.flush()

        check = PhotoCheck()
        for offset in range(0, upload.offset, 70_000):
            check.feed(upload.read_at(offset, 70_000))
        upload.write(photo[300_000:])
        check.feed(photo[300_000:])
        upload.finish()

        header = check.read_header(upload.read_at)
        self.assertEqual((header.format, header.width, header.height), ("jpeg", 16, 12))
        self.assertEqual((check.size, check.sha256), (len(photo), hashlib.sha256(photo).hexdigest()))
        upload.discard()

    def test_first_bytes_are_judged_in_whatever_portions_they_come(self):
        for length in (1, 7, 63, 64, 65, 1000):
            with self.subTest(length), self.assertRaises(UnsupportedImageError):
                check, text = PhotoCheck(), b"No photo at all. " * 10
                for start in range(0, 64, length):
                    check.feed(text[start : start + length])

    def test_photo_is_judged_alike_in_whatever_portions_it_comes(self):
        photo = jpeg_bytes(3, size=250_000)  # more than what is kept of its head
        for length in (3, 50, 100_000, len(photo)):
            check = PhotoCheck()
            for start in range(0, len(photo), length):
                check.feed(photo[start : start + length])
            with self.subTest(length):
                header = check.read_header(lambda offset, length: photo[offset : offset + length])
                self.assertEqual((header.width, header.height), (16, 12))
                self.assertEqual(check.sha256, hashlib.sha256(photo).hexdigest())
