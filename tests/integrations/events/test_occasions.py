"""Which events there are: one for each thing that happened, none for what did not."""

from collections import Counter
from contextlib import suppress
from datetime import timedelta
from unittest import skipUnless

from django.db import connection, transaction
from django.utils import timezone

from apps.integrations.models import Delivery, DeliveryStatus, Endpoint, Event, EventType
from apps.tickets.lifecycle import outcomes
from apps.tickets.lifecycle.endings import cancel_ticket, expire_ticket
from apps.tickets.lifecycle.opening import open_ticket
from apps.tickets.models import Image, Ticket
from apps.tickets.models.statuses import RejectionReason, TicketStatus
from apps.tickets.upkeep.review import Rejection, approve, request_retakes
from apps.tickets.upkeep.staff_actions import extend_expiry, try_again
from tests.case import ApiTestCase, CommittingTestCase, at_once
from tests.faults.books import Books, _each_move_told_once
from tests.makers import (
    begin_attempt,
    client_for,
    guest_client,
    jpeg_bytes,
    make_accepted_image,
    make_guest_link,
    make_image,
    make_kind,
    make_ticket,
    make_user,
)

STORED = {"asset_id": "asset", "asset_version": 1, "asset_format": "jpg"}


class OccasionsTestCase(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.user = make_user()
        self.client = client_for(self.user)

    def tearDown(self):
        self.assertEqual(list(_each_move_told_once(Books(assets=[], diary=None))), [])
        super().tearDown()

    def accept(self, ticket: Ticket, *seeds: int) -> list[Image]:
        images = [make_accepted_image(ticket, seed=seed) for seed in seeds]
        for image in images:
            begin_attempt(image)
        return images

    def complete(self, num_images: int = 2) -> tuple[Ticket, list[Image]]:
        ticket = make_ticket(self.user, num_images=num_images)
        images = self.accept(ticket, *range(num_images))
        for image in images:
            outcomes.record_stored(image, **STORED)
        ticket.refresh_from_db()
        self.assertEqual(ticket.status, TicketStatus.COMPLETED)
        return ticket, images

    def told(self, ticket: Ticket) -> list[str]:
        """The types of its events in the order of the feed, which is that of their sequences."""
        events = sorted(Event.objects.filter(ticket_id=ticket.pk), key=lambda event: (event.position, event.pk))
        sequences = [event.data["sequence"] for event in events]
        self.assertEqual(sequences, sorted(set(sequences)))
        return [event.type for event in events]


class TicketCreatedTests(OccasionsTestCase):
    def test_opened_through_the_api_by_kind_or_without(self):
        make_kind("car", slots=["front", "back"])
        for body, missing in (({"num_images": 2}, []), ({"kind": "car"}, ["front", "back"])):
            with self.subTest(body):
                ticket = Ticket.objects.get(pk=self.client.post("/api/v1/tickets/", body).json()["id"])
                [event] = Event.objects.filter(ticket_id=ticket.pk)
                self.assertEqual((event.type, event.owner_id), (EventType.TICKET_CREATED, self.user.pk))
                self.assertEqual(event.data["ticket"]["missing"], missing)
                self.assertEqual(event.data["ticket"]["progress"]["remaining"], 2)
                self.assertEqual(event.data["sequence"], 1)

    def test_repeated_request_is_told_once(self):
        for _ in range(2):
            answer = self.client.post("/api/v1/tickets/", {"num_images": 2}, headers={"Idempotency-Key": "one"})
            self.assertEqual(answer.status_code, 201)
        self.assertEqual(Event.objects.count(), 1)

    def test_refused_request_is_not_told(self):
        self.client.post("/api/v1/tickets/", {"num_images": 0})
        self.assertEqual(Event.objects.count(), 0)

    def test_neither_ticket_nor_event_without_the_other(self):
        with suppress(ZeroDivisionError), transaction.atomic():
            open_ticket(owner=self.user, num_images=1)
            _ = 1 / 0
        self.assertEqual((Ticket.objects.count(), Event.objects.count()), (0, 0))


class OutcomeTests(OccasionsTestCase):
    def test_last_photo_is_told_before_the_completion(self):
        ticket, _ = self.complete()
        self.assertEqual(self.told(ticket), ["image.stored", "image.stored", "ticket.completed"])
        *_, last, completed = Event.objects.order_by("id")
        self.assertEqual(
            (last.data["ticket"]["status"], completed.data["ticket"]["status"]), ("in_progress", "completed")
        )
        self.assertEqual(last.data["ticket"]["progress"], completed.data["ticket"]["progress"])
        self.assertNotIn("image", completed.data)

    def test_outcome_that_is_recorded_twice_is_told_once(self):
        ticket = make_ticket(self.user)
        [image] = self.accept(ticket, 1)
        again = Image.objects.get(pk=image.pk)
        self.assertTrue(outcomes.record_stored(image, **STORED))
        self.assertFalse(outcomes.record_stored(again, **STORED))
        self.assertFalse(outcomes.record_failed(again, code="bytes_lost", detail=""))
        self.assertEqual(self.told(ticket), ["image.stored"])

    def test_retries_are_not_told_and_a_failure_is(self):
        ticket = make_ticket(self.user)
        [image] = self.accept(ticket, 1)
        outcomes.record_retry(image, moment=timezone.now(), code="cloudinary_unavailable", detail="")
        begin_attempt(image)
        outcomes.record_failed(image, code="cloudinary_refused", detail="Invalid image file")
        self.assertEqual(self.told(ticket), ["image.failed"])
        [event] = Event.objects.all()
        self.assertEqual(event.data["image"]["error"], {"code": "cloudinary_refused", "detail": "Invalid image file"})

    def test_photo_that_is_tried_again_is_told_once_more(self):
        ticket = make_ticket(self.user)
        [image] = self.accept(ticket, 1)
        with self.captureOnCommitCallbacks(execute=True):
            outcomes.record_failed(image, code="cloudinary_refused", detail="")
        try_again(image.pk)
        image.refresh_from_db()
        begin_attempt(image)
        outcomes.record_stored(image, **STORED)
        self.assertEqual(self.told(ticket), ["image.failed", "image.stored"])

    def test_lost_asset_is_a_failure(self):
        ticket, [image, _] = self.complete()
        outcomes.record_asset_lost(image, code="asset_missing", detail="")
        self.assertEqual(self.told(ticket)[3:], ["image.failed"])

    def test_photo_of_a_guest_is_told_to_the_owner(self):
        ticket = make_ticket(self.user)
        guest = guest_client(make_guest_link(ticket))
        answer = guest.generic("POST", f"/api/v1/tickets/{ticket.pk}/images/", jpeg_bytes(1), "image/jpeg")
        image = Image.objects.get(pk=answer.json()["id"])
        begin_attempt(image)
        outcomes.record_stored(image, **STORED)
        [event] = Event.objects.all()
        self.assertEqual((event.owner_id, event.image_id), (self.user.pk, image.pk))


class EndingTests(OccasionsTestCase):
    def test_cancelling_is_told_before_the_failures_that_it_causes(self):
        ticket = make_ticket(self.user, num_images=3)
        self.accept(ticket, 1, 2)
        self.assertTrue(cancel_ticket(ticket.pk))
        self.assertFalse(cancel_ticket(ticket.pk))
        self.assertEqual(self.told(ticket), ["ticket.cancelled", "image.failed", "image.failed"])
        failed = Event.objects.filter(type=EventType.IMAGE_FAILED)
        self.assertEqual({event.data["image"]["error"]["code"] for event in failed}, {"ticket_cancelled"})

    def test_ticket_that_expires_and_gets_more_time(self):
        ticket = make_ticket(self.user, expires_at=timezone.now() - timedelta(seconds=1))
        self.assertTrue(expire_ticket(ticket.pk))
        self.assertFalse(expire_ticket(ticket.pk))
        extend_expiry(ticket.pk, expires_at=timezone.now() + timedelta(hours=1))
        extend_expiry(ticket.pk, expires_at=timezone.now() + timedelta(hours=2))
        self.assertEqual(self.told(ticket), ["ticket.expired", "ticket.reopened"])

    def test_deleted_ticket_leaves_its_events(self):
        ticket, _ = self.complete()
        told = self.told(ticket)
        Ticket.objects.get(pk=ticket.pk).delete()
        self.assertEqual(self.told(ticket), told)


class ReviewTests(OccasionsTestCase):
    def test_retake_reopens_and_the_next_photo_completes_again(self):
        ticket, [image, _] = self.complete()
        request_retakes(ticket.pk, [Rejection(image.pk, RejectionReason.BLURRED)])
        [new] = self.accept(ticket, 9)
        outcomes.record_stored(new, **STORED)
        told = ["image.rejected", "ticket.reopened", "image.stored", "ticket.completed"]
        self.assertEqual(self.told(ticket)[3:], told)

    def test_retake_of_a_ticket_in_progress_reopens_nothing(self):
        ticket = make_ticket(self.user)
        [image] = self.accept(ticket, 1)
        outcomes.record_stored(image, **STORED)
        request_retakes(ticket.pk, [Rejection(image.pk, RejectionReason.BLURRED)])
        self.assertEqual(self.told(ticket), ["image.stored", "image.rejected"])

    def test_approval_is_told_once(self):
        ticket, _ = self.complete()
        for _ in range(2):
            ticket.refresh_from_db()
            approve(ticket.pk, seen_version=ticket.version)
        self.assertEqual(self.told(ticket)[3:], ["ticket.approved"])


class DeliveriesTests(OccasionsTestCase):
    def make_endpoint(self, owner=None, **fields) -> Endpoint:
        return Endpoint.objects.create(owner=owner or self.user, url="https://receiver.example/", **fields)

    def test_each_endpoint_gets_what_it_wants_and_no_other_anything(self):
        all_types, completions = self.make_endpoint(), self.make_endpoint(events=["ticket.completed"])
        self.make_endpoint(events=["ticket.cancelled"])
        self.make_endpoint(enabled=False)
        self.make_endpoint(make_user())
        self.complete()
        got = Delivery.objects.order_by("id").values_list("endpoint_id", "event__type")
        wanted = ["image.stored", "image.stored", "ticket.completed"]
        self.assertCountEqual(got, [(all_types.pk, type) for type in wanted] + [(completions.pk, wanted[-1])])
        default = Delivery(endpoint=all_types, event=Event.objects.first())
        for delivery in Delivery.objects.all():
            self.assertGreaterEqual(delivery.next_try_at, delivery.event.at)
            self.assertEqual(delivery.status, DeliveryStatus.PENDING)
            for field in Delivery._meta.concrete_fields:
                if field.name not in ("id", "endpoint", "event", "next_try_at", "created_at"):
                    self.assertEqual(getattr(delivery, field.attname), getattr(default, field.attname), field.name)

    def test_senders_are_woken_only_where_there_is_something_to_send(self):
        for makes_endpoint in (False, True):
            if makes_endpoint:
                self.make_endpoint()
            with self.subTest(makes_endpoint), self.captureOnCommitCallbacks() as callbacks:
                open_ticket(owner=self.user, num_images=1)
            woken = [callback for callback in callbacks if callback.__name__ == "wake_senders"]
            self.assertEqual(len(woken), int(makes_endpoint))


class AtOnceTests(CommittingTestCase):
    def test_photos_that_are_stored_at_once_complete_once_after_all_of_them(self):
        ticket = make_ticket(num_images=4)
        images = [make_image(ticket, position=position) for position in range(1, 5)]
        make_accepted_image(make_ticket())
        Ticket.objects.filter(pk=ticket.pk).update(status=TicketStatus.IN_PROGRESS)
        for image in images:
            begin_attempt(image)
        at_once(lambda image: outcomes.record_stored(image, **STORED), images)
        events = sorted(Event.objects.filter(ticket_id=ticket.pk), key=lambda event: event.data["sequence"])
        self.assertEqual([event.type for event in events], ["image.stored"] * 4 + ["ticket.completed"])
        counted = [event.data["ticket"]["progress"]["stored"] for event in events]
        self.assertEqual(counted, [1, 2, 3, 4, 4])
        in_feed = client_for(ticket.owner).get("/api/v1/events/").json()["results"]
        self.assertEqual([event["data"]["sequence"] for event in in_feed], [e.data["sequence"] for e in events])

    def test_same_outcome_at_once_is_told_once(self):
        ticket = make_ticket(num_images=1)
        image = make_image(ticket)
        Ticket.objects.filter(pk=ticket.pk).update(status=TicketStatus.IN_PROGRESS)
        begin_attempt(image)
        copies = [Image.objects.get(pk=image.pk) for _ in range(4)]
        at_once(lambda copy: outcomes.record_stored(copy, **STORED), copies)
        types = Counter(Event.objects.filter(ticket_id=ticket.pk).values_list("type", flat=True))
        self.assertEqual(types, {"image.stored": 1, "ticket.completed": 1})

    @skipUnless(connection.vendor == "postgresql", "needs PostgreSQL, where a session can be killed")
    def test_session_that_dies_between_move_and_commit_leaves_neither(self):
        ticket = make_ticket(num_images=1)
        image = make_image(ticket)
        begin_attempt(image)
        with suppress(Exception), transaction.atomic():
            self.assertTrue(outcomes.record_stored(image, **STORED))
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        connection.close()
        self.assertEqual(Event.objects.count(), 0)
        self.assertEqual(Image.objects.get(pk=image.pk).status, "uploading")
        self.assertTrue(outcomes.record_stored(Image.objects.get(pk=image.pk), **STORED))
        self.assertEqual(Event.objects.filter(type=EventType.IMAGE_STORED).count(), 1)
