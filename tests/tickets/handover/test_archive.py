import gc
import hashlib
import io
import json
import zipfile

from django.test import SimpleTestCase, override_settings

from apps.common.observability import metrics
from apps.tickets.handover import archive as archives
from apps.tickets.handover.archive import Archive, Download, PhotoDiffersError, name_of
from apps.tickets.handover.manifest import read_manifest
from apps.tickets.models import Image
from apps.tickets.storage.originals import OriginalUnavailableError
from tests.case import ApiTestCase
from tests.makers import client_for, jpeg_bytes, make_ticket, make_user
from tests.tickets.handover.makers import make_stored_ticket, replace_photo, running_delivery


def photo(**fields) -> dict:
    return {"position": 3, "slot": None, "filename": "kitchen.jpg", "content_type": "image/jpeg"} | fields


class NameTests(SimpleTestCase):
    def test_of_place_and_slot_or_own_name(self):
        self.assertEqual(name_of(photo()), "003-kitchen.jpg")
        self.assertEqual(name_of(photo(slot="front")), "003-front.jpg")
        self.assertEqual(name_of(photo(position=1200, content_type="image/heic")), "1200-kitchen.heic")

    def test_are_safe_on_every_system(self):
        for filename in (
            "../../etc/passwd",
            "..",
            "CON",
            "a\\b:c*?.jpg",
            "/",
            "\u202egpj.exe",
            ".hidden",
            "x" * 255,
            "",
            "-rf",
        ):
            with self.subTest(filename):
                name = name_of(photo(filename=filename))
                self.assertRegex(name, r"^003-\w[\w.-]*\.jpg$")
                self.assertNotIn("..", name.replace("....", ""))
                self.assertLessEqual(len(name.encode()), 255)

    def test_keep_other_alphabets(self):
        self.assertEqual(name_of(photo(filename="Łazienka 1.jpg")), "003-Łazienka_1.jpg")
        self.assertLessEqual(len(name_of(photo(filename="\U00020000" * 255)).encode()), 255)


