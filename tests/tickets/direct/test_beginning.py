"""A new direct upload takes its place, and its signed form is what Cloudinary takes."""

import time
from datetime import timedelta
from uuid import UUID

from django.test import override_settings
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from apps.tickets.intake.quota import DAY_SECONDS
from apps.tickets.lifecycle.endings import cancel_ticket
from apps.tickets.models import Image, Ticket
from apps.tickets.models.transition import Transition
from tests.case import default_queue, staged_photos
from tests.makers import client_for, guest_client, jpeg_bytes, make_guest_link, make_image, make_ticket, make_user
from tests.tickets.direct.case import DirectTestCase

MD5 = "0123456789abcdef0123456789ABCDEF"


class BeginningTests(DirectTestCase):
    def test_image_awaits_its_upload_on_a_place_that_counts_as_received(self):
        response = self.begin(size=1234, md5=MD5)

        image = response.json()["image"]
        self.assertEqual(response.status_code, 201)
        self.assertEqual(response["Location"], f"http://testserver{self.path(image_id=image['id'], of='images')}")
        self.assertEqual((image["status"], image["position"], image["filename"]), ("awaiting_upload", 1, "kitchen.jpg"))
        self.assertEqual((image["size"], image["md5"], image["sha256"]), (1234, MD5.lower(), None))
        unknown = ("content_type", "width", "height", "format", "url", "thumbnail_url", "stored_at", "error")
        self.assertEqual({image[name] for name in unknown}, {None})
        self.assertEqual(self.client.get(response["Location"]).json(), image)
        told = {"received": 1, "stored": 0, "failed": 0, "remaining": 1}
        self.assertEqual(self.progress() | told, self.progress())
        self.assertEqual(Ticket.objects.get(pk=self.ticket.pk).status, "in_progress")
        self.assertEqual((staged_photos(), default_queue().job_ids), ([], []))

    def test_without_announcements_they_are_null(self):
        image = self.begin(size=None, md5=None, content_type=None, slot=None).json()["image"]

        self.assertEqual((image["size"], image["md5"]), (None, None))

    def test_form_is_signed_so_that_it_ends_with_the_place(self):
        before = time.time()

        image, form = self.begun()

        self.assertEqual((form["method"], form["url"]), ("POST", f"{self.sandbox.url}/v1_1/sandbox/image/upload"))
        self.assertEqual(
            form["fields"].keys(),
            {"allowed_formats", "api_key", "notification_url", "overwrite", "public_id", "signature", "timestamp"}
            | {"type"},
        )
        fields = form["fields"]
        self.assertEqual(
            (fields["public_id"], fields["type"], fields["overwrite"]), (image.public_id, "upload", "false")
        )
        self.assertEqual(fields["notification_url"], "http://localhost:8000/api/v1/cloudinary/notifications/")
        ends_at = int(fields["timestamp"]) + 3600
        self.assertEqual(parse_datetime(form["expires_at"]).timestamp(), ends_at)
        self.assertEqual(int(image.upload_expires_at.timestamp()), ends_at)
        self.assertAlmostEqual(ends_at - before, 900, delta=120)
        self.assertNotIn("sandbox-secret", str(form))

    def test_form_is_taken_by_cloudinary(self):
        image, form = self.begun()

        self.assertEqual(self.posted(form)["public_id"], image.public_id)

    def test_form_of_an_account_with_sha256_is_taken_too(self):
        with override_settings(CLOUDINARY_URL=f"{self.sandbox.cloudinary_url}&signature_algorithm=sha256"):
            _, form = self.begun()

        self.assertEqual(len(form["fields"]["signature"]), 64)
        self.posted(form)

    def test_cloudinary_is_to_notify_no_address_that_it_cannot_reach(self):
        account = "cloudinary://key:secret@demo"
        with override_settings(CLOUDINARY_URL=account):
            _, form = self.begun()
        self.assertNotIn("notification_url", form["fields"])

        public = {"PUBLIC_URL": "https://hopla.example/", "PUBLIC_URL_IS_SET": True}
        with override_settings(CLOUDINARY_URL=account, **public):
            _, form = self.begun()
        told = "https://hopla.example/api/v1/cloudinary/notifications/"
        self.assertEqual(form["fields"]["notification_url"], told)

    def test_it_is_no_resumable_upload(self):
        image, _ = self.begun()
        path = f"/api/v1/tickets/{self.ticket.pk}/uploads/{image.pk}/"

        self.assertEqual(self.client.head(path, HTTP_TUS_RESUMABLE="1.0.0").status_code, 404)
        self.assertEqual(self.client.delete(path, HTTP_TUS_RESUMABLE="1.0.0").status_code, 404)

    def test_form_with_a_field_changed_or_added_is_refused_by_cloudinary(self):
        _, form = self.begun()

        for change in ({"public_id": "hopla/other"}, {"overwrite": "true"}, {"tags": "mine"}, {"allowed_formats": ""}):
            with self.subTest(change):
                self.assertEqual(self.post(form, **change).status, 401)

    def test_form_that_has_ended_is_refused_by_cloudinary(self):
        with override_settings(DIRECT_UPLOAD_TTL_SECONDS=-5):
            _, form = self.begun()

        self.assertIn("Stale request", self.post(form).json()["error"]["message"])

    def test_second_photo_by_the_same_form_does_not_replace_the_first(self):
        _, form = self.begun()
        first = self.posted(form)

        second = self.posted(form, jpeg_bytes(2))

        self.assertEqual((second["existing"], second["etag"]), (True, first["etag"]))

    def test_slot_is_awaited(self):
        ticket = make_ticket(self.owner, num_images=2, slots=[slot("front"), slot("back")])

        response = self.begin(ticket=ticket, slot="back")

        self.assertEqual((response.json()["image"]["slot"], response.json()["image"]["position"]), ("back", 2))
        status = self.client.get(f"/api/v1/tickets/{ticket.pk}/status/").json()
        self.assertEqual([each["status"] for each in status["slots"]], ["missing", "awaiting"])
        self.assertEqual(status["missing"], ["front"])
        self.assert_problem(self.begin(ticket=ticket, slot="back"), 409, "slot_taken")
        self.assert_problem(self.begin(ticket=ticket), 400, "slot_required")
        self.assert_problem(self.begin(ticket=ticket, slot="side"), 400, "slot_unknown")

    def test_filename_is_cleaned_as_that_of_any_photo(self):
        self.assertEqual(self.begin(filename="../a/b\x07.jpg").json()["image"]["filename"], "b.jpg")

    def test_first_photo_begins_the_ticket_in_its_owners_name(self):
        self.begun()

        begun = Transition.objects.get(ticket_id=self.ticket.pk)
        self.assertEqual((begun.to_status, begun.actor), ("in_progress", f"user {self.owner.pk}"))

    def test_repeat_with_the_same_key_gets_the_same_form(self):
        first = self.begin(IDEMPOTENCY_KEY="one")
        second = self.begin(IDEMPOTENCY_KEY="one")

        self.assertEqual(second["Idempotent-Replayed"], "true")
        self.assertEqual((second.json(), second["Location"]), (first.json(), first["Location"]))
        self.assertEqual(Image.objects.count(), 1)
        other = self.begin(IDEMPOTENCY_KEY="one", filename="other.jpg")
        self.assert_problem(other, 422, "idempotency_key_reused")

    def test_key_of_an_upload_that_failed_begins_another(self):
        first = self.begin(IDEMPOTENCY_KEY="one").json()["image"]["id"]
        self.client.delete(self.path(image_id=first))

        self.assertNotEqual(self.begin(IDEMPOTENCY_KEY="one").json()["image"]["id"], first)

    def test_guest_sends_one_for_the_ticket_of_the_link(self):
        link = make_guest_link(self.ticket)

        image = Image.objects.get(pk=self.begin(guest_client(link)).json()["image"]["id"])

        self.assertEqual(image.guest_link_id, link.pk)
        self.assert_problem(self.begin(guest_client(link), make_ticket(self.owner)), 404, "not_found")


