"""What tus 1.0.0 asks of a server, without what happens on the wire."""

import base64
import hashlib
import uuid
from datetime import timedelta
from email.utils import parsedate_to_datetime

from django.conf import settings
from django.test import override_settings
from django.utils import timezone

from apps.common.http.request_body import body_of
from apps.common.observability import metrics
from apps.tickets.models import Image, Ticket
from apps.tickets.models.statuses import TicketStatus
from apps.tickets.resumable import state
from apps.tickets.staging import store
from tests.case import staged_photos, staging_redis
from tests.makers import client_for, jpeg_bytes, make_image, make_ticket, make_user
from tests.tickets.resumable.case import OFFSET_STREAM, PHOTO, TusTestCase, metadata

SIZE = len(PHOTO)


class WholeUploadTests(TusTestCase):
    def test_upload_in_pieces_becomes_an_image(self):
        begun = self.begin(Upload_Metadata=metadata(filename="kitchen.jpg", filetype="image/jpeg"))
        path = begun["Location"]
        self.assertEqual((begun.status_code, begun["Upload-Offset"], begun["Tus-Resumable"]), (201, "0", "1.0.0"))
        self.assertEqual(self.offset_of(path), 0)

        first = self.send(path, 0, PHOTO[:40_000])
        self.assertEqual((first.status_code, first["Upload-Offset"]), (204, "40000"))
        self.assertEqual(self.offset_of(path), 40_000)
        self.assertFalse(Image.objects.exists())

        last = self.send(path, 40_000, PHOTO[40_000:])
        self.assertEqual((last.status_code, last["Upload-Offset"]), (204, str(SIZE)))
        image = Image.objects.get()
        self.assertEqual(path, f"{self.uploads_path}{image.pk}/")
        self.assertEqual(self.client.get(last["Content-Location"]).json()["id"], str(image.pk))
        self.assertEqual((image.status, image.filename, image.size), ("queued", "kitchen.jpg", SIZE))
        self.assertEqual((image.sha256, image.width), (hashlib.sha256(PHOTO).hexdigest(), 16))
        self.assertEqual(bytes(store.read(image.pk, image.size)), PHOTO)
        self.assertEqual(store.bytes_in_use(), SIZE)
        self.assertGreater(staging_redis().ttl(store.key_of(image.pk)), 3600)

    def test_time_for_the_body_is_known_apart(self):
        path = self.begun()
        for sent in (self.send(path, 0, PHOTO), self.begin(PHOTO, Content_Type=OFFSET_STREAM)):
            self.assertGreater(body_of(sent.wsgi_request).seconds, 0)

    def test_pieces_of_any_size_go_together(self):
        for sizes in ([1, 1, 62, 1, SIZE - 65], [SIZE], [70_000, 0, 30_000]):
            with self.subTest(sizes):
                path, offset = self.begun(), 0
                for size in sizes:
                    sent = self.send(path, offset, PHOTO[offset : offset + size])
                    offset += size
                    self.assertEqual((sent.status_code, sent["Upload-Offset"]), (204, str(offset)))
                image = Image.objects.get(pk=path.split("/")[-2])
                self.assertEqual(bytes(store.read(image.pk, SIZE)), PHOTO)
                store.discard(image.pk)
                image.delete()

    def test_finished_upload_tells_its_whole_length_as_long_as_its_ticket_lives(self):
        path = self.begun(PHOTO)
        Ticket.objects.update(status=TicketStatus.CANCELLED)
        staging_redis().flushdb()

        asked = self.ask(path)

        self.assertEqual(
            (asked.status_code, asked["Upload-Offset"], asked["Upload-Length"]), (200, f"{SIZE}", f"{SIZE}")
        )
        self.assertEqual(asked["Cache-Control"], "no-store")

    def test_last_request_repeated_after_a_lost_answer_makes_no_second_image(self):
        path = self.begun(PHOTO)

        again = self.send(path, SIZE, b"")

        self.assertEqual((again.status_code, again["Upload-Offset"]), (204, str(SIZE)))
        self.assertEqual(self.client.get(again["Content-Location"]).status_code, 200)
        self.assert_problem(self.send(path, 0, PHOTO), 409, "upload_offset_mismatch")
        self.assert_problem(self.send(path, SIZE, b"x"), 413, "upload_too_long")
        self.assertEqual(Image.objects.count(), 1)

    def test_upload_for_a_slot_takes_its_place(self):
        self.ticket = make_ticket(self.owner, slots=[{"name": "front"}, {"name": "odometer"}])

        self.begun(PHOTO, Upload_Metadata=metadata(slot="odometer"))

        self.assertEqual(Image.objects.get().position, 2)

    def test_numbers_in_capitals_name_the_same_upload(self):
        path = self.begun(PHOTO[:10])
        *start, upload_id, _ = path.split("/")
        self.assertEqual(self.offset_of("/".join([*start, upload_id.upper(), ""])), 10)


