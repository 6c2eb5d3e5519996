"""What resumable uploads take of their user's bytes a day."""

from base64 import b64encode

from django.conf import settings
from django.test import override_settings

from apps.common.redis.client import redis_at
from apps.tickets.intake import quota
from apps.tickets.resumable import state
from tests.makers import jpeg_bytes
from tests.tickets.resumable.case import PHOTO, TusTestCase

SIZE = len(PHOTO)


@override_settings(UPLOAD_BYTES_PER_DAY=2 * SIZE + 50_000)
class ResumableQuotaTests(TusTestCase):
    def taken(self) -> int:
        return int(redis_at(settings.REDIS_URL).hget(f"hopla:upload-bytes:{self.owner.pk}", "bytes") or 0)

    def leases(self) -> dict:
        return redis_at(settings.REDIS_URL).hgetall(f"hopla:upload-bytes:{self.owner.pk}:leases")

    def test_announced_length_is_taken_at_creation(self):
        self.begun()
        self.begun()
        self.assertEqual(self.taken(), 2 * SIZE)
        refused = self.begin()
        self.assert_problem(refused, 429, "upload_quota_exceeded")
        self.assertGreater(int(refused["Retry-After"]), 0)

    def test_finished_upload_has_taken_its_length_once(self):
        path = self.begun(PHOTO[:1000])
        self.send(path, 1000, PHOTO[1000:])
        self.assertEqual((self.taken(), self.leases()), (SIZE, {}))

    def test_what_never_came_is_given_back(self):
        taken_back, refused = self.begun(PHOTO[:1000]), self.begun(length=50_000)
        self.tus("DELETE", taken_back)
        self.assertEqual(self.taken(), 1000 + 50_000)
        self.send(refused, 0, b"x" * 100)
        self.assertEqual((self.taken(), self.leases()), (1000, {}))

    def test_creation_that_is_refused_has_taken_nothing(self):
        wrong = "sha1 " + b64encode(bytes(20)).decode()
        for status, code, request in (
            (413, "upload_too_long", {"length": 10}),
            (400, "checksum_invalid", {"Upload_Checksum": "crc32 AAAA"}),
            (460, "checksum_mismatch", {"Upload_Checksum": wrong}),
        ):
            with self.subTest(code):
                self.assert_problem(self.begin(PHOTO[:1000], **request), status, code)
                self.assertEqual((self.taken(), self.leases()), (0, {}))
                self.assert_nothing_kept()

    def test_creation_that_is_refused_is_found_by_its_key(self):
        refused = self.begin(PHOTO[:1000], Upload_Checksum="crc32 AAAA", Idempotency_Key="a")
        self.assert_problem(refused, 400, "checksum_invalid")
        self.assertEqual(self.begin(PHOTO[:1000], Idempotency_Key="a")["Idempotent-Replayed"], "true")
        self.assertEqual(self.taken(), SIZE)

    @override_settings(IMAGE_MAX_BYTES=SIZE + 50_000)
    def test_unknown_length_takes_all_that_a_photo_may_have_until_it_is_said(self):
        path = self.begun(PHOTO[:1000], length=None, Upload_Defer_Length="1")
        self.assertEqual(self.taken(), SIZE + 50_000)
        self.send(path, 1000, b"", Upload_Length=SIZE)
        self.assertEqual(self.taken(), SIZE)
        self.send(path, 1000, PHOTO[1000:])
        self.assertEqual((self.taken(), self.leases()), (SIZE, {}))

    def test_what_never_came_is_given_back_once_it_expires_whoever_was_killed(self):
        paths = {self.begun(): 1000, self.begun(): 1}
        with override_settings(RESUMABLE_TTL_SECONDS=1, UPLOAD_MIN_BYTES_PER_SECOND=0):
            for path, size in paths.items():
                self.send(path, 0, PHOTO[:size])

        self.wait_until(lambda: self.begin(length=2 * SIZE).status_code == 201)

        self.assertEqual((self.taken(), len(self.leases())), (1001 + 2 * SIZE, 1))

    def test_lease_is_given_back_once(self):
        path = self.begun()
        upload_id = path.split("/")[-2]
        for _ in range(2):
            quota.renew_lease(self.owner.pk, upload_id, to_come=0, seconds=0, give_back=SIZE)
        self.assertEqual(self.taken(), 0)
        self.tus("DELETE", path)
        self.assertEqual(self.taken(), 0)

    def test_lease_of_a_day_that_has_ended_changes_nothing_of_the_next(self):
        path = self.begun()
        redis_at(settings.REDIS_URL).delete(f"hopla:upload-bytes:{self.owner.pk}")
        self.tus("DELETE", path)
        self.assertEqual(self.taken(), 0)
        self.begun(length=1000)
        self.assertEqual(self.taken(), 1000)

    def test_photos_and_uploads_count_together(self):
        images = f"/api/v1/tickets/{self.ticket.pk}/images/"
        self.begun()
        photo = jpeg_bytes(3, size=SIZE)
        self.assertEqual(self.client.generic("POST", images, photo, content_type="image/jpeg").status_code, 202)
        self.assert_problem(self.client.generic("POST", images, photo, "image/jpeg"), 429, "upload_quota_exceeded")


class NoQuotaTests(TusTestCase):
    def test_without_a_limit_nothing_is_counted(self):
        self.begun(PHOTO)
        self.assertEqual(list(redis_at(settings.REDIS_URL).scan_iter("hopla:upload-bytes:*")), [])
        self.assertEqual(list(redis_at(settings.REDIS_URL).scan_iter(f"{state.PREFIX}*")), [])