class RefusalTests(DirectTestCase):
    def assert_refused(self, response, status: int, code: str) -> None:
        self.assert_problem(response, status, code)
        self.assertEqual(Image.objects.filter(status="awaiting_upload").count(), 0)

    def test_anonymous(self):
        self.assert_unauthenticated(self.begin(client_for()))

    def test_stranger(self):
        self.assert_refused(self.begin(client_for(make_user())), 404, "not_found")

    def test_switched_off(self):
        with override_settings(DIRECT_UPLOADS=False):
            self.assert_refused(self.begin(), 403, "direct_uploads_off")
            self.assert_refused(self.begin(client_for(make_user())), 404, "not_found")

    def test_bad_input(self):
        self.assert_invalid(self.client.post(self.path(), {}), ("filename", "required"))
        self.assert_invalid(self.begin(size="7"), ("size", "invalid"))
        self.assert_invalid(self.begin(size=-1), ("size", "min_value"))
        self.assert_invalid(self.begin(md5="0" * 31), ("md5", "invalid"))
        self.assert_invalid(self.begin(filename=7, slot=1), ("filename", "invalid"), ("slot", "invalid"))

    def test_photo_that_could_only_be_refused(self):
        self.assert_refused(self.begin(size=0), 400, "image_empty")
        self.assert_refused(self.begin(size=10 * 1024 * 1024 + 1), 413, "image_too_large")
        for content_type in ("application/pdf", "image/svg+xml", "image/x-adobe-dng", "nonsense"):
            self.assert_refused(self.begin(content_type=content_type), 415, "unsupported_image")
        self.assertEqual(self.begin(content_type="image/HEIF; x=1", size=10 * 1024 * 1024).status_code, 201)

    def test_ticket_without_a_free_place(self):
        for position in (1, 2):
            make_image(self.ticket, position=position)

        self.assert_refused(self.begin(), 409, "ticket_full")

    def test_awaited_photo_leaves_no_place_for_another(self):
        self.begun()
        self.begun()

        self.assert_problem(self.begin(), 409, "ticket_full")
        photo = {"CONTENT_TYPE": "image/jpeg"}
        response = self.client.generic("POST", self.path(of="images"), self.photo, content_type="image/jpeg", **photo)
        self.assert_problem(response, 409, "ticket_full")

    def test_ticket_that_has_ended(self):
        past = timezone.now() - timedelta(seconds=1)
        for fields, status, code in (
            ({"status": "completed"}, 409, "ticket_completed"),
            ({"status": "cancelled"}, 409, "ticket_cancelled"),
            ({"status": "expired"}, 410, "ticket_expired"),
            ({"expires_at": past}, 410, "ticket_expired"),
        ):
            with self.subTest(code):
                self.assert_refused(self.begin(ticket=make_ticket(self.owner, **fields)), status, code)

    @override_settings(THROTTLE_RATES={"uploads": "2/minute"})
    def test_throttle_of_uploads(self):
        self.begun()
        self.begun()

        response = self.begin()
        self.assert_problem(response, 429, "throttled")
        self.assertIn("Retry-After", response)