class CreationTests(TusTestCase):
    def test_first_bytes_come_with_it(self):
        begun = self.begin(PHOTO[:1000])
        self.assertEqual((begun.status_code, begun["Upload-Offset"]), (201, "1000"))
        self.assertEqual(self.offset_of(begun["Location"]), 1000)

    def test_all_bytes_come_with_it(self):
        begun = self.begin(PHOTO)
        self.assertEqual((begun.status_code, begun["Upload-Offset"]), (201, str(SIZE)))
        self.assertEqual(self.client.get(begun["Content-Location"]).json()["status"], "queued")

    def test_location_is_a_path_so_that_no_proxy_spoils_it(self):
        self.assertTrue(self.begun().startswith("/api/v1/tickets/"))

    def test_upload_holds_nothing_before_its_bytes_come(self):
        self.begun()
        self.assert_nothing_kept()

    def test_length_is_needed_once(self):
        for lengths in (
            {},
            {"Upload_Length": "10", "Upload_Defer_Length": "1"},
            {"Upload_Defer_Length": "2"},
            {"Upload_Length": "-1"},
            {"Upload_Length": "1.5"},
            {"Upload_Length": "9" * 40},
            {"Upload_Length": ""},
        ):
            with self.subTest(lengths):
                self.assert_problem(self.begin(length=None, **lengths), 400, "upload_length_invalid")
        self.assert_nothing_kept()

    def test_length_that_no_photo_has_is_refused(self):
        self.assert_problem(self.begin(length=0), 400, "image_empty")
        self.assert_problem(self.begin(length=10 * 1024 * 1024 + 1), 413, "image_too_large")

    def test_metadata_that_makes_no_sense_is_refused(self):
        for header in ("filename a*b", "filename YQ==,filename Yg==", ",", "filename YQ==,,slot", "filename a b"):
            with self.subTest(header):
                self.assert_problem(self.begin(Upload_Metadata=header), 400, "upload_metadata_invalid")

    def test_metadata_is_shown_as_it_was_given(self):
        for header in ("filename a2l0Y2hlbi5qcGc=,is_mine", "filename a2l0Y2hlbi5qcGc, filetype aW1hZ2UvanBlZw=="):
            with self.subTest(header):
                path = self.begun(Upload_Metadata=header)
                self.assertEqual(self.ask(path)["Upload-Metadata"], header)
        self.assertNotIn("Upload-Metadata", self.ask(self.begun()).headers)

    def test_ticket_that_takes_no_photo_refuses_at_once(self):
        full, soon = make_ticket(self.owner, num_images=1), timezone.now() - timedelta(seconds=1)
        make_image(full)
        for ticket, status, code in (
            (full, 409, "ticket_full"),
            (make_ticket(self.owner, status=TicketStatus.COMPLETED), 409, "ticket_completed"),
            (make_ticket(self.owner, status=TicketStatus.CANCELLED), 409, "ticket_cancelled"),
            (make_ticket(self.owner, expires_at=soon), 410, "ticket_expired"),
        ):
            with self.subTest(code):
                self.assert_problem(self.begin(path=f"/api/v1/tickets/{ticket.pk}/uploads/"), status, code)

    def test_slot_that_cannot_be_had_is_refused_at_once(self):
        self.ticket = make_ticket(self.owner, slots=[{"name": "front"}, {"name": "back"}])
        make_image(self.ticket)
        for header, query, status, code in (
            (metadata(slot="side"), "", 400, "slot_unknown"),
            (metadata(slot="front"), "", 409, "slot_taken"),
            ("", "", 400, "slot_required"),
            (metadata(slot="back"), "?slot=front", 400, "slot_ambiguous"),
        ):
            with self.subTest(code):
                response = self.begin(path=self.uploads_path + query, Upload_Metadata=header)
                self.assert_problem(response, status, code)

    def test_body_of_another_type_is_refused(self):
        response = self.begin(PHOTO, Content_Type="image/jpeg")
        self.assert_problem(response, 415, "unsupported_media_type")

    def test_part_of_a_photo_is_not_taken_for_the_photo(self):
        for header in ("partial", "final;/a /b"):
            with self.subTest(header):
                refused = self.begin(PHOTO[:50_000], length=50_000, Upload_Concat=header)
                self.assert_problem(refused, 400, "upload_concat_unsupported")
        self.assert_nothing_kept()

    def test_bad_content_digest_is_refused(self):
        self.assert_problem(self.begin(Repr_Digest="sha-256=:x:"), 400, "digest_invalid")