class ArchiveTestCase(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.sandbox = self.enterContext(running_delivery())
        self.user = make_user()
        self.client = client_for(self.user)

    def url(self, ticket) -> str:
        return f"/api/v1/tickets/{ticket.pk}/archive/"

    def archive_of(self, *tickets) -> Archive:
        return Archive([read_manifest(ticket.pk, reader=self.user) for ticket in tickets])

    def assert_nothing_under_way(self):
        self.assertEqual(archives._under_way._number, 0)

    def tearDown(self):
        self.assert_nothing_under_way()
        super().tearDown()


class ArchiveTests(ArchiveTestCase):
    def test_holds_the_photos_byte_for_byte_with_the_manifest(self):
        contents = [jpeg_bytes(number, size=70_000 * number + 1000) for number in range(3)]
        ticket = make_stored_ticket(self.user, contents, filename="kitchen.jpg")
        response = self.client.get(self.url(ticket))
        self.assertEqual(response.status_code, 200)
        self.assertEqual(response["Content-Type"], "application/zip")
        self.assertEqual(response["Content-Disposition"], f'attachment; filename="ticket-{ticket.pk}.zip"')
        body = response.getvalue()
        self.assertEqual(int(response["Content-Length"]), len(body))
        opened = zipfile.ZipFile(io.BytesIO(body))
        self.assertIsNone(opened.testzip())
        names = [f"{number:03d}-kitchen.jpg" for number in (1, 2, 3)]
        self.assertEqual(opened.namelist(), ["manifest.json", "manifest.jws", *names])
        self.assertEqual([opened.read(name) for name in names], contents)
        manifest = json.loads(opened.read("manifest.json"))
        sums = [hashlib.sha256(content).hexdigest() for content in contents]
        self.assertEqual([photo["sha256"] for photo in manifest["photos"]], sums)

    def test_of_a_ticket_without_photos_is_the_manifest_alone(self):
        body = self.client.get(self.url(make_ticket(self.user))).getvalue()
        self.assertEqual(zipfile.ZipFile(io.BytesIO(body)).namelist(), ["manifest.json", "manifest.jws"])

    def test_head_tells_the_length_and_fetches_nothing(self):
        ticket = make_stored_ticket(self.user, [jpeg_bytes()])
        head = self.client.head(self.url(ticket))
        self.assertEqual(self.sandbox.requests.get("delivery", 0), 0)
        self.assertEqual(head.getvalue(), b"")
        self.assertEqual(int(head["Content-Length"]), len(self.client.get(self.url(ticket)).getvalue()))

    def test_several_tickets_have_a_folder_each(self):
        tickets = [make_stored_ticket(self.user, [jpeg_bytes(number)]) for number in range(2)]
        archive = self.archive_of(*tickets)
        body = b"".join(archive)
        self.assertEqual(len(body), len(archive))
        opened = zipfile.ZipFile(io.BytesIO(body))
        for number, ticket in enumerate(tickets):
            self.assertEqual(opened.read(f"ticket-{ticket.pk}/001-photo.jpg"), jpeg_bytes(number))

    def test_anonymous_is_refused(self):
        self.assert_unauthenticated(client_for().get(self.url(make_ticket(self.user))))

    def test_stranger_gets_404(self):
        self.assert_problem(client_for(make_user()).get(self.url(make_ticket(self.user))), 404, "not_found")

    def test_staff_may_have_it(self):
        response = client_for(make_user(is_staff=True)).get(self.url(make_stored_ticket(self.user, [jpeg_bytes()])))
        self.assertIsNone(zipfile.ZipFile(io.BytesIO(response.getvalue())).testzip())


class TroubleTests(ArchiveTestCase):
    def setUp(self):
        super().setUp()
        self.contents = [jpeg_bytes(number, size=100_000) for number in range(2)]
        self.ticket = make_stored_ticket(self.user, self.contents)
        self.first, self.second = Image.objects.filter(ticket=self.ticket).order_by("position")

    def sent_until_it_broke(self, error) -> bytes:
        sent = []
        response = self.client.get(self.url(self.ticket))
        with self.assertRaises(error):
            sent.extend(response)
        self.assertLess(len(b"".join(sent)), int(response["Content-Length"]))
        return b"".join(sent)

    def test_other_bytes_of_the_same_size_break_it_off_before_the_photo_is_whole(self):
        other = jpeg_bytes(99, size=100_000)
        replace_photo(self.second, other)
        before = metrics.totals().get(("hopla_archives", ("photo_differs",), ""), 0)
        with self.assertLogs("apps.tickets.handover.archive", "ERROR") as logged:
            sent = self.sent_until_it_broke(PhotoDiffersError)
        self.assertIn(str(self.second.pk), logged.output[0])
        self.assertIn(self.contents[0], sent)
        self.assertNotIn(other, sent)
        self.assertEqual(metrics.totals()[("hopla_archives", ("photo_differs",), "")], before + 1)

    def test_a_shorter_photo_and_a_longer_one_break_it_off(self):
        for size in (99_999, 100_001, 300_000):
            with self.subTest(size):
                replace_photo(self.second, jpeg_bytes(1, size=size))
                self.sent_until_it_broke(PhotoDiffersError)

    def test_one_changed_byte_breaks_it_off(self):
        changed = bytearray(self.contents[1])
        changed[-1] ^= 1
        replace_photo(self.second, bytes(changed))
        self.sent_until_it_broke(PhotoDiffersError)

    def test_a_photo_that_is_gone_breaks_it_off(self):
        self.sandbox.assets.remove(public_id=self.second.public_id)
        self.sent_until_it_broke(OriginalUnavailableError)

    def test_an_answer_that_ends_early_breaks_it_off(self):
        response = self.client.get(self.url(self.ticket))
        self.sandbox.misbehave("cut_answer", action="delivery")
        with self.assertRaises(OriginalUnavailableError):
            list(response)

    def test_a_first_photo_that_cannot_be_fetched_is_503_before_anything_is_sent(self):
        self.sandbox.misbehave("refuse", action="delivery", status=500)
        response = self.client.get(self.url(self.ticket))
        self.assert_problem(response, 503, "temporarily_unavailable")
        self.assertTrue(response["Retry-After"])

    def test_a_passing_trouble_before_a_photo_is_passed_over(self):
        self.sandbox.misbehave("drop_before_reading", action="delivery", times=1)
        body = self.client.get(self.url(self.ticket)).getvalue()
        self.assertIsNone(zipfile.ZipFile(io.BytesIO(body)).testzip())

    @override_settings(ARCHIVE_CONCURRENCY=1)
    def test_more_than_so_many_at_once_are_refused_until_one_ends(self):
        under_way = self.client.get(self.url(self.ticket))
        refused = self.client.get(self.url(self.ticket))
        self.assert_problem(refused, 503, "archive_busy")
        self.assertGreaterEqual(int(refused["Retry-After"]), 1)
        under_way.getvalue()
        self.assertEqual(len(self.client.get(self.url(self.ticket)).getvalue()), int(under_way["Content-Length"]))

    @override_settings(ARCHIVE_CONCURRENCY=1)
    def test_one_that_is_closed_early_gives_its_turn_back(self):
        for pieces in (0, 1, 7):
            with self.subTest(pieces):
                download = Download(self.archive_of(self.ticket))
                sent = iter(download)
                for _ in range(pieces):
                    next(sent)
                download.close()
                download.close()  # twice is once
                self.assert_nothing_under_way()

    @override_settings(ARCHIVE_CONCURRENCY=1)
    def test_one_that_nobody_closes_gives_its_turn_back(self):
        """As when a middleware fails after the view."""
        Download(self.archive_of(self.ticket))
        gc.collect()
        self.assert_nothing_under_way()

    @override_settings(ARCHIVE_CONCURRENCY=1)
    def test_one_that_breaks_off_gives_its_turn_back(self):
        replace_photo(self.first, jpeg_bytes(99, size=100_000))
        self.sent_until_it_broke(PhotoDiffersError)
        self.assert_nothing_under_way()