@override_settings(UPLOAD_BYTES_PER_DAY=25 * 1024 * 1024)
class QuotaTests(DirectTestCase):
    """An upload counts by its announced size, or as the largest photo."""

    def setUp(self):
        super().setUp()
        Ticket.objects.update(num_images=9)

    def test_unannounced_sizes_count_as_the_most_until_the_photo_has_come(self):
        with self.captureOnCommitCallbacks(execute=True):
            image, _ = self.begun()
            self.begun()
        response = self.begin()
        self.assert_problem(response, 429, "upload_quota_exceeded")
        self.assertLessEqual(int(response["Retry-After"]), DAY_SECONDS)

        with self.captureOnCommitCallbacks(execute=True):
            self.notify(self.facts(image))

        self.begun()

    def test_announced_sizes_count(self):
        for _ in range(5):
            self.begun(size=5 * 1024 * 1024)

        self.assert_problem(self.begin(size=1), 429, "upload_quota_exceeded")

    def test_what_never_came_is_given_back(self):
        with self.captureOnCommitCallbacks(execute=True):
            images = [self.begun(size=10 * 1024 * 1024)[0] for _ in range(2)]
            self.client.delete(self.path(image_id=images[0].pk))
        self.begun(size=10 * 1024 * 1024)
        self.assert_problem(self.begin(size=10 * 1024 * 1024), 429, "upload_quota_exceeded")

        with self.captureOnCommitCallbacks(execute=True):
            cancel_ticket(self.ticket.pk)

        ticket = make_ticket(self.owner, num_images=9)
        self.assertEqual(
            [self.begin(ticket=ticket, size=10 * 1024 * 1024).status_code for _ in range(3)], [201, 201, 429]
        )

    def test_refusal_takes_nothing(self):
        make_image(self.ticket)
        Ticket.objects.update(num_images=1)
        for _ in range(5):
            self.assert_problem(self.begin(), 409, "ticket_full")

        self.assertEqual([self.begin(ticket=make_ticket(self.owner)).status_code for _ in range(3)], [201, 201, 429])


class TakingBackTests(DirectTestCase):
    def setUp(self):
        super().setUp()
        self.image, self.form = self.begun()

    def take_back(self, client=None, image_id=None):
        return (client or self.client).delete(self.path(image_id=image_id or self.image.pk))

    def test_place_is_free_at_once(self):
        response = self.take_back()

        self.assertEqual(response.status_code, 204)
        self.assertEqual(self.status_of(self.image), ("failed", "direct_upload_given_up"))
        self.assertEqual(self.progress()["received"], 0)
        self.assertEqual(self.take_back().status_code, 204)

    def test_guest_takes_back(self):
        self.assertEqual(self.take_back(guest_client(make_guest_link(self.ticket))).status_code, 204)

    def test_anonymous_and_stranger(self):
        self.assert_unauthenticated(self.take_back(client_for()))
        self.assert_problem(self.take_back(client_for(make_user())), 404, "not_found")
        self.assertEqual(self.status_of(self.image)[0], "awaiting_upload")

    def test_bad_input(self):
        self.assert_problem(self.take_back(image_id=UUID(int=1)), 404, "not_found")
        self.assert_problem(self.take_back(image_id=make_image(self.ticket, position=2).pk), 404, "not_found")

    def test_wrong_state(self):
        self.notify(self.facts(self.image))

        self.assert_problem(self.take_back(), 403, "upload_finished")
        self.assertEqual(self.status_of(self.image)[0], "stored")


def slot(name: str) -> dict:
    return {"name": name, "title": "", "instructions": "", "example_url": None, "source": "any"}