class OffsetTests(TusTestCase):
    def setUp(self):
        super().setUp()
        self.path = self.begun(PHOTO[:1000])

    def test_wrong_offset_changes_nothing(self):
        for offset in (0, 999, 1001, SIZE):
            with self.subTest(offset):
                self.assert_problem(self.send(self.path, offset, b"x" * 10), 409, "upload_offset_mismatch")
        self.assertEqual(self.offset_of(self.path), 1000)

    def test_offset_must_be_a_number(self):
        for offset in ("", "-1", "x", None):
            with self.subTest(offset):
                response = self.send(self.path, 0, b"x", Upload_Offset=offset)
                self.assert_problem(response, 400, "upload_offset_invalid")

    def test_bytes_past_the_end_are_refused_and_the_upload_stays(self):
        self.assert_problem(self.send(self.path, 1000, PHOTO[1000:] + b"x"), 413, "upload_too_long")
        self.assertEqual(self.offset_of(self.path), 1000)
        self.assertEqual(self.send(self.path, 1000, PHOTO[1000:]).status_code, 204)

    def test_body_of_another_type_is_refused(self):
        for content_type in ("image/jpeg", "application/json", ""):
            with self.subTest(content_type):
                response = self.send(self.path, 1000, b"x", Content_Type=content_type)
                self.assert_problem(response, 415, "unsupported_media_type")
        self.assertEqual(self.offset_of(self.path), 1000)

    def test_answers_say_when_it_expires(self):
        with override_settings(RESUMABLE_TTL_SECONDS=9000):
            for response in (self.begin(), self.ask(self.begun()), self.send(self.path, 1000, b"x")):
                left = parsedate_to_datetime(response["Upload-Expires"]) - timezone.now()
                self.assertGreater(left, timedelta(seconds=7200))


class DeferredLengthTests(TusTestCase):
    def setUp(self):
        super().setUp()
        self.path = self.begun(length=None, Upload_Defer_Length="1")

    def test_length_is_said_with_the_last_bytes(self):
        self.send(self.path, 0, PHOTO[:1000])
        asked = self.ask(self.path)
        self.assertEqual((asked["Upload-Defer-Length"], "Upload-Length" in asked), ("1", False))

        self.assertEqual(self.send(self.path, 1000, PHOTO[1000:], Upload_Length=SIZE).status_code, 204)

        self.assertEqual(Image.objects.get().size, SIZE)

    def test_length_is_said_after_the_last_bytes(self):
        self.send(self.path, 0, PHOTO)
        self.assertFalse(Image.objects.exists())

        self.assertIn("Content-Location", self.send(self.path, SIZE, b"", Upload_Length=SIZE).headers)

    def test_length_is_not_changed(self):
        self.send(self.path, 0, PHOTO[:1000], Upload_Length=SIZE)
        self.assert_problem(self.send(self.path, 1000, b"", Upload_Length=SIZE + 1), 400, "upload_length_invalid")
        self.assertEqual(self.ask(self.path)["Upload-Length"], str(SIZE))
        self.assertEqual(self.send(self.path, 1000, PHOTO[1000:], Upload_Length=SIZE).status_code, 204)

    def test_length_below_what_has_come_is_refused(self):
        self.send(self.path, 0, PHOTO[:1000])
        self.assert_problem(self.send(self.path, 1000, b"", Upload_Length=999), 400, "upload_length_invalid")
        self.assertEqual(self.offset_of(self.path), 1000)

    @override_settings(IMAGE_MAX_BYTES=2000)
    def test_more_than_a_photo_may_have_ends_the_upload(self):
        self.send(self.path, 0, PHOTO[:1000])
        self.assert_problem(self.send(self.path, 1000, PHOTO[1000:2001]), 413, "image_too_large")
        self.assertEqual(self.ask(self.path).status_code, 404)
        self.assert_nothing_kept()

    @override_settings(IMAGE_MAX_BYTES=2000)
    def test_length_that_no_photo_has_ends_the_upload(self):
        self.assert_problem(self.send(self.path, 0, b"", Upload_Length=2001), 413, "image_too_large")
        self.assertEqual(self.ask(self.path).status_code, 404)


