"""Kinds of tickets as apps see them: read, and opened by."""

from datetime import timedelta

from django.test import override_settings
from django.utils import timezone

from apps.tickets.models import Ticket, TicketKind
from tests.case import ApiTestCase
from tests.makers import client_for, jpeg_bytes, make_kind, make_user

KINDS, TICKETS = "/api/v1/kinds/", "/api/v1/tickets/"
IN_SPANISH, IN_POLISH = {"HTTP_ACCEPT_LANGUAGE": "es"}, {"HTTP_ACCEPT_LANGUAGE": "pl"}


class KindTestCase(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.user = make_user()
        self.client = client_for(self.user)


class ReadTests(KindTestCase):
    def setUp(self):
        super().setUp()
        front = {
            "name": "front",
            "titles": {"en": "Front", "es": "Frente"},
            "instructions": {"es": "Con la matrícula."},
            "source": "camera",
            "example_link": "https://example.com/front.jpg",
        }
        self.car = make_kind(
            "car",
            slots=[front, "odometer"],
            titles={"en": "A car", "pl": "Samochód"},
            instructions={"pl": "W dzień."},
            expires_in_seconds=3600,
        )

    def read(self, name="car", **headers) -> dict:
        response = self.client.get(f"{KINDS}{name}/", **headers)
        self.assertEqual(response.status_code, 200, response.content)
        return response.json()

    def test_kind_is_shown_with_its_slots_in_their_order(self):
        self.assertEqual(
            self.read(**IN_SPANISH),
            {
                "name": "car",
                "version": 1,
                "title": "A car",
                "instructions": "W dzień.",
                "slots": [
                    {
                        "name": "front",
                        "title": "Frente",
                        "instructions": "Con la matrícula.",
                        "example_url": "https://example.com/front.jpg",
                        "source": "camera",
                    },
                    {"name": "odometer", "title": "", "instructions": "", "example_url": None, "source": "any"},
                ],
                "num_images": 2,
                "expires_in_seconds": 3600,
            },
        )

    def test_order_is_that_of_the_places_not_of_their_making(self):
        self.car.slots.filter(name="front").update(order=9)

        self.assertEqual([slot["name"] for slot in self.read()["slots"]], ["odometer", "front"])

    def test_language_is_the_readers_then_english_then_the_first_given(self):
        self.assertEqual(self.read(**IN_POLISH)["title"], "Samochód")
        self.assertEqual(self.read(**IN_SPANISH)["title"], "A car")
        self.assertEqual(self.read()["instructions"], "W dzień.")

    def test_texts_left_empty_are_as_if_not_given(self):
        TicketKind.objects.filter(pk=self.car.pk).update(titles={"en": "", "es": "", "pl": "Samochód"})

        self.assertEqual(self.read()["title"], "Samochód")

    def test_number_of_photos_is_the_larger_of_both(self):
        self.assertEqual(self.read(make_kind(num_images=5).name)["num_images"], 5)
        self.assertEqual(self.read(make_kind(num_images=5, slots=["a"]).name)["num_images"], 5)

    def test_list_has_pages_by_name(self):
        make_kind("bicycle")

        response = self.client.get(KINDS, {"page_size": 1})

        self.assertEqual(response.json()["count"], 2)
        self.assertEqual([kind["name"] for kind in response.json()["results"]], ["bicycle"])
        self.assertEqual(self.client.get(KINDS, {"page": 2, "page_size": 1}).json()["results"], [self.read()])

    def test_list_takes_as_many_queries_for_many_kinds_as_for_one(self):
        self.client.get(KINDS)  # which notes that the token was used
        with self.assertNumQueries(4):  # the token and its user, the count, the kinds, their slots
            self.client.get(KINDS)
        for _ in range(5):
            make_kind(slots=["a", "b"])
        with self.assertNumQueries(4):
            self.client.get(KINDS)

    def test_kinds_no_longer_offered_are_not_found(self):
        TicketKind.objects.update(is_active=False)

        self.assertEqual(self.client.get(KINDS).json()["results"], [])
        self.assert_problem(self.client.get(f"{KINDS}car/"), 404, "not_found")

    def test_unknown_kind_is_not_found(self):
        self.assert_problem(self.client.get(f"{KINDS}boat/"), 404, "not_found")

    def test_anonymous_reads_none(self):
        for path in (KINDS, f"{KINDS}car/"):
            self.assert_unauthenticated(client_for().get(path))

    def test_api_changes_none(self):
        for method in ("post", "put", "patch", "delete"):
            self.assertEqual(getattr(self.client, method)(f"{KINDS}car/", {}).status_code, 405)


class OpenTests(KindTestCase):
    def open(self, name, headers=None, **fields):
        return self.client.post(TICKETS, {"kind": name} | fields, **headers or {})

    def test_ticket_takes_over_number_instructions_and_expiry(self):
        kind = make_kind("flat", version=4, instructions={"en": "Lights on."}, expires_in_seconds=600)
        before = timezone.now()

        response = self.open("flat", title="Flat 3B")

        self.assertEqual(response.status_code, 201, response.content)
        shown, ticket = response.json(), Ticket.objects.get()
        self.assertEqual((shown["kind"], shown["instructions"]), ("flat", "Lights on."))
        self.assertEqual((shown["title"], shown["num_images"]), ("Flat 3B", 3))
        self.assertEqual(ticket.kind_version, 4)
        self.assertLessEqual(before + timedelta(seconds=600), ticket.expires_at)
        self.assertLessEqual(ticket.expires_at, timezone.now() + timedelta(seconds=600))
        self.assertEqual(kind.name, ticket.kind)

    def test_ticket_shows_its_kind_wherever_it_is_shown(self):
        make_kind("flat", instructions={"en": "Lights on."})
        opened = self.open("flat").json()

        for shown in (
            self.client.get(opened["images_url"].removesuffix("images/")).json(),
            self.client.get(TICKETS).json()["results"][0],
        ):
            self.assertEqual((shown["kind"], shown["instructions"]), ("flat", "Lights on."))

    def test_ticket_without_kind_has_none(self):
        shown = self.client.post(TICKETS, {"num_images": 2}).json()

        self.assertEqual((shown["kind"], shown["instructions"]), ("", ""))

    def test_instructions_are_in_the_language_of_whoever_opens_it(self):
        make_kind("flat", instructions={"en": "Lights on.", "es": "Con luz."})

        opened = self.open("flat", IN_SPANISH).json()

        self.assertEqual(opened["instructions"], "Con luz.")
        self.assertEqual(self.client.get(TICKETS, **IN_POLISH).json()["results"][0]["instructions"], "Con luz.")

    def test_later_changes_of_the_kind_change_no_ticket(self):
        kind = make_kind("flat", slots=["kitchen"], instructions={"en": "Lights on."})
        opened = self.open("flat").json()

        kind.slots.update(name="bath")
        TicketKind.objects.update(instructions={"en": "Off."}, num_images=9, name="house")
        TicketKind.objects.all().delete()

        shown = self.client.get(opened["images_url"].removesuffix("images/")).json()
        self.assertEqual(shown, opened | {"images": []})

    def test_more_photos_may_be_asked_for(self):
        make_kind("flat")

        self.assertEqual(self.open("flat", num_images=5).json()["num_images"], 5)

    def test_fewer_photos_are_refused(self):
        make_kind("flat")

        self.assert_invalid(self.open("flat", num_images=2), ("num_images", "min_value"))

    def test_another_expiry_may_be_asked_for(self):
        make_kind("flat", expires_in_seconds=600)
        other = "2090-01-01T00:00:00Z"

        self.assertEqual(self.open("flat", expires_at=other).json()["expires_at"], other)

    def test_null_is_as_if_left_out(self):
        make_kind("flat", expires_in_seconds=600)

        opened = self.open("flat", num_images=None, expires_at=None).json()
        self.assertEqual(opened["num_images"], 3)
        self.assertIsNotNone(opened["expires_at"])
        self.assert_invalid(self.open(None), ("num_images", "required"))

    def test_unknown_kinds_are_refused(self):
        make_kind("gone", is_active=False)
        for name, code in (("boat", "kind_unknown"), ("gone", "kind_unknown"), ("FLAT", "kind_unknown")):
            with self.subTest(name):
                self.assert_invalid(self.open(name), ("kind", code))
        for name, code in (("", "blank"), (7, "invalid"), ("a" * 65, "max_length"), (["flat"], "invalid")):
            with self.subTest(name):
                self.assert_invalid(self.open(name), ("kind", code))
        self.assertEqual(Ticket.objects.count(), 0)

    def test_kind_beside_slots_is_refused(self):
        make_kind("flat")

        self.assert_invalid(self.open("flat", slots=["front"]), ("kind", "beside_slots"))
        self.assertEqual(self.open("flat", slots=None).status_code, 201)

    def test_everything_that_is_wrong_is_told_at_once(self):
        self.assert_invalid(self.client.post(TICKETS, {"title": 7}), ("num_images", "required"), ("title", "invalid"))

    @override_settings(TICKET_MAX_IMAGES=2)
    def test_kind_of_more_photos_than_a_ticket_takes_is_refused(self):
        make_kind("flat")

        self.assert_invalid(self.open("flat"), ("kind", "max_value"))

    def test_repeated_request_gets_the_first_ticket_whatever_became_of_the_kind(self):
        make_kind("flat")
        first = self.open("flat", {"HTTP_IDEMPOTENCY_KEY": "one"})
        TicketKind.objects.update(num_images=9, is_active=False)

        second = self.open("flat", {"HTTP_IDEMPOTENCY_KEY": "one"})

        self.assertEqual(second.json(), first.json())
        self.assertEqual(Ticket.objects.count(), 1)

    def test_kind_with_slots_makes_as_many_places(self):
        make_kind("car", slots=["front", "back", "odometer", "damage"])

        self.assertEqual(self.open("car").json()["num_images"], 4)

    def test_slots_are_copied_into_the_ticket(self):
        make_kind("car", slots=[{"name": "front", "titles": {"en": "Front", "es": "Frente"}}, "back"])

        opened = self.open("car", IN_SPANISH, num_images=3).json()

        empty = {"title": "", "instructions": "", "example_url": None, "source": "any"}
        slots = [empty | {"name": "front", "title": "Frente"}, empty | {"name": "back"}]
        self.assertEqual(Ticket.objects.get().slots, slots)
        self.assertEqual(opened["slots"], [slot | {"status": "missing", "image_id": None} for slot in slots])
        self.assertEqual((opened["missing"], opened["num_images"]), (["front", "back"], 3))

    def test_photo_takes_the_place_that_the_kind_named(self):
        make_kind("car", slots=["front", "back"])
        url, photo = self.open("car").json()["images_url"], jpeg_bytes()

        response = self.client.post(f"{url}?slot=back", photo, content_type="image/jpeg")

        self.assertEqual((response.json()["position"], response.json()["slot"]), (2, "back"))
