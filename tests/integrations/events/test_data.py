"""What events tell: the ticket and the photo as the API shows them, as they were."""

import json
from datetime import datetime
from unittest import skipUnless

from django.db import connection, transaction
from django.test import override_settings
from django.utils import timezone, translation

from apps.integrations.events.writing import _write_in_steps, write_event_of
from apps.integrations.models import Event, EventType
from apps.tickets.lifecycle import moves, outcomes
from apps.tickets.models import Image, Ticket, slot_as_kept
from apps.tickets.models.statuses import RejectionReason
from apps.tickets.upkeep.locations import forget_locations
from apps.tickets.upkeep.review import Rejection, request_retakes
from tests.case import ApiTestCase, CommittingTestCase, at_once
from tests.makers import begin_attempt, client_for, make_image, make_ticket, make_user

SLOTS = [slot_as_kept(name, instructions="Closer") for name in ("front", "back", "roof")]


def store(image: Image) -> None:
    begin_attempt(image)
    outcomes.record_stored(image, asset_id="asset", asset_version=1795255201, asset_format="jpg")


def events_of(ticket: Ticket) -> list[Event]:
    return sorted(Event.objects.filter(ticket_id=ticket.pk), key=lambda event: event.id)


@override_settings(PUBLIC_URL="http://testserver/")
class DataTests(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.user = make_user()
        self.client = client_for(self.user)
        described = {"title": "Flat «3B»", "description": "ą\u2028", "reference": "r-1", "metadata": {"order": "7"}}
        self.ticket = make_ticket(self.user, num_images=4, slots=SLOTS, instructions="In daylight", **described)
        self.image = make_image(
            self.ticket,
            position=2,
            filename="zażółć.jpg",
            latitude=52.2296756,
            longitude=-21.0122287,
            camera="Phone",
            captured_at="2026-11-21T10:58:47",
        )
        moves.begin(Ticket.objects.lock(self.ticket.pk))

    def test_ticket_is_told_as_a_list_shows_it_with_what_is_missing(self):
        store(self.image)
        [event] = events_of(self.ticket)
        [listed] = self.client.get("/api/v1/tickets/").json()["results"]
        self.assertEqual(event.data["ticket"], listed | {"missing": ["front", "roof"]})
        self.assertEqual(list(event.data["ticket"]), [*listed, "missing"])

    def test_image_is_told_as_it_is_shown(self):
        store(self.image)
        [event] = events_of(self.ticket)
        shown = self.client.get(f"/api/v1/tickets/{self.ticket.pk}/images/{self.image.pk}/").json()
        self.assertEqual(event.data["image"], shown)
        self.assertEqual(shown["slot"], "back")

    def test_sequence_grows_within_a_ticket(self):
        store(self.image)
        for position in (1, 3, 4):
            store(make_image(self.ticket, position=position))
        self.ticket.refresh_from_db()
        told = [event.data["sequence"] for event in events_of(self.ticket)]
        self.assertEqual(told, sorted(set(told)))
        self.assertEqual(told[-1], self.ticket.version)

    def test_data_is_of_the_event_whatever_comes_later(self):
        store(self.image)
        self.ticket.refresh_from_db()
        request_retakes(self.ticket.pk, [Rejection(self.image.pk, RejectionReason.BLURRED, "Again")])
        Ticket.objects.lock(self.ticket.pk).touch(title="Another")
        Ticket.objects.get(pk=self.ticket.pk).delete()
        stored, rejected = events_of(self.ticket)
        self.assertEqual(stored.data["ticket"]["title"], "Flat «3B»")
        self.assertEqual(stored.data["ticket"]["progress"]["stored"], 1)
        self.assertEqual(stored.data["image"]["status"], "stored")
        self.assertIsNone(stored.data["image"]["review"])
        self.assertEqual(rejected.data["image"]["review"]["note"], "Again")
        self.assertEqual(rejected.data["ticket"]["progress"]["rejected"], 1)
        self.assertEqual(rejected.data["ticket"]["missing"], ["front", "back", "roof"])

    def test_text_stays_as_it_was_first_read(self):
        store(self.image)
        [first] = events_of(self.ticket)
        data = first.data
        with override_settings(PUBLIC_URL="https://other.example", CLOUDINARY_DELIVERY_URL="https://cdn.example"):
            [again] = events_of(self.ticket)
            self.assertEqual(json.dumps(again.data), json.dumps(data))

    def test_reader_who_comes_second_gets_the_text_of_the_first(self):
        store(self.image)
        [first], [second] = events_of(self.ticket), events_of(self.ticket)
        self.assertIn("http://testserver/api/", first.data["ticket"]["images_url"])
        with override_settings(PUBLIC_URL="https://other.example"):
            self.assertEqual(second.data, first.data)

    def test_place_is_not_told_once_none_is_to_be_kept(self):
        store(self.image)
        [event] = events_of(self.ticket)
        self.assertEqual(event.data["image"]["location"], {"latitude": 52.2296756, "longitude": -21.0122287})
        with override_settings(KEEP_PHOTO_LOCATION=False):
            self.assertIsNone(event.data["image"]["location"])

    def test_places_that_are_forgotten_are_erased_in_events_too(self):
        store(self.image)
        store(make_image(self.ticket, position=1, latitude=-1.5, longitude=0))
        read, unread = events_of(self.ticket)
        self.assertTrue(read.data["image"]["location"])
        Ticket.objects.get(pk=self.ticket.pk).delete()
        forget_locations()
        for event, before in zip(events_of(self.ticket), (read, unread), strict=True):
            self.assertIsNone(event.data["image"]["location"])
            kept = f"{event.text} {event.facts}"
            self.assertNotIn("52.22", kept)
            self.assertNotIn("-1.5", kept)
            self.assertEqual(event.data["image"] | {"location": 0}, before.data["image"] | {"location": 0})

    def test_errors_are_told_in_english(self):
        begin_attempt(self.image)
        with translation.override("pl"):
            outcomes.record_failed(self.image, code="bytes_lost", detail="The bytes are gone.")
            [event] = events_of(self.ticket)
            self.assertEqual(event.data["image"]["error"], {"code": "bytes_lost", "detail": "The bytes are gone."})

    def test_missing_names_the_first_fifty(self):
        slots = [slot_as_kept(f"place-{number}") for number in range(60)]
        ticket = make_ticket(self.user, num_images=60, slots=slots)
        moves.begin(Ticket.objects.lock(ticket.pk))
        store(make_image(ticket, position=1))
        [event] = events_of(ticket)
        self.assertEqual(event.data["ticket"]["missing"], [f"place-{number}" for number in range(1, 51)])

    def test_time_and_request_are_those_of_the_move(self):
        self.image.request_id = "posted-by"
        self.image.save(update_fields=["request_id"])
        store(self.image)
        [event] = events_of(self.ticket)
        at = datetime.fromisoformat(event.data["ticket"]["updated_at"])
        self.assertEqual((event.at, event.request_id), (at, "posted-by"))
        self.assertEqual((event.image_id, event.owner_id), (self.image.pk, self.user.pk))
        self.assertLess(event.at, timezone.now())

    @skipUnless(connection.vendor == "postgresql", "needs PostgreSQL, whose statement it is")
    def test_statement_and_steps_write_the_same(self):
        store(self.image)
        for ticket, image in ((self.ticket, self.image), (self.ticket, None), (make_ticket(self.user), None)):
            with self.subTest(ticket=ticket, image=image), transaction.atomic():
                Event.objects.all().delete()
                type = EventType.IMAGE_STORED if image else EventType.TICKET_CREATED
                locked = Ticket.objects.lock(ticket.pk)
                write_event_of(locked, type, image=image)
                counted = locked.counted
                _write_in_steps(locked, type, image=image)
                self.assertEqual(locked.counted, counted)
                one, two = Event.objects.order_by("id")
                self.assertEqual(one.data, two.data)
                for name in ("owner_id", "type", "ticket_id", "image_id", "at", "request_id"):
                    self.assertEqual(getattr(one, name), getattr(two, name), name)


class ReadersAtOnceTests(CommittingTestCase):
    @skipUnless(connection.vendor == "postgresql", "needs PostgreSQL, which locks rows")
    def test_all_get_one_text(self):
        ticket = make_ticket(num_images=9)
        for position in range(1, 9):
            store(make_image(ticket, position=position))

        def read(number: int) -> list[str]:
            events = list(Event.objects.order_by("id" if number % 2 else "-id"))
            Event.objects.settle(events)
            return sorted(event.text for event in events)

        texts = at_once(read, range(4))
        kept = sorted(Event.objects.values_list("text", flat=True))
        self.assertEqual(texts, [kept] * 4)