def checksum(algorithm: str, body: bytes) -> str:
    return f"{algorithm} {base64.b64encode(hashlib.new(algorithm, body).digest()).decode()}"


class ChecksumTests(TusTestCase):
    def setUp(self):
        super().setUp()
        self.path = self.begun()

    def test_bytes_that_have_it_are_taken(self):
        offset = 0
        for algorithm, size in (("sha1", 10), ("sha256", 50_000), ("md5", SIZE - 50_010)):
            piece = PHOTO[offset : offset + size]
            response = self.send(self.path, offset, piece, Upload_Checksum=checksum(algorithm, piece))
            offset += size
            self.assertEqual((response.status_code, response["Upload-Offset"]), (204, str(offset)))
        self.assertEqual(bytes(store.read(Image.objects.get().pk, SIZE)), PHOTO)

    def test_other_bytes_are_forgotten(self):
        self.send(self.path, 0, PHOTO[:1000])
        for algorithm in ("sha1", "sha256", "md5"):
            with self.subTest(algorithm):
                wrong = checksum(algorithm, b"other")
                response = self.send(self.path, 1000, b"x" * (SIZE - 1000), Upload_Checksum=wrong)
                self.assert_problem(response, 460, "checksum_mismatch")
                self.assertEqual(self.offset_of(self.path), 1000)

        self.send(self.path, 1000, PHOTO[1000:])
        self.assertEqual(bytes(store.read(Image.objects.get().pk, SIZE)), PHOTO)

    def test_first_bytes_that_changed_on_the_way_do_not_end_the_upload(self):
        response = self.send(self.path, 0, b"x" * 1000, Upload_Checksum=checksum("sha1", PHOTO[:1000]))
        self.assert_problem(response, 460, "checksum_mismatch")
        self.assertEqual(self.offset_of(self.path), 0)

    def test_first_bytes_that_are_no_photo_end_it(self):
        for sizes in ([1000], [10, 990]):
            with self.subTest(sizes):
                path, offset = self.begun(), 0
                for size in sizes:
                    piece = b"x" * size
                    response = self.send(path, offset, piece, Upload_Checksum=checksum("sha1", piece))
                    offset += size
                self.assert_problem(response, 415, "unsupported_image")
                self.assertEqual(self.ask(path).status_code, 404)

    def test_unknown_algorithm_and_malformed_checksums_are_refused(self):
        for header in ("crc32 AAAA", "sha1", "sha1 x", "sha1 AAAA", "", "sha1  *"):
            with self.subTest(header):
                response = self.send(self.path, 0, PHOTO[:10], Upload_Checksum=header)
                self.assert_problem(response, 400, "checksum_invalid")
        self.assertEqual(self.offset_of(self.path), 0)

    def test_bytes_that_come_with_the_creation_are_verified_too(self):
        self.assert_problem(self.begin(PHOTO, Upload_Checksum=checksum("sha1", b"x")), 460, "checksum_mismatch")
        self.assertEqual(self.begin(PHOTO, Upload_Checksum=checksum("sha1", PHOTO)).status_code, 201)


def digest(body: bytes) -> str:
    return f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"


