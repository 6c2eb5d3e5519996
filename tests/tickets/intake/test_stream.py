import base64
import hashlib
import io
import re
import socket
from datetime import timedelta
from unittest import mock

from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import SimpleTestCase, modify_settings, override_settings
from django.utils import timezone

from apps.tickets.intake import body, staged_upload
from apps.tickets.intake.filenames import clean_filename
from apps.tickets.models import Image
from apps.tickets.staging import store
from tests.accounts.credentials import both_clients_for
from tests.case import ApiTestCase, default_queue, staged_photos, staging_redis
from tests.makers import client_for, jpeg_bytes, make_image, make_ticket, make_user
from tests.tickets.formats.photo_files import FORMATS, TIFF_SIZE, exif, jpeg, jpeg_frame, segment, tiff, tiny

PHOTO = jpeg_bytes(1)
HTML = b"<html><body><script>alert(1)</script></body></html>" * 10
NOT_PHOTOS = {
    "text": b"This is a text that somebody called photo.jpg.\n" * 10,
    "svg": b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"></svg>' * 3,
    "pdf": b"%PDF-1.7\n" + b"1 0 obj\n" * 20,
    "html": HTML,
    "html after a GIF's first bytes": b"GIF89a" + HTML,
    "html after a JPEG's first bytes": b"\xff\xd8\xff\xe0" + HTML,
    "html after a PNG's first bytes": b"\x89PNG\r\n\x1a\n" + HTML,
    "one byte": b"\xff",
    "JPEG cut in its header": PHOTO[:100],
    "zeros": bytes(4096),
}


