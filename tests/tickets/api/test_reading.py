import uuid
from datetime import timedelta

from django.db import connection
from django.test import override_settings
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from rest_framework.serializers import Serializer

from apps.tickets.api.serializers import (
    ImageSerializer,
    ProgressSerializer,
    TicketDetailSerializer,
    TicketSerializer,
    TicketStatusSerializer,
)
from apps.tickets.models import read_ticket_with_images
from tests.case import ApiTestCase
from tests.makers import client_for, make_image, make_ticket, make_user

TICKETS = "/api/v1/tickets/"
STORED = {"status": "stored", "asset_id": "a1", "asset_version": 1700000000, "asset_format": "jpg"}


class TicketTestCase(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.owner = make_user()
        self.client = client_for(self.owner)
        self.ticket = make_ticket(self.owner, num_images=3)
        self.url = f"{TICKETS}{self.ticket.pk}/"

    def read(self, path="", client=None):
        response = (client or self.client).get(self.url + path)
        self.assertEqual(response.status_code, 200, response.content)
        return response.json()


class ProgressTests(TicketTestCase):
    def test_places_and_percent(self):
        make_image(self.ticket, position=1, **STORED)
        make_image(self.ticket, position=2, status="uploading")
        make_image(self.ticket, position=3, status="failed")

        self.assertEqual(
            self.read()["progress"],
            {"declared": 3, "received": 2, "stored": 1, "failed": 1, "rejected": 0, "remaining": 1, "percent": 33},
        )

    def test_hundred_percent_is_said_only_when_all_are_stored(self):
        ticket = make_ticket(self.owner, num_images=200)
        for position in range(1, 200):
            make_image(ticket, position=position, **STORED)

        progress = self.client.get(f"{TICKETS}{ticket.pk}/status/").json()["progress"]
        self.assertEqual((progress["percent"], progress["remaining"]), (99, 1))


class TicketTests(TicketTestCase):
    def test_images_come_in_the_order_of_their_places(self):
        second = make_image(self.ticket, position=2)
        first = make_image(self.ticket, position=1)

        self.assertEqual([image["id"] for image in self.read()["images"]], [str(first.pk), str(second.pk)])

    def test_status_is_the_short_answer(self):
        make_image(self.ticket)

        shown = self.read("status/")
        self.assertEqual((shown["ticket_id"], shown["status"]), (self.ticket.pk, "pending"))
        self.assertEqual(shown["progress"]["received"], 1)
        self.assertNotIn("images", shown)

    def test_number_of_queries_does_not_grow_with_the_images(self):
        make_image(self.ticket)
        self.read()  # a token's first use is written down
        ticket = make_ticket(self.owner, num_images=50)
        for position in range(1, 51):
            make_image(ticket, position=position, **STORED)
        for path in ("", "status/", "images/?page_size=100"):
            with CaptureQueriesContext(connection) as with_one:
                self.read(path)
            with self.subTest(path), self.assertNumQueries(len(with_one)):
                self.client.get(f"{TICKETS}{ticket.pk}/{path}")

    def test_answers_are_what_rest_framework_would_make_of_the_fields(self):
        make_image(self.ticket, **STORED)
        moment = timezone.now()
        tickets = [self.ticket, make_ticket(title="Roof", description="Hail", completed_at=moment, expires_at=moment)]
        whole = [read_ticket_with_images(ticket.pk, reader=ticket.owner) for ticket in tickets]
        for serializer in (TicketSerializer, TicketDetailSerializer, TicketStatusSerializer):
            for ticket in whole:
                with self.subTest(serializer=serializer, ticket=ticket):
                    shown = serializer(ticket).data
                    expected = by_rest_framework(serializer, ticket)
                    progress = by_rest_framework(ProgressSerializer, ticket.progress())

                    self.assertEqual(shown, shown | expected | {"progress": progress})


def by_rest_framework(serializer: type, instance) -> dict:
    """What REST framework makes of those fields that are an attribute of the instance."""
    fields = {name: field for name, field in serializer._declared_fields.items() if not (field.read or field.route)}
    return type("Attributes", (Serializer,), fields)(instance).data


class ImageTests(TicketTestCase):
    def image(self, **fields):
        image = make_image(self.ticket, filename="front.jpg", **fields)
        return image, self.read(f"images/{image.pk}/")

    def test_id_in_capitals_is_the_same(self):
        image, shown = self.image()

        for image_id in (str(image.pk).upper(), str(image.pk).title()):
            self.assertEqual(self.read(f"images/{image_id}/"), shown)

    def test_queued_image_in_full(self):
        image, shown = self.image()

        self.assertTrue(
            {
                "id": str(image.pk),
                "position": 1,
                "slot": None,
                "status": "queued",
                "filename": "front.jpg",
                "content_type": "image/jpeg",
                "size": image.size,
                "sha256": image.sha256,
                "duplicate_of": None,
                "width": 16,
                "height": 12,
                "orientation": 1,
                "format": "jpeg",
                "captured_at": None,
                "location": None,
                "camera": None,
                "url": None,
                "thumbnail_url": None,
                "attempts": 0,
                "error": None,
                "next_retry_at": None,
                "created_at": image.created_at.isoformat().replace("+00:00", "Z"),
                "stored_at": None,
            }.items()
            <= shown.items(),
            shown,
        )

    @override_settings(CLOUDINARY_URL="cloudinary://key:secret@demo", CLOUDINARY_DELIVERY_URL="")
    def test_stored_image_names_where_it_lies_at_cloudinary(self):
        image, shown = self.image(**STORED)

        base = "https://res.cloudinary.com/demo/image/upload"
        self.assertEqual(shown["url"], f"{base}/v1700000000/hopla/{image.pk}.jpg")
        self.assertEqual(
            shown["thumbnail_url"], f"{base}/c_fill,g_auto,h_400,w_400/f_auto,q_auto/v1700000000/hopla/{image.pk}"
        )

    @override_settings(CLOUDINARY_URL="cloudinary://key:secret@demo", CLOUDINARY_DELIVERY_URL="http://pictures.test/")
    def test_delivery_host_is_a_setting(self):
        image, shown = self.image(**STORED)

        self.assertEqual(shown["url"], f"http://pictures.test/demo/image/upload/v1700000000/hopla/{image.pk}.jpg")

    def test_image_that_waits_for_its_next_attempt_says_why_and_when(self):
        moment = timezone.now() + timedelta(seconds=8)

        _, shown = self.image(attempts=2, error_code="cloudinary_unavailable", error_detail="No.", next_retry_at=moment)

        self.assertEqual(shown["attempts"], 2)
        self.assertEqual(shown["error"], {"code": "cloudinary_unavailable", "detail": "No."})
        self.assertEqual(shown["next_retry_at"], moment.isoformat().replace("+00:00", "Z"))

    def test_answer_is_what_rest_framework_would_make_of_the_fields(self):
        twin = make_image(self.ticket, position=8)
        states = [
            {"duplicate_of": twin},
            {"status": "stored", "stored_at": timezone.now(), "asset_version": 7, "asset_format": "jpg"},
            {"status": "failed", "error_code": "bytes_lost", "error_detail": "The bytes are lost."},
            {"captured_at": "2026-11-26T10:00:00", "camera": "Canon", "latitude": 52.5, "longitude": -0.25},
            {"attempts": 3, "next_retry_at": timezone.now() + timedelta(seconds=4)},
        ]
        for position, fields in enumerate(states, start=1):
            image = make_image(make_ticket(), position=position, **fields)
            with self.subTest(fields):
                shown = ImageSerializer(image).data

                self.assertEqual(shown, shown | by_rest_framework(ImageSerializer, image))

    def test_images_are_listed_in_pages(self):
        images = [make_image(self.ticket, position=position) for position in (1, 2, 3)]

        page = self.read("images/?page_size=2")
        self.assertEqual(page["count"], 3)
        self.assertEqual([image["id"] for image in page["results"]], [str(image.pk) for image in images[:2]])
        self.assertEqual(len(self.client.get(page["next"]).json()["results"]), 1)

    def test_image_of_another_ticket_is_not_found_under_this_one(self):
        other = make_image(make_ticket(self.owner))

        self.assert_problem(self.client.get(f"{self.url}images/{other.pk}/"), 404, "not_found")

    def test_image_that_is_not(self):
        for image_id in (uuid.uuid4(), "not-an-id", "1"):
            with self.subTest(image_id=image_id):
                self.assert_problem(self.client.get(f"{self.url}images/{image_id}/"), 404, "not_found")


class WhoMayReadTests(TicketTestCase):
    def setUp(self):
        super().setUp()
        self.image = make_image(self.ticket)
        self.urls = [self.url, f"{self.url}status/", f"{self.url}images/", f"{self.url}images/{self.image.pk}/"]

    def test_anonymous(self):
        for url in [TICKETS, *self.urls]:
            with self.subTest(url):
                self.assert_unauthenticated(client_for().get(url))

    def test_stranger_cannot_tell_it_from_what_is_not(self):
        stranger = client_for(make_user())
        for url in self.urls:
            with self.subTest(url):
                theirs = self.assert_problem(stranger.get(url), 404, "not_found")
                nobodys = self.assert_problem(
                    stranger.get(url.replace(f"/{self.ticket.pk}/", "/987654321/")), 404, "not_found"
                )
                self.assertEqual(theirs | {"request_id": ""}, nobodys | {"request_id": ""})

    def test_staff_read_everyones(self):
        staff = client_for(make_user(is_staff=True))
        for url in self.urls:
            with self.subTest(url):
                self.assertEqual(staff.get(url).status_code, 200)

    def test_number_too_large_for_any_ticket(self):
        for number in (2**63, 10**40):
            with self.subTest(number=number):
                self.assert_problem(self.client.get(f"{TICKETS}{number}/"), 404, "not_found")
                self.assert_problem(self.client.get(f"{TICKETS}{number}/images/"), 404, "not_found")


class NoUpdatesTests(TicketTestCase):
    def test_put_patch_and_delete_answer_405_everywhere(self):
        image = make_image(self.ticket)
        paths = [TICKETS, self.url, f"{self.url}status/", f"{self.url}images/", f"{self.url}images/{image.pk}/"]
        for path in paths:
            for method in ("put", "patch", "delete"):
                with self.subTest(path=path, method=method):
                    response = getattr(self.client, method)(path, {"title": "changed", "status": "completed"})
                    self.assert_problem(response, 405, "method_not_allowed")
                    self.assertNotIn(method.upper(), response["Allow"])
        self.ticket.refresh_from_db()
        self.assertEqual((self.ticket.title, self.ticket.status), ("", "pending"))

    def test_post_where_nothing_is_made(self):
        for path in ("", "status/"):
            with self.subTest(path):
                self.assert_problem(self.client.post(self.url + path, {}), 405, "method_not_allowed")

    def test_head_answers_without_a_body(self):
        response = self.client.head(self.url)

        self.assertEqual((response.status_code, response.content), (200, b""))