class DigestTests(TusTestCase):
    def test_digest_of_the_whole_is_compared_at_the_end(self):
        self.assertEqual(self.begin(PHOTO, Repr_Digest=digest(PHOTO)).status_code, 201)

        path = self.begun(PHOTO[:1000], Repr_Digest=digest(b"another"))
        self.assert_problem(self.send(path, 1000, PHOTO[1000:]), 400, "digest_mismatch")
        self.assertEqual(self.ask(path).status_code, 404)

    def test_digest_of_a_request_is_compared_with_its_body(self):
        path = self.begun()
        sent = self.send(path, 0, PHOTO[:1000], Content_Digest=digest(PHOTO[:1000]))
        self.assertEqual(sent.status_code, 204)
        sent = self.send(path, 1000, PHOTO[1000:2000], Content_Digest=digest(PHOTO))
        self.assert_problem(sent, 400, "digest_mismatch")
        self.assertEqual(self.ask(path).status_code, 404)
        self.assert_nothing_kept()


class RefusedPhotoTests(TusTestCase):
    def assert_gone(self, path: str, response, status: int, code: str, *, images: int = 0) -> None:
        self.assert_problem(response, status, code)
        self.assertEqual(self.ask(path).status_code, 404)
        self.assertEqual(self.send(path, 0, b"").status_code, 404)
        self.assert_nothing_kept(images=images)

    def test_first_bytes_that_are_no_photo(self):
        path = self.begun(length=1_000_000)
        self.assert_gone(path, self.send(path, 0, b"%PDF" * 100), 415, "unsupported_image")

    def test_first_bytes_in_two_requests_that_are_no_photo(self):
        path = self.begun(length=1_000_000)
        self.assertEqual(self.send(path, 0, b"%PDF" * 15).status_code, 204)
        self.assert_gone(path, self.send(path, 60, b"%PDF"), 415, "unsupported_image")

    def test_whole_that_is_shorter_than_a_signature(self):
        path = self.begun(length=10)
        self.assert_gone(path, self.send(path, 0, b"0123456789"), 415, "unsupported_image")

    def test_header_that_ends_early(self):
        path = self.begun(PHOTO[:50], length=100)
        self.assert_gone(path, self.send(path, 50, PHOTO[50:100]), 415, "unsupported_image")

    @override_settings(IMAGE_MAX_PIXELS=100)
    def test_too_many_pixels(self):
        path = self.begun(PHOTO[:50])
        self.assert_gone(path, self.send(path, 50, PHOTO[50:]), 422, "image_too_many_pixels")

    def test_last_place_that_another_photo_took(self):
        self.ticket = make_ticket(self.owner, num_images=1)
        path = self.begun(PHOTO[:50])
        make_image(self.ticket)
        self.assert_gone(path, self.send(path, 50, PHOTO[50:]), 409, "ticket_full", images=1)

    def test_slot_that_another_photo_took(self):
        self.ticket = make_ticket(self.owner, slots=[{"name": "front"}, {"name": "back"}])
        path = self.begun(PHOTO[:50], Upload_Metadata=metadata(slot="front"))
        make_image(self.ticket)
        self.assert_gone(path, self.send(path, 50, PHOTO[50:]), 409, "slot_taken", images=1)

    def test_ticket_that_takes_no_photos_any_more(self):
        for change, status, code in (
            ({"status": TicketStatus.COMPLETED}, 409, "ticket_completed"),
            ({"status": TicketStatus.CANCELLED}, 409, "ticket_cancelled"),
            ({"expires_at": timezone.now()}, 410, "ticket_expired"),
        ):
            with self.subTest(code):
                self.ticket = make_ticket(self.owner)
                path, other = self.begun(PHOTO[:50]), self.begun(PHOTO[:50])
                Ticket.objects.filter(pk=self.ticket.pk).update(**change)
                self.assertEqual(self.ask(other).status_code, status)
                self.assertEqual(self.ask(other).status_code, 404)
                self.assert_gone(path, self.send(path, 50, PHOTO[50:]), status, code)