class IntakeTestCase(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.owner = make_user()
        self.client = client_for(self.owner)
        self.ticket = make_ticket(self.owner, num_images=2)
        self.url = self.url_of(self.ticket)

    @staticmethod
    def url_of(ticket):
        return f"/api/v1/tickets/{ticket.pk}/images/"

    def post_form(self, content=PHOTO, *, filename="photo.jpg", field="image", url=None, client=None, **others):
        photo = SimpleUploadedFile(filename, content, "image/jpeg")
        return (client or self.client).post(url or self.url, {field: photo} | others, format="multipart")

    def post_bare(self, content=PHOTO, *, content_type="image/jpeg", url=None, client=None, **headers):
        return (client or self.client).generic("POST", url or self.url, content, content_type, **headers)

    def post_stream(self, stream, *, client=None, content_type="image/jpeg", **environ):
        """A body that the server reads from `stream`, be its CONTENT_LENGTH true or not."""
        base = {"PATH_INFO": self.url, "REQUEST_METHOD": "POST", "CONTENT_TYPE": content_type, "wsgi.input": stream}
        environ = {name: str(value) if name == "CONTENT_LENGTH" else value for name, value in environ.items()}
        return (client or self.client).request(**base | environ)

    def both_ways(self, content=PHOTO, **options):
        """The answers to the photo as a form, then as bare bytes; each is posted when it is asked for."""
        yield self.post_form(content, **options)
        yield self.post_bare(content, **options)

    def assert_refused(self, response, status, code, *, images=0):
        self.assert_problem(response, status, code)
        self.assert_nothing_kept(images=images)
        remaining = self.ticket.progress().remaining
        self.assertEqual(remaining, max(0, self.ticket.num_images - images))
        self.assertEqual(type(self.ticket).objects.get(pk=self.ticket.pk).status, self.ticket.status)


class AcceptedTests(IntakeTestCase):
    def test_photo_is_accepted_either_way(self):
        for position, response in enumerate(self.both_ways(), start=1):
            self.assertEqual(response.status_code, 202, response.content)
            image = Image.objects.get(position=position)
            shown = response.json()
            self.assertEqual(response["Location"], f"http://testserver{self.url}{image.pk}/")
            self.assertEqual(shown, self.client.get(response["Location"]).json())
            self.assertEqual((shown["status"], shown["position"], shown["attempts"]), ("queued", position, 0))
            self.assertEqual((shown["size"], shown["sha256"]), (len(PHOTO), hashlib.sha256(PHOTO).hexdigest()))
            self.assertEqual((shown["width"], shown["height"], shown["format"]), (16, 12, "jpeg"))

    def test_bytes_are_staged_as_they_came(self):
        content = jpeg_bytes(2, size=700_000)  # several pieces, the last one short
        for number, response in enumerate(self.both_ways(content), start=1):
            self.assertEqual(store.read(response.json()["id"], len(content)), content)
            self.assertEqual(store.bytes_in_use(), number * len(content))

    def test_job_is_queued_once_the_row_is_committed(self):
        with self.captureOnCommitCallbacks(execute=True):
            image_id = self.post_form().json()["id"]
            self.assertEqual(default_queue().job_ids, [])

        (job,) = default_queue().jobs
        self.assertEqual(list(job.args), [image_id])

    def test_queue_being_away_does_not_lose_the_photo(self):
        with (
            override_settings(
                RQ_QUEUES={"default": {"URL": "redis://127.0.0.1:1/0"}}, REDIS_URL="redis://127.0.0.1:1/0"
            ),
            self.assertLogs("django.test", "ERROR"),
            self.captureOnCommitCallbacks(execute=True),
        ):
            response = self.post_form()

        self.assertEqual(response.status_code, 202)
        self.assertIsNotNone(Image.objects.get().next_check_at)

    def test_first_photo_puts_the_ticket_in_progress(self):
        self.post_form()

        self.ticket.refresh_from_db()
        self.assertEqual(self.ticket.status, "in_progress")

    def test_content_decides_what_it_is_and_not_the_name_or_type(self):
        ticket = make_ticket(self.owner, num_images=len(FORMATS))
        for format in FORMATS:
            with self.subTest(format):
                response = self.post_bare(tiny(format), content_type="image/x-unknown", url=self.url_of(ticket))
                shown = response.json()
                self.assertEqual((shown["format"], shown["content_type"]), (format, f"image/{format}"))
                self.assertEqual((shown["width"], shown["height"]), (96, 64))

    def test_other_fields_of_the_form_are_no_hindrance(self):
        self.assertEqual(self.post_form(note="taken at noon", tags=["a", "b"]).status_code, 202)

    def test_equal_bytes_are_two_images(self):
        first, second = self.post_form().json(), self.post_form().json()

        self.assertNotEqual(first["id"], second["id"])
        self.assertEqual(first["sha256"], second["sha256"])

    def test_photo_takes_the_first_free_place(self):
        ticket = make_ticket(self.owner, num_images=3)
        make_image(ticket, position=1, status="failed")
        make_image(ticket, position=2)

        positions = [self.post_form(url=self.url_of(ticket)).json()["position"] for _ in range(2)]
        self.assertEqual(positions, [1, 3])

    def test_largest_photo_allowed(self):
        with override_settings(IMAGE_MAX_BYTES=len(PHOTO)):
            for response in self.both_ways():
                self.assertEqual(response.status_code, 202, response.content)

    def test_photo_on_its_side_is_as_large_as_a_person_sees_it(self):
        photo = jpeg(segment(0xE1, b"Exif\0\0" + exif(6)), jpeg_frame(160, 120))
        for response in self.both_ways(photo):
            shown = response.json()
            self.assertEqual((shown["width"], shown["height"], shown["orientation"]), (120, 160, 6))
            self.assertEqual(shown, self.client.get(response["Location"]).json())

    def test_photo_of_fifty_megapixels(self):
        self.assert_refused(self.post_bare(jpeg(jpeg_frame(8001, 8000))), 422, "image_too_many_pixels")
        self.assertEqual(self.post_bare(jpeg(jpeg_frame(8160, 6144))).status_code, 202)

    def test_photo_with_much_between_its_segments(self):
        stray = b"\0\xe1" + bytes(700_000)  # more than what is kept of its head
        for response in self.both_ways(jpeg(segment(0xE0, b"JFIF\0"), stray, jpeg_frame())):
            self.assertEqual((response.status_code, response.json()["width"]), (202, 96))


class FileNameTests(IntakeTestCase):
    def test_name_of_a_form(self):
        self.assertEqual(self.post_form(filename="Straße 1.JPG").json()["filename"], "Straße 1.JPG")

    def test_name_of_bare_bytes(self):
        ticket = make_ticket(self.owner, num_images=20)
        for header, expected in (
            ('attachment; filename="front door.jpg"', "front door.jpg"),
            ("attachment; filename=front.jpg", "front.jpg"),
            ("attachment; filename=\"a.jpg\"; filename*=UTF-8''Stra%C3%9Fe.jpg", "Straße.jpg"),
            ('attachment; filename="../../etc/passwd"', "passwd"),
            ('attachment; filename=".."', ""),
            ('attachment; filename="k\u00c3\u00bc.jpg"', "kü.jpg"),  # UTF-8, as WSGI has it
            ('attachment; filename="k\u00fc.jpg"', "kü.jpg"),  # Latin-1
            ('attachment; filename="\u00e8\u00bb\u008a.jpg"', "車.jpg"),
            ("attachment; filename*=UTF-8''Stra%C3%9Fe.jpg; filename=\"a.jpg\"", "Straße.jpg"),
            ("attachment; FileName*=UTF-8''Stra%C3%9Fe.jpg", "Straße.jpg"),
            ("attachment", ""),
            ("", ""),
            ("attachment; filename*=nonsense", "nonsense"),
            ("attachment; filename*=no-such-charset''x.jpg", ""),
            ("attachment; filename=a.jpg; filename*=no-such-charset''x.jpg", "a.jpg"),
            ("attachment; filename=a.jpg; filename*0=x; filename*=UTF-8''x.jpg", "a.jpg"),
        ):
            with self.subTest(header):
                response = self.post_bare(url=self.url_of(ticket), HTTP_CONTENT_DISPOSITION=header)
                self.assertEqual(response.status_code, 202, response.content)
                self.assertEqual(response.json()["filename"], expected)

    def test_name_in_the_header_of_a_part(self):
        ticket = make_ticket(self.owner, num_images=20)
        for parameters, expected in (
            (b'filename="C:\\fotos\\x.jpg"', "x.jpg"),
            (b'filename=".."', ""),
            ('filename="kü.jpg"'.encode(), "kü.jpg"),
            ('filename="kü.jpg"'.encode("latin-1"), "kü.jpg"),
            (b"filename*=UTF-8''Stra%C3%9Fe.jpg", "Straße.jpg"),
            (b"filename=\"a.jpg\"; FILENAME*=utf-8''Stra%C3%9Fe.jpg", "Straße.jpg"),
            (b'filename=""', ""),
        ):
            with self.subTest(parameters):
                response = self.post_part(b'name="image"; ' + parameters, url=self.url_of(ticket))
                self.assertEqual(response.status_code, 202, response.content)
                self.assertEqual(response.json()["filename"], expected)

    def test_part_without_a_name_of_a_file_is_a_photo_without_a_name(self):
        for header in (b'name="image"', b"name=image", b'name="image"\r\nContent-Type: image/jpeg'):
            with self.subTest(header):
                ticket = make_ticket(self.owner)
                shown = self.post_part(header, url=self.url_of(ticket)).json()
                self.assertEqual((shown["filename"], shown["size"]), ("", len(PHOTO)))

    def post_part(self, parameters: bytes, content=PHOTO, *, url=None):
        start = b"--b\r\nContent-Disposition: form-data; " + parameters + b"\r\n\r\n"
        return self.post_bare(
            start + content + b"\r\n--b--\r\n", content_type="Multipart/Form-Data; Boundary=b", url=url or self.url
        )

    def test_name_of_a_thousand_letters_keeps_its_ending(self):
        filename = self.post_bare(HTTP_CONTENT_DISPOSITION=f'attachment; filename="{"x" * 1000}.jpeg"').json()[
            "filename"
        ]

        self.assertEqual((len(filename), filename[-5:]), (255, ".jpeg"))


class CleanFileNameTests(SimpleTestCase):
    def test_names(self):
        for name, expected in (
            ("photo.jpg", "photo.jpg"),
            ("/tmp/photo.jpg", "photo.jpg"),
            ("..\\..\\photo.jpg", "photo.jpg"),
            ("a\r\nSet-Cookie: x.jpg", "aSet-Cookie: x.jpg"),
            ("a\0b\x1b[31m.jpg", "ab[31m.jpg"),
            ("evil\u202egpj.exe", "evilgpj.exe"),
            ("  photo.jpg  ", "photo.jpg"),
            ("..", ""),
            (".", ""),
            ("a/..", ""),
            ("C:\\..", ""),
            ("..\0", ""),
            (" . ", ""),
            ("C:\\x", "x"),
            ("photos/", ""),
            (".photo", ".photo"),
            ("a..jpg", "a..jpg"),
            ("\0 photo.jpg \0", "photo.jpg"),
            ("/", ""),
            ("\ud800.jpg", ".jpg"),
            ("車.jpg", "車.jpg"),
            ("x" * 300, "x" * 255),
        ):
            with self.subTest(name=name):
                self.assertEqual(clean_filename(name), expected)


class BadInputTests(IntakeTestCase):
    def test_what_is_no_photo_by_its_content(self):
        for name, content in NOT_PHOTOS.items():
            with self.subTest(name):
                for response in self.both_ways(content):
                    self.assert_refused(response, 415, "unsupported_image")

    def test_no_photo_however_long(self):
        for response in self.both_ways(HTML * 10_000):
            self.assert_refused(response, 415, "unsupported_image")

    def test_empty_file(self):
        for response in (self.post_form(b""), self.post_bare(b"", CONTENT_LENGTH="0")):
            self.assert_refused(response, 400, "image_empty")

    def test_form_without_a_file(self):
        response = self.client.post(self.url, {"note": "no photo"}, format="multipart")

        self.assert_refused(response, 400, "image_missing")

    def test_file_in_another_field(self):
        self.assert_refused(self.post_form(field="photo"), 400, "image_missing")

    def test_text_in_the_field_of_the_photo(self):
        response = self.client.post(self.url, {"image": "a text"}, format="multipart")

        self.assert_refused(response, 415, "unsupported_image")

    def test_form_of_a_browser_in_which_no_file_was_chosen(self):
        part = b'--b\r\nContent-Disposition: form-data; name="image"; filename=""\r\n\r\n\r\n--b--\r\n'
        for form in (part, b"--b--\r\n"):
            with self.subTest(form):
                response = self.post_bare(form, content_type="multipart/form-data; boundary=b")
                self.assert_refused(response, 400, "image_missing")

    def test_raw_file_and_base64_are_told_apart_from_what_is_no_photo(self):
        raw = tiff(*TIFF_SIZE, (50706, 1, 4, 1))
        text = base64.b64encode(PHOTO)
        details = set()
        for content in (raw, b"FUJIFILMCCD-RAW " + bytes(200), text, b"data:image/jpeg;base64," + text, HTML):
            for response in self.both_ways(content):
                self.assert_refused(response, 415, "unsupported_image")
                details.add(response.json()["detail"])
        self.assertEqual(len(details), 3)
        self.assertTrue(any("raw files are not taken" in detail for detail in details))
        self.assertTrue(any("base64" in detail for detail in details))

    def test_more_than_one_file(self):
        one, two = (SimpleUploadedFile(f"{name}.jpg", jpeg_bytes(3, size=500_000)) for name in "ab")
        for files in ({"image": [one, two]}, {"image": one, "second": two}):
            with self.subTest(fields=list(files)):
                response = self.client.post(self.url, files, format="multipart")
                self.assert_refused(response, 400, "one_image_per_request")
                one.seek(0), two.seek(0)

    def test_photo_above_the_limit(self):
        with override_settings(IMAGE_MAX_BYTES=len(PHOTO) - 1):
            for response in self.both_ways():
                self.assert_refused(response, 413, "image_too_large")

    def test_photo_of_too_many_pixels(self):
        with override_settings(IMAGE_MAX_PIXELS=16 * 12 - 1):
            for response in self.both_ways():
                self.assert_refused(response, 422, "image_too_many_pixels")
        with override_settings(IMAGE_MAX_PIXELS=16 * 12):
            self.assertEqual(self.post_form().status_code, 202)

    def test_body_that_is_neither_form_nor_image(self):
        for content_type, remedy in (
            ("application/json", "not travel in JSON, nor in base64"),
            ("application/problem+JSON; charset=utf-8", "not travel in JSON"),
            ("application/x-www-form-urlencoded", 'enctype="multipart/form-data"'),
            ("application/octet-stream", "Content-Type: image/jpeg"),
            ("text/plain", "Content-Type: image/jpeg"),
            ("multipart/mixed; boundary=b", "multipart/form-data"),
            ("nonsense", "Content-Type: image/jpeg"),
            ("", "no Content-Type"),
        ):
            with self.subTest(content_type):
                response = self.post_bare(content_type=content_type)
                self.assert_refused(response, 415, "unsupported_media_type")
                self.assertIn(remedy, response.json()["detail"])

    def test_types_of_images_in_every_spelling(self):
        ticket = make_ticket(self.owner, num_images=20)
        for content_type in (
            "IMAGE/JPEG",
            " image/jpeg ",
            "image/jpg",
            "image/*",
            "image/jpeg; charset=utf-8",
            "Image/PNG;",
        ):
            with self.subTest(content_type):
                self.assertEqual(self.post_bare(content_type=content_type, url=self.url_of(ticket)).status_code, 202)

    def test_form_that_is_broken(self):
        start = b'--b\r\nContent-Disposition: form-data; name="image"; filename="x.jpg"\r\n'
        encoded = start + b"Content-Transfer-Encoding: base64\r\n\r\nabcde\r\n--b--\r\n"
        remedy = "let your HTTP library write that header"
        for name, boundary, content, said in (
            ("no boundary", "", start, remedy),
            ("empty boundary", "; boundary=", start, remedy),
            ("boundary of no letters", "; boundary=\x80", start, remedy),
            ("another boundary", "; boundary=c", start + b"\r\n--b--\r\n", remedy),
            ("no end", "; boundary=b", start + b"\r\n" + PHOTO, "malformed"),
            ("no form at all", "; boundary=b", PHOTO, remedy),
            ("coding that is none", "; boundary=b", encoded, "Content-Transfer-Encoding"),
        ):
            with self.subTest(name):
                response = self.post_bare(content, content_type=f"multipart/form-data{boundary}")
                self.assert_refused(response, 400, "parse_error")
                self.assertIn(said, response.json()["detail"])

    def test_largest_form_whatever_the_case_of_its_type(self):
        with override_settings(IMAGE_MAX_BYTES=len(PHOTO)):
            start = b'--b\r\nContent-Disposition: form-data; name="image"; filename="x.jpg"\r\n\r\n'
            response = self.post_bare(start + PHOTO + b"\r\n--b--\r\n", content_type="MULTIPART/form-data; boundary=b")
        self.assertEqual(response.status_code, 202)

    def test_form_of_very_many_fields_or_much_text(self):
        for name, fields in (("many", {f"f{n}": "" for n in range(300)}), ("long", {"note": "x" * 2_000_000})):
            with self.subTest(name):
                response = self.client.post(self.url, fields, format="multipart")
                self.assertIn(response.status_code, (400, 413))
                self.assert_refused(response, response.status_code, response.json()["code"])


class WhoMayPostTests(IntakeTestCase):
    def test_anonymous(self):
        for response in self.both_ways(client=client_for()):
            self.assert_unauthenticated(response)
            self.assert_nothing_kept()

    def test_stranger(self):
        for response in self.both_ways(client=client_for(make_user())):
            self.assert_refused(response, 404, "not_found")

    def test_staff_read_others_tickets_and_do_not_fill_them(self):
        for response in self.both_ways(client=client_for(make_user(is_staff=True))):
            self.assert_refused(response, 404, "not_found")

    def test_ticket_that_is_not(self):
        self.assert_refused(self.post_form(url="/api/v1/tickets/987654321/images/"), 404, "not_found")


class WrongStateTests(IntakeTestCase):
    def test_every_place_taken(self):
        make_image(self.ticket, position=1)
        make_image(self.ticket, position=2, status="uploading")

        for response in self.both_ways():
            self.assert_refused(response, 409, "ticket_full", images=2)

    def test_ticket_that_takes_no_photos(self):
        for status, http_status in (("completed", 409), ("cancelled", 409), ("expired", 410)):
            with self.subTest(status):
                self.ticket.status = status
                self.ticket.save()
                for response in self.both_ways():
                    self.assert_refused(response, http_status, f"ticket_{status}")

    def test_ticket_past_its_end_whatever_its_status_still_says(self):
        self.ticket.expires_at = timezone.now() - timedelta(seconds=1)
        self.ticket.save()

        for response in self.both_ways():
            self.assert_refused(response, 410, "ticket_expired")

    def test_ticket_that_fills_up_while_the_photo_arrives(self):
        def fill():
            make_image(self.ticket, position=1)
            make_image(self.ticket, position=2)

        self.assert_refused(self.post_after(fill), 409, "ticket_full", images=2)

    def test_ticket_that_is_cancelled_while_the_photo_arrives(self):
        def cancel():
            self.ticket.status = "cancelled"
            self.ticket.save()

        self.assert_refused(self.post_after(cancel), 409, "ticket_cancelled")

    def post_after(self, event):
        """A photo whose first byte comes only once `event` has happened."""
        stream = Stream(PHOTO, before_reading=lambda reads: event() if reads == 1 else None)
        return self.post_stream(stream, CONTENT_LENGTH=len(PHOTO))


class QueriesTests(IntakeTestCase):
    """Who asks, with the ticket and its places; then, on PostgreSQL, one statement that takes a place. On SQLite the
    ticket is locked, its places, the image, the version, between two statements that begin and end the transaction.
    """

    def test_number_of_queries_does_not_grow_with_the_photos(self):
        ticket = make_ticket(self.owner, num_images=50)
        self.post_bare(PHOTO, url=self.url_of(ticket))  # the token's first use is written down
        for position in range(2, 40):
            make_image(ticket, position=position)

        with self.assertNumQueries(2 if connection.vendor == "postgresql" else 8):
            response = self.post_bare(PHOTO, url=self.url_of(ticket))

        self.assertEqual((response.status_code, response.json()["position"]), (202, 40))

    def test_idempotency_key_takes_four_more(self):
        """One that looks for its answer, and one that keeps it; the rest begin and end the transaction around them. On
        SQLite that is one within the other.
        """
        ticket = make_ticket(self.owner, num_images=50)
        self.post_bare(PHOTO, url=self.url_of(ticket), HTTP_IDEMPOTENCY_KEY="the first")

        with self.assertNumQueries(6 if connection.vendor == "postgresql" else 12):
            response = self.post_bare(PHOTO, url=self.url_of(ticket), HTTP_IDEMPOTENCY_KEY="another")

        self.assertEqual(response.status_code, 202)

    def test_ticket_is_found_among_others_by_either_kind_of_token(self):
        first, second, third = (make_ticket(self.owner, num_images=4) for _ in range(3))
        strange = make_ticket(make_user())
        for client in both_clients_for(self.owner).values():
            self.assertEqual(self.post_bare(PHOTO, url=self.url_of(second), client=client).status_code, 202)
            self.assert_problem(self.post_bare(PHOTO, url=self.url_of(strange), client=client), 404, "not_found")

        self.assertEqual([each.images.count() for each in (first, second, third, strange)], [0, 2, 0, 0])


class StagingFullTests(IntakeTestCase):
    def test_no_room_for_the_photo(self):
        with override_settings(STAGING_MAX_BYTES=len(PHOTO) - 1):
            for response in self.both_ways():
                self.assert_refused(response, 503, "staging_full")
                self.assertGreaterEqual(int(response["Retry-After"]), 1)

    def test_staging_being_away(self):
        with override_settings(STAGING_REDIS_URL="redis://127.0.0.1:1/0"):
            for response in self.both_ways():
                self.assert_problem(response, 503, "temporarily_unavailable")
                self.assertGreaterEqual(int(response["Retry-After"]), 1)
        self.assertEqual(Image.objects.count(), 0)

    def test_staging_flushed_in_the_middle_of_a_photo(self):
        content = jpeg_bytes(4, size=1_000_000)

        stream = Stream(content, before_reading=lambda reads: staging_redis().flushdb() if reads == 8 else None)
        response = self.post_stream(stream, CONTENT_LENGTH=len(content))

        self.assert_refused(response, 503, "temporarily_unavailable")


class Stream(io.BytesIO):
    """A body that counts how often it is read, and tells before each time."""

    def __init__(self, content=PHOTO, *, before_reading=lambda reads: None):
        super().__init__(content)
        self.reads, self.before_reading = 0, before_reading

    def read(self, size=-1):
        self.reads += 1
        self.before_reading(self.reads)
        return super().read(size)


class BodyTests(IntakeTestCase):
    FORM_START = b'--b\r\nContent-Disposition: form-data; name="image"; filename="x.jpg"\r\n\r\n'
    FORM = "multipart/form-data; boundary=b"

    def test_body_of_a_length_that_nobody_announced(self):
        """As the web server gives one that comes in chunks."""
        chunked = {"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True}
        form = self.FORM_START + PHOTO + b"\r\n--b--\r\n"
        for content_type, content in (("image/jpeg", PHOTO), (self.FORM, form)):
            with self.subTest(content_type):
                response = self.post_stream(Stream(content), content_type=content_type, **chunked)
                self.assertEqual(response.status_code, 202, response.content)
                self.assertEqual(store.read(response.json()["id"], len(PHOTO)), PHOTO)

    def test_limit_holds_for_it_too(self):
        chunked = {"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True}
        stream = Stream(jpeg_bytes(1, size=12 * 1024 * 1024))

        self.assert_refused(self.post_stream(stream, **chunked), 413, "image_too_large")

    def test_no_body(self):
        for extra in ({}, {"CONTENT_LENGTH": "-1"}, {"CONTENT_LENGTH": "x"}):
            with self.subTest(extra):
                self.assert_refused(self.post_stream(Stream(), **extra), 400, "image_empty")
                form = self.post_stream(Stream(), content_type=self.FORM, **extra)
                self.assert_refused(form, 400, "parse_error")

    def test_what_a_slow_client_has_sent_is_staged_before_its_time_is_over(self):
        content, staged = jpeg_bytes(2, size=100_000), []
        stream = Stream(content, before_reading=lambda reads: staged.append(len(staged_photos())))
        with mock.patch.object(staged_upload, "WRITE_EVERY_SECONDS", 0):
            response = self.post_stream(stream, CONTENT_LENGTH=len(content))

        self.assertEqual(response.status_code, 202, response.content)
        self.assertEqual(store.read(response.json()["id"], len(content)), content)
        self.assertEqual(staged[:2], [0, 1])

    def test_body_that_ends_early(self):
        for content_type, content in (("image/jpeg", PHOTO), (self.FORM, self.FORM_START + PHOTO)):
            with self.subTest(content_type):
                response = self.post_stream(
                    Stream(content), content_type=content_type, CONTENT_LENGTH=len(content) + 50
                )
                self.assert_refused(response, 400, "body_incomplete")

    def test_connection_that_breaks(self):
        def reset(reads):
            raise ConnectionResetError

        response = self.post_stream(Stream(before_reading=reset), CONTENT_LENGTH=100)
        self.assert_refused(response, 400, "body_incomplete")

    def test_client_that_stalls_is_cut_off(self):
        ours, theirs = self.connected()
        theirs.sendall(PHOTO[:100])  # and then nothing more
        with mock.patch.object(body, "GRACE_SECONDS", 0), override_settings(UPLOAD_MIN_BYTES_PER_SECOND=10**6):
            response = self.post_stream(ours.makefile("rb"), CONTENT_LENGTH=len(PHOTO), **{"gunicorn.socket": ours})
        self.assert_refused(response, 408, "body_too_slow")
        ours.sendall(b"answer")  # the connection still carries one
        self.assertEqual(theirs.recv(6), b"answer")

    def test_client_that_keeps_the_pace_is_left_alone(self):
        ours, theirs = self.connected()
        theirs.sendall(PHOTO)
        with override_settings(UPLOAD_MIN_BYTES_PER_SECOND=1):
            response = self.post_stream(ours.makefile("rb"), CONTENT_LENGTH=len(PHOTO), **{"gunicorn.socket": ours})

        self.assertEqual(response.status_code, 202)

    def connected(self):
        pair = socket.socketpair()
        for end in pair:
            self.addCleanup(end.close)
        return pair


@modify_settings(
    MIDDLEWARE={"remove": "apps.common.http.unread_body.UnreadBodyMiddleware"}
)  # it reads on once the answer is out
class UnreadBodyTests(IntakeTestCase):
    def test_refusals_that_need_no_byte_of_the_body(self):
        full = make_ticket(self.owner, num_images=1)
        make_image(full)
        megabytes = {"CONTENT_LENGTH": 5_000_000}
        for code, options in (
            ("image_too_large", {"CONTENT_LENGTH": 10 * 1024 * 1024 + 1}),
            ("image_too_large", {"CONTENT_LENGTH": 10**30}),
            ("image_too_large", {"CONTENT_LENGTH": 11 * 1024 * 1024, "content_type": BodyTests.FORM}),
            ("image_empty", {"CONTENT_LENGTH": 0}),
            ("not_authenticated", megabytes | {"client": client_for()}),
            ("not_found", megabytes | {"client": client_for(make_user())}),
            ("ticket_full", megabytes | {"PATH_INFO": self.url_of(full)}),
            ("unsupported_media_type", megabytes | {"content_type": "application/json"}),
        ):
            with self.subTest(code=code, length=options.get("CONTENT_LENGTH")):
                stream = Stream()
                response = self.post_stream(stream, **options)
                self.assert_problem(response, response.status_code, code)
                self.assertEqual(stream.reads, 0)
                self.assert_nothing_kept(images=1)

    def test_what_is_no_photo_is_refused_at_its_first_piece(self):
        stream = Stream(HTML * 2000)

        self.assert_refused(self.post_stream(stream, CONTENT_LENGTH=len(HTML) * 2000), 415, "unsupported_image")
        self.assertEqual(stream.reads, 1)


class NoDiskTests(IntakeTestCase):
    def test_photo_of_megabytes_makes_no_file(self):
        content = jpeg_bytes(5, size=6_000_000)
        with mock.patch("tempfile._sanitize_params", side_effect=AssertionError("a temporary file was made")):
            for response in self.both_ways(content):
                self.assertEqual(response.status_code, 202)
        self.assertEqual(len(staged_photos()), 2)
        self.assertTrue(all(re.fullmatch(r"[0-9a-f-]{36}", name) for name in staged_photos()))
