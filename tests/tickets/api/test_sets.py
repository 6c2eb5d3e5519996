"""Tickets with a reference, metadata and named places: what is taken, and how they are shown."""

from unittest import skipUnless

from django.db import connection
from django.test import override_settings

from apps.tickets.models import Image, Ticket
from tests.case import ApiTestCase
from tests.makers import client_for, make_image, make_ticket, make_user

URL = "/api/v1/tickets/"
NAMES = ["front", "left", "right"]


def slots(*names: str) -> list[dict]:
    """As `Ticket.slots` holds slots that have a name alone."""
    rest = {"title": "", "instructions": "", "example_url": None, "source": "any"}
    return [{"name": name} | rest for name in names]


class SetsTestCase(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.user = make_user()
        self.client = client_for(self.user)

    def assert_refused(self, response, *errors):
        self.assert_invalid(response, *errors)
        self.assertEqual(Ticket.objects.count(), 0)


class ReferenceTests(SetsTestCase):
    def open(self, **fields):
        return self.client.post(URL, {"num_images": 1} | fields)

    def test_reference_and_metadata_are_shown_wherever_the_ticket_is(self):
        own = {"reference": "ORDER-12/ż", "metadata": {"order": "12", "": "", "Język 🚗": " as it is\n"}}

        opened = self.open(**own)

        self.assertEqual(opened.status_code, 201, opened.content)
        for shown in (
            opened.json(),
            self.client.get(opened["Location"]).json(),
            self.client.get(URL).json()["results"][0],
            self.client.get(f"{URL}?cursor=").json()["results"][0],
        ):
            self.assertEqual({name: shown[name] for name in own}, own)

    def test_both_may_be_left_out(self):
        for left_out in ({}, {"reference": None, "metadata": None}):
            shown = self.open(**left_out).json()
            self.assertEqual((shown["reference"], shown["metadata"]), ("", {}))

    def test_reference_that_is_too_long_or_no_text(self):
        for value, code in (("x" * 101, "max_length"), (7, "invalid"), ("a\0", "null_characters_not_allowed")):
            with self.subTest(value=value):
                self.assert_refused(self.open(reference=value), ("reference", code))
        self.assertEqual(self.open(reference="x" * 100).status_code, 201)

    def test_metadata_past_its_bounds(self):
        for value, field, code in (
            ([], "metadata", "not_a_dict"),
            ("a", "metadata", "not_a_dict"),
            ({str(number): "" for number in range(21)}, "metadata", "too_many_keys"),
            ({"x" * 41: ""}, "metadata", "max_length"),
            ({"a\0": ""}, "metadata", "null_characters_not_allowed"),
            ({"a": "x" * 501}, "metadata.a", "max_length"),
            ({"a": 1}, "metadata.a", "invalid"),
            ({"a": None}, "metadata.a", "null"),
            ({"a": True}, "metadata.a", "invalid"),
            ({"a": {}}, "metadata.a", "invalid"),
            ({"a": "\0"}, "metadata.a", "null_characters_not_allowed"),
        ):
            with self.subTest(value=value):
                self.assert_refused(self.open(metadata=value), (field, code))
        at_the_bounds = {f"{number:040}": "x" * 500 for number in range(20)}
        self.assertEqual(self.open(metadata=at_the_bounds).json()["metadata"], at_the_bounds)

    def test_filter_is_exact(self):
        numbers = {
            reference: self.open(reference=reference).json()["id"] for reference in ("A-1", "A-1", "a-1", "A-11")
        }

        found = [ticket["id"] for ticket in self.client.get(f"{URL}?reference=A-1").json()["results"]]
        self.assertEqual(len(found), 2)
        self.assertIn(numbers["A-1"], found)
        self.assertEqual(self.client.get(f"{URL}?reference=A").json()["results"], [])
        self.assertEqual(self.client.get(f"{URL}?reference=").json()["count"], 4)  # as if left out
        self.assert_invalid(self.client.get(f"{URL}?reference={'x' * 101}"), ("reference", "max_length"))

    def test_filter_finds_nobody_elses(self):
        self.open(reference="A-1")

        self.assertEqual(client_for(make_user()).get(f"{URL}?reference=A-1").json()["results"], [])
        staff = client_for(make_user(is_staff=True))
        self.assertEqual(staff.get(f"{URL}?reference=A-1&owner={self.user.pk}").json()["count"], 1)

    @skipUnless(connection.vendor == "postgresql", "needs PostgreSQL's plans")
    def test_filter_has_an_index(self):
        found = Ticket.objects.owned_by(self.user).filter(reference="A-1")
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_seqscan = off")
            self.assertIn("ticket_reference", found.order_by("-created_at", "-id").explain())


class OpenTests(SetsTestCase):
    def open(self, slots, **fields):
        return self.client.post(URL, {"slots": slots} | fields)

    def test_names_alone_are_enough(self):
        response = self.open(NAMES)

        self.assertEqual(response.status_code, 201, response.content)
        shown = response.json()
        self.assertEqual((shown["num_images"], shown["missing"]), (3, NAMES))
        self.assertEqual(shown["slots"], [slot | {"status": "missing", "image_id": None} for slot in slots(*NAMES)])
        self.assertEqual(Ticket.objects.get().slots, slots(*NAMES))
        read = self.client.get(response["Location"]).json()
        self.assertEqual({name: read[name] for name in shown}, shown)

    def test_slot_in_full_beside_a_name(self):
        front = {
            "name": "front",
            "title": "Z przodu",
            "instructions": "All of it.\nWith the plate.",
            "example_url": "https://example.com/front.jpg",
            "source": "camera",
        }

        shown = self.open([front, "left", {"name": "right", "title": None, "source": None}]).json()

        state = {"status": "missing", "image_id": None}
        self.assertEqual(shown["slots"], [each | state for each in (front, *slots("left", "right"))])

    def test_more_places_than_names(self):
        self.assertEqual(self.open(NAMES, num_images=5).json()["num_images"], 5)

    def test_fewer_places_than_names(self):
        self.assert_refused(self.open(NAMES, num_images=2), ("num_images", "fewer_than_slots"))

    def test_no_slots_at_all(self):
        for none in ([], None):
            self.assert_refused(self.open(none), ("num_images", "required"))
        shown = self.open([], num_images=2).json()
        self.assertEqual((shown["num_images"], shown["slots"], shown["missing"]), (2, [], []))

    @override_settings(TICKET_MAX_IMAGES=2)
    def test_more_than_a_ticket_takes(self):
        self.assert_refused(self.open(NAMES), ("slots", "max_length"))

    def test_names_are_refused_and_not_trimmed(self):
        bad = ("", " front", "front ", "front\n", "Front", "_front", "-front", "frönt", "fr.ont", "f" * 65, 7, None, [])
        for name in bad:
            with self.subTest(name=name):
                response = self.open([{"name": name}])
                self.assertIn("slots.0.name", [error["field"] for error in response.json()["errors"]])
                self.assertEqual(response.status_code, 400)
        for name in ("f" * 64, "0", "a-_9"):
            self.assertEqual(self.open([name]).status_code, 201, name)

    def test_slots_that_are_none(self):
        for value in ("front", {"name": "front"}, [None], [7], [["front"]], [{}]):
            with self.subTest(value=value):
                self.assertEqual(self.open(value, num_images=3).status_code, 400)
        self.assertEqual(Ticket.objects.count(), 0)

    def test_name_that_comes_twice(self):
        self.assert_refused(self.open(["front", {"name": "front"}]), ("slots", "repeated"))

    def test_texts_past_their_bounds(self):
        for field, value, code in (
            ("title", "x" * 201, "max_length"),
            ("instructions", "x" * 2001, "max_length"),
            ("title", 7, "invalid"),
            ("title", "\0", "null_characters_not_allowed"),
            ("source", "gallery", "invalid_choice"),
            ("example_url", "front.jpg", "invalid"),
            ("example_url", "ftp://example.com/front.jpg", "invalid"),
            ("example_url", "javascript:alert(1)", "invalid"),
        ):
            with self.subTest(field=field, value=value):
                self.assert_refused(self.open([{"name": "front", field: value}]), (f"slots.0.{field}", code))
        at_the_bounds = {"name": "front", "title": "x" * 200, "instructions": "x" * 2000}
        self.assertEqual(self.open([at_the_bounds]).status_code, 201)

    def test_example_without_tls_is_for_development(self):
        slot = {"name": "front", "example_url": "http://example.com/front.jpg"}
        with override_settings(DEBUG=False):
            self.assert_refused(self.open([slot]), ("slots.0.example_url", "invalid"))
        with override_settings(DEBUG=True):
            self.assertEqual(self.open([slot]).status_code, 201)

    def test_anonymous(self):
        self.client = client_for()
        self.assert_unauthenticated(self.open(NAMES))


class ReadTests(SetsTestCase):
    def setUp(self):
        super().setUp()
        self.ticket = make_ticket(self.user, num_images=4, slots=slots(*NAMES), status="in_progress")
        self.url = f"{URL}{self.ticket.pk}/"

    def assert_slots(self, *states: tuple, missing: list[str]):
        for url in (self.url, f"{self.url}status/"):
            shown = self.client.get(url).json()
            self.assertEqual([(slot["status"], slot["image_id"]) for slot in shown["slots"]], list(states))
            self.assertEqual([slot["name"] for slot in shown["slots"]], NAMES)
            self.assertEqual(shown["missing"], missing)

    def test_every_step_of_a_photo(self):
        self.assert_slots(*[("missing", None)] * 3, missing=NAMES)
        make_image(self.ticket, position=1, status="failed")
        front, left = make_image(self.ticket, position=1), make_image(self.ticket, position=2)
        make_image(self.ticket, position=4)
        self.assert_slots(("received", str(front.pk)), ("received", str(left.pk)), ("missing", None), missing=["right"])
        Image.objects.filter(pk=front.pk).update(status="stored")
        Image.objects.filter(pk=left.pk).update(status="uploading")
        self.assert_slots(("stored", str(front.pk)), ("received", str(left.pk)), ("missing", None), missing=["right"])
        Image.objects.filter(pk=left.pk).update(status="failed")
        self.assert_slots(("stored", str(front.pk)), ("missing", None), ("missing", None), missing=["left", "right"])

    def test_images_name_their_slot(self):
        images = [make_image(self.ticket, position=position) for position in (1, 3, 4)]
        expected = ["front", "right", None]

        self.assertEqual([image["slot"] for image in self.client.get(self.url).json()["images"]], expected)
        page = self.client.get(f"{self.url}images/").json()["results"]
        self.assertEqual([image["slot"] for image in page], expected)
        for image, slot in zip(images, expected, strict=True):
            self.assertEqual(self.client.get(f"{self.url}images/{image.pk}/").json()["slot"], slot)

    def test_one_query_whether_there_are_slots_or_not(self):
        plain = make_ticket(self.user, num_images=4)
        for ticket in (plain, self.ticket):
            for position in (1, 2, 3):
                make_image(ticket, position=position)
        for path in ("", "status/"):
            self.client.get(f"{URL}{plain.pk}/{path}")  # the token's first use is written down
            for ticket in (plain, self.ticket):
                with self.subTest(path, slots=len(ticket.slots)), self.assertNumQueries(2):  # who asks, and the answer
                    self.client.get(f"{URL}{ticket.pk}/{path}")

    def test_pages_of_images_read_their_ticket_once(self):
        for position in (1, 2, 3):
            make_image(self.ticket, position=position)
        self.client.get(f"{self.url}images/")
        plain = make_ticket(self.user, num_images=4)
        make_image(plain)
        with self.assertNumQueries(4):  # who asks, the ticket, how many, the images
            self.client.get(f"{URL}{plain.pk}/images/")
        with self.assertNumQueries(4):
            self.client.get(f"{self.url}images/")

    def test_lists_do_without_slots(self):
        [shown] = self.client.get(URL).json()["results"]

        self.assertFalse({"slots", "missing"} & shown.keys())


class OlderCodeTests(SetsTestCase):
    def test_ticket_of_code_that_does_not_know_the_columns(self):
        ticket = make_ticket(self.user)
        known = [
            field.column
            for field in Ticket._meta.concrete_fields
            if field.name not in ("id", "reference", "metadata", "slots")
        ]
        with connection.cursor() as cursor:
            columns = ", ".join(known)
            cursor.execute(f"INSERT INTO tickets_ticket ({columns}) SELECT {columns} FROM tickets_ticket")

        written = Ticket.objects.exclude(pk=ticket.pk).get()
        self.assertEqual((written.reference, written.metadata, written.slots), ("", {}, []))