class EndTests(TusTestCase):
    def test_upload_is_taken_back(self):
        path = self.begun(PHOTO[:1000])

        self.assertEqual(self.tus("DELETE", path).status_code, 204)

        self.assert_nothing_kept()
        self.assertEqual(self.ask(path).status_code, 404)
        self.assert_problem(self.send(path, 1000, PHOTO[1000:]), 404, "not_found")
        self.assert_problem(self.tus("DELETE", path), 404, "not_found")

    def test_finished_one_is_not_taken_back(self):
        path = self.begun(PHOTO)
        self.assert_problem(self.tus("DELETE", path), 403, "upload_finished")
        self.assertEqual(Image.objects.count(), 1)
        self.assertEqual(staged_photos(), [path.split("/")[-2]])

    def test_upload_of_which_nothing_comes_expires(self):
        path = self.begun()
        with override_settings(RESUMABLE_TTL_SECONDS=1):
            self.send(path, 0, PHOTO[:1000])
        asked = self.wait_until(lambda: (asked := self.ask(path)).status_code != 200 and asked)

        self.assertEqual((asked.status_code, "Upload-Offset" in asked), (410, False))
        self.assert_problem(self.send(path, 1000, PHOTO[1000:]), 410, "upload_expired")
        self.wait_until(lambda: not staged_photos())
        self.assert_nothing_kept()

    def test_it_leaves_nothing_in_redis_for_long_once_it_has_expired(self):
        path = self.begun(PHOTO[:10])
        upload_id, redis = path.split("/")[-2], staging_redis()
        for key in (state.key_of(upload_id), state.changed_key_of(upload_id)):
            self.assertLessEqual(redis.ttl(key), settings.RESUMABLE_TTL_SECONDS + 60 * 60)
            self.assertGreater(redis.ttl(key), settings.RESUMABLE_TTL_SECONDS)

    def test_each_piece_prolongs_its_life(self):
        with override_settings(RESUMABLE_TTL_SECONDS=600):
            path = self.begun(PHOTO[:1000])
        before = parsedate_to_datetime(self.ask(path)["Upload-Expires"])

        self.send(path, 1000, PHOTO[1000:2000])

        after = parsedate_to_datetime(self.ask(path)["Upload-Expires"])
        self.assertGreater(after - before, timedelta(seconds=2000))
        self.assertGreater(staging_redis().ttl(store.key_of(path.split("/")[-2])), 2000)

    def test_upload_whose_bytes_were_lost_is_gone(self):
        for loss in ("everything", "its bytes"):
            with self.subTest(loss):
                path = self.begun(PHOTO[:1000])
                if loss == "everything":
                    staging_redis().flushdb()
                else:
                    staging_redis().delete(store.key_of(path.split("/")[-2]))
                self.assertEqual(self.ask(path).status_code, 404)
                self.assert_problem(self.send(path, 1000, PHOTO[1000:]), 404, "not_found")


class ProtocolTests(TusTestCase):
    def test_other_versions_change_nothing(self):
        path = self.begun()
        for version in ("0.2.2", "1.0.1", "", None):
            for method, where in (("POST", self.uploads_path), ("PATCH", path), ("DELETE", path), ("HEAD", path)):
                if version is None and method in ("DELETE", "HEAD"):  # then they are the IETF's
                    continue
                with self.subTest(method=method, version=version):
                    response = self.tus(method, where, Tus_Resumable=version, Upload_Length=10, Upload_Offset=0)
                    self.assertEqual((response.status_code, response["Tus-Version"]), (412, "1.0.0"))
        self.assert_problem(self.tus("PATCH", path, Tus_Resumable="0.2.2"), 412, "tus_version")
        self.assertEqual(self.offset_of(path), 0)

    def test_options_say_what_is_offered(self):
        for path in (self.uploads_path, self.begun()):
            response = self.tus("OPTIONS", path, client=client_for(), Tus_Resumable=None)
            self.assertEqual(response.status_code, 204)
            self.assertEqual((response["Tus-Version"], response["Tus-Max-Size"]), ("1.0.0", "10485760"))
            self.assertEqual(response["Tus-Checksum-Algorithm"], "sha1,sha256,md5")
            self.assertIn("creation-with-upload", response["Tus-Extension"])
            self.assertNotIn("concatenation", response["Tus-Extension"])

    def test_every_answer_names_the_version(self):
        path = self.begun()
        for response in (
            self.tus("GET", path),
            self.tus("POST", self.uploads_path),
            self.tus("POST", self.uploads_path, client=client_for()),
            self.send(path, 7, b"x"),
            self.ask(f"{self.uploads_path}{uuid.uuid4()}/"),
            self.tus("OPTIONS", path),
            self.tus("PATCH", path, Tus_Resumable="2"),
        ):
            with self.subTest(response.status_code):
                self.assertEqual(response["Tus-Resumable"], "1.0.0")

    def test_method_is_named_in_a_header_by_clients_that_have_only_post(self):
        path = self.begun()
        override = {"X_HTTP_Method_Override": "PATCH", "Content_Type": OFFSET_STREAM, "Upload_Offset": 0}
        self.assertEqual(self.tus("POST", path, PHOTO[:10], **override)["Upload-Offset"], "10")
        self.assertEqual(self.tus("POST", path, X_HTTP_Method_Override="HEAD")["Upload-Offset"], "10")
        self.assertEqual(self.tus("POST", path, X_HTTP_Method_Override="delete").status_code, 204)
        self.assertEqual(self.ask(path).status_code, 404)

    def test_post_without_it_and_other_methods_are_405(self):
        path = self.begun()
        for method, override in (("POST", None), ("POST", "BREW"), ("GET", None), ("PUT", None)):
            response = self.tus(method, path, X_HTTP_Method_Override=override)
            self.assert_problem(response, 405, "method_not_allowed")


class WhoMayTests(TusTestCase):
    def test_others_find_nothing(self):
        path = self.begun(PHOTO[:10])
        for client in (client_for(make_user()), client_for(make_user(is_staff=True))):
            for response in (
                self.begin(client=client),
                self.tus("DELETE", path, client=client),
                self.send(path, 10, PHOTO[10:], client=client),
            ):
                self.assert_problem(response, 404, "not_found")
            self.assertEqual(self.ask(path, client=client).status_code, 404)
        self.assertEqual(self.offset_of(path), 10)

    def test_anonymous_is_asked_who_they_are(self):
        path = self.begun()
        for response in (self.begin(client=client_for()), self.send(path, 0, PHOTO, client=client_for())):
            self.assert_unauthenticated(response)

    def test_upload_is_not_found_by_another_ticket(self):
        path = self.begun(PHOTO[:10])
        for ticket in (make_ticket(self.owner), make_ticket(stranger := make_user())):
            client = self.client if ticket.owner == self.owner else client_for(stranger)
            other = path.replace(f"/{self.ticket.pk}/", f"/{ticket.pk}/")
            self.assert_problem(self.send(other, 10, PHOTO[10:], client=client), 404, "not_found")
            self.assert_problem(self.tus("DELETE", other, client=client), 404, "not_found")

    def test_finished_one_is_not_found_by_another_ticket(self):
        path = self.begun(PHOTO)
        other = path.replace(f"/{self.ticket.pk}/", f"/{make_ticket(self.owner).pk}/")
        self.assertEqual(self.ask(other).status_code, 404)


class RepeatedCreationTests(TusTestCase):
    def repeat(self, *arguments, key="a", **options):
        return self.begin(*arguments, Idempotency_Key=key, **options)

    def test_same_key_brings_to_the_same_upload(self):
        first = self.repeat(PHOTO[:10])
        self.assertNotIn("Idempotent-Replayed", first.headers)

        for body in (b"", PHOTO[:10], PHOTO):
            again = self.repeat(body)
            self.assertEqual((again.status_code, again["Location"]), (201, first["Location"]))
            self.assertEqual((again["Idempotent-Replayed"], again["Upload-Offset"]), ("true", "10"))

    def test_bytes_are_taken_from_the_repeat_when_none_came_before(self):
        first = self.repeat()
        self.assertEqual(self.repeat(PHOTO[:10])["Upload-Offset"], "10")
        self.assertEqual(self.offset_of(first["Location"]), 10)

    def test_same_key_brings_to_the_image_of_a_finished_one(self):
        first = self.repeat(PHOTO)
        again = self.repeat(PHOTO)
        self.assertEqual((again.status_code, again["Location"]), (201, first["Location"]))
        self.assertEqual((again["Content-Location"], again["Upload-Offset"]), (first["Content-Location"], str(SIZE)))
        self.assertEqual(Image.objects.count(), 1)

    def test_same_key_begins_anew_when_the_upload_is_gone(self):
        first = self.repeat()
        self.tus("DELETE", first["Location"])
        again = self.repeat()
        self.assertEqual(again.status_code, 201)
        self.assertNotEqual(again["Location"], first["Location"])
        self.assertNotIn("Idempotent-Replayed", again.headers)

    def test_same_key_begins_anew_when_its_photo_has_failed_since(self):
        first = self.repeat(PHOTO)
        Image.objects.update(status="failed", error_code="bytes_lost")
        again = self.repeat(PHOTO)
        self.assertEqual(again.status_code, 201, again.content)
        self.assertNotEqual(again["Location"], first["Location"])
        self.assertEqual(Image.objects.count(), 2)

    def test_other_things_asked_with_the_same_key_are_refused(self):
        self.repeat()
        for other in ({"length": 7}, {"Upload_Metadata": metadata(filename="x")}, {"Repr_Digest": digest(b"")}):
            with self.subTest(other):
                self.assert_problem(self.repeat(**other), 422, "idempotency_key_reused")
        other_ticket = f"/api/v1/tickets/{make_ticket(self.owner).pk}/uploads/"
        self.assert_problem(self.repeat(path=other_ticket), 422, "idempotency_key_reused")

    def test_keys_of_users_are_apart(self):
        first = self.repeat()
        other = make_user()
        path = f"/api/v1/tickets/{make_ticket(other).pk}/uploads/"
        response = self.repeat(path=path, client=client_for(other))
        self.assertEqual(response.status_code, 201)
        self.assertNotEqual(response["Location"], first["Location"])

    def test_malformed_key_is_refused(self):
        self.assert_problem(self.repeat(key=" "), 400, "idempotency_key_invalid")

    def test_repeat_on_a_ticket_that_is_full_since_brings_to_the_upload(self):
        self.ticket = make_ticket(self.owner, num_images=1)
        first = self.repeat(PHOTO)
        self.assertEqual(self.repeat(PHOTO)["Location"], first["Location"])


class MetricsTests(TusTestCase):
    def counted(self) -> dict:
        names = ("hopla_resumable_uploads", "hopla_photos_refused", "hopla_photos_accepted")
        return {key[0] + "".join(key[1]): value for key, value in metrics.totals().items() if key[0] in names}

    def test_what_becomes_of_uploads_is_counted(self):
        before = self.counted()
        with self.captureOnCommitCallbacks(execute=True):
            self.send(self.begun(PHOTO[:10]), 10, PHOTO[10:])
        self.send(self.begun(), 0, b"%PDF" * 100)
        self.tus("DELETE", self.begun())

        grown = {name: value - before.get(name, 0) for name, value in self.counted().items()}
        self.assertEqual(
            {name: value for name, value in grown.items() if value},
            {
                "hopla_resumable_uploadsbegun": 3,
                "hopla_resumable_uploadsresumed": 1,
                "hopla_resumable_uploadsfinished": 1,
                "hopla_resumable_uploadsrefused": 1,
                "hopla_resumable_uploadstaken_back": 1,
                "hopla_photos_refusedunsupported_image": 1,
                "hopla_photos_accepted": 1,
            },
        )


class LimitTests(TusTestCase):
    def test_rate_counts_creations_alone(self):
        with override_settings(THROTTLE_RATES={"uploads": "3/hour"}):
            path = self.begun()
            for offset in range(10):
                self.assertEqual(self.send(path, offset, PHOTO[offset : offset + 1]).status_code, 204)
                self.assertEqual(self.offset_of(path), offset + 1)
                self.assertEqual(self.tus("POST", path, X_HTTP_Method_Override="HEAD").status_code, 200)
            self.begun()
            self.begun()
            self.assert_problem(self.begin(), 429, "throttled")

    @override_settings(STAGING_MAX_BYTES=150_000)
    def test_full_staging_keeps_what_came_and_takes_the_rest_later(self):
        path, other = self.begun(length=120_000), self.begun()
        self.send(path, 0, jpeg_bytes(2, size=80_000))
        self.send(other, 0, PHOTO[:60_000])
        self.assert_problem(self.send(other, 60_000, PHOTO[60_000:]), 503, "staging_full")
        self.assertEqual(self.offset_of(other), 60_000)

        self.tus("DELETE", path)
        self.assertEqual(self.send(other, 60_000, PHOTO[60_000:]).status_code, 204)
