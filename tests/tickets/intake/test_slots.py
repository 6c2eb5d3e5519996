"""A photo for a named place: how it says so, and what stands against it."""

import io
from unittest import skipUnless

from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import modify_settings
from django.test.client import encode_multipart
from django.test.utils import CaptureQueriesContext
from rest_framework.exceptions import APIException

from apps.tickets.intake import acceptance
from apps.tickets.lifecycle import outcomes
from apps.tickets.models import Image, Ticket
from apps.tickets.staging import store
from tests.case import CommittingTestCase, at_once, default_queue, staged_photos
from tests.makers import client_for, jpeg_bytes, make_accepted_image, make_image, make_ticket, make_user, stage_photo
from tests.tickets.api.test_sets import slots
from tests.tickets.intake.test_stream import PHOTO, IntakeTestCase, Stream


class SlotTestCase(IntakeTestCase):
    """Three places, of which the first two have names."""

    def setUp(self):
        super().setUp()
        self.ticket = make_ticket(self.owner, num_images=3, slots=slots("front", "left"))
        self.url = self.url_of(self.ticket)

    def assert_taken(self, response, position: int, slot: str | None):
        self.assertEqual(response.status_code, 202, response.content)
        shown = response.json()
        self.assertEqual((shown["position"], shown["slot"]), (position, slot))

    def post_fields(self, *fields: tuple[str, object], url=None):
        """A form with these fields, in order."""
        body = io.BytesIO()
        for name, value in fields:
            part = encode_multipart("XX", {name: value})
            body.write(part.removesuffix(b"--XX--\r\n"))
        body.write(b"--XX--\r\n")
        content_type = "multipart/form-data; boundary=XX"
        return self.client.generic("POST", url or self.url, body.getvalue(), content_type)

    @staticmethod
    def photo(content=PHOTO):
        return "image", SimpleUploadedFile("photo.jpg", content, "image/jpeg")


class WantedTests(SlotTestCase):
    def test_field_before_the_photo(self):
        self.assert_taken(self.post_fields(("slot", "left"), self.photo()), 2, "left")

    def test_field_after_the_photo(self):
        self.assert_taken(self.post_fields(self.photo(), ("slot", "left")), 2, "left")

    def test_field_that_comes_byte_by_byte(self):
        body = encode_multipart("XX", {"slot": "left", "image": self.photo()[1]})
        stream = Stream(body)
        stream.read_whole, stream.read = (
            stream.read,
            lambda size=-1: stream.read_whole(min(size, 1) if size > 0 else size),
        )

        response = self.post_stream(stream, content_type="multipart/form-data; boundary=XX", CONTENT_LENGTH=len(body))

        self.assert_taken(response, 2, "left")

    def test_parameter(self):
        self.assert_taken(self.post_form(url=f"{self.url}?slot=left"), 2, "left")
        self.assert_taken(self.post_bare(url=f"{self.url}?slot=front"), 1, "front")

    def test_field_and_parameter_that_agree(self):
        self.assert_taken(self.post_fields(("slot", "left"), self.photo(), url=f"{self.url}?slot=left"), 2, "left")

    def test_field_and_parameter_that_differ(self):
        url = f"{self.url}?slot=front"
        self.assert_refused(self.post_fields(("slot", "left"), self.photo(), url=url), 400, "slot_ambiguous")
        self.assert_refused(self.post_fields(self.photo(), ("slot", "left"), url=url), 400, "slot_ambiguous")
        self.assert_refused(self.post_bare(url=f"{url}&slot=left"), 400, "slot_ambiguous")
        self.assert_refused(self.post_fields(("slot", "left"), self.photo(), ("slot", "front")), 400, "slot_ambiguous")

    def test_name_that_the_ticket_does_not_have(self):
        for name in ("back", "Left", " left", "left ", "l" * 65, "l" * 70_000, "ż"):
            with self.subTest(name=name[:80]):
                for fields in ([("slot", name), self.photo()], [self.photo(), ("slot", name)]):
                    self.assert_refused(self.post_fields(*fields), 400, "slot_unknown")
        for name in ("back", "left%20", "left%00", "%FF"):
            self.assert_refused(self.post_bare(url=f"{self.url}?slot={name}"), 400, "slot_unknown")

    def test_ticket_without_slots_knows_none(self):
        self.ticket = make_ticket(self.owner, num_images=2)
        self.url = self.url_of(self.ticket)
        self.assert_refused(self.post_bare(url=f"{self.url}?slot=front"), 400, "slot_unknown")
        self.assert_refused(self.post_form(slot="front"), 400, "slot_unknown")

    def test_empty_name_is_as_if_left_out(self):
        self.assert_taken(self.post_form(url=f"{self.url}?slot=", slot=""), 3, None)

    def test_stranger_and_anonymous(self):
        url = f"{self.url}?slot=front"
        self.assert_problem(self.post_bare(url=url, client=client_for(make_user())), 404, "not_found")
        self.assert_unauthenticated(self.post_bare(url=url, client=client_for()))


class FreeTests(SlotTestCase):
    def test_without_a_slot_it_takes_a_place_without_a_name(self):
        self.assert_taken(self.post_form(), 3, None)

    def test_slot_is_required_when_every_free_place_has_a_name(self):
        make_image(self.ticket, position=3)
        for response in self.both_ways():
            self.assert_refused(response, 400, "slot_required", images=1)

    def test_ticket_is_full(self):
        for position in (1, 2, 3):
            make_image(self.ticket, position=position)
        for response in self.both_ways():
            self.assert_refused(response, 409, "ticket_full", images=3)
        for response in (self.post_bare(url=f"{self.url}?slot=left"), self.post_form(slot="left")):
            self.assert_refused(response, 409, "slot_taken", images=3)

    def test_slot_is_taken(self):
        make_image(self.ticket, position=2)
        self.assert_refused(self.post_fields(("slot", "left"), self.photo()), 409, "slot_taken", images=1)
        self.assert_refused(self.post_fields(self.photo(), ("slot", "left")), 409, "slot_taken", images=1)
        self.assert_refused(self.post_bare(url=f"{self.url}?slot=left"), 409, "slot_taken", images=1)

    def test_slot_that_failed_is_free(self):
        make_image(self.ticket, position=2, status="failed")
        self.assert_taken(self.post_form(slot="left"), 2, "left")

    @modify_settings(
        MIDDLEWARE={"remove": "apps.common.http.unread_body.UnreadBodyMiddleware"}
    )  # it reads on once the answer is out
    def test_what_the_query_shows_is_refused_before_the_body_is_read(self):
        make_image(self.ticket, position=2)
        for query, status, code in (
            ("slot=left", 409, "slot_taken"),
            ("slot=back", 400, "slot_unknown"),
            ("slot=left&slot=front", 400, "slot_ambiguous"),
        ):
            with self.subTest(query):
                stream = Stream(PHOTO)
                response = self.post_stream(stream, CONTENT_LENGTH=len(PHOTO), QUERY_STRING=query)
                self.assert_refused(response, status, code, images=1)
                self.assertEqual(stream.reads, 0)

    def test_ended_ticket_says_so_first(self):
        for status, code in (("completed", 409), ("cancelled", 409), ("expired", 410)):
            Ticket.objects.filter(pk=self.ticket.pk).update(status=status)
            self.assert_problem(self.post_bare(url=f"{self.url}?slot=left"), code, f"ticket_{status}")
        self.assert_nothing_kept()


class RepeatTests(SlotTestCase):
    KEY = {"HTTP_IDEMPOTENCY_KEY": "photo 1"}

    def test_repeat_for_the_same_slot(self):
        first = self.post_bare(url=f"{self.url}?slot=left", **self.KEY)
        again = self.post_bare(url=f"{self.url}?slot=left", **self.KEY)
        self.assert_taken(first, 2, "left")
        self.assertEqual((again.json(), again["Idempotent-Replayed"]), (first.json(), "true"))

    def test_repeat_for_another_slot_or_none(self):
        self.post_bare(url=f"{self.url}?slot=left", **self.KEY)
        for url in (f"{self.url}?slot=front", self.url):
            self.assert_problem(self.post_bare(url=url, **self.KEY), 422, "idempotency_key_reused")
        self.assertEqual(Image.objects.count(), 1)

    def test_repeat_with_a_slot_of_a_photo_without_one(self):
        self.post_bare(**self.KEY)
        self.assert_problem(self.post_bare(url=f"{self.url}?slot=front", **self.KEY), 422, "idempotency_key_reused")


@skipUnless(connection.vendor == "postgresql", "needs PostgreSQL's locks of rows")
class ConcurrencyTests(CommittingTestCase):
    def setUp(self):
        super().setUp()
        self.ticket = make_ticket(num_images=3, slots=slots("front", "left"))

    def accept(self, *, position=None, seed=1) -> Image:
        photo = stage_photo(jpeg_bytes(seed))
        return acceptance.accept_photo(ticket_id=self.ticket.pk, photo=photo, position=position)

    def test_one_of_many_gets_the_slot_and_the_others_leave_no_bytes(self):
        for slot in ("front", "left"):
            with self.subTest(slot):  # with the first photo of a ticket, and with another
                images, clients = Image.objects.count(), [client_for(self.ticket.owner) for _ in range(8)]

                def post(number, clients=clients, slot=slot):
                    url = f"/api/v1/tickets/{self.ticket.pk}/images/"
                    while True:
                        photo = SimpleUploadedFile("photo.jpg", jpeg_bytes(number), "image/jpeg")
                        response = clients[number].post(url, {"image": photo, "slot": slot}, format="multipart")
                        if response.status_code != 503:
                            return response.status_code, response.json()

                answers = at_once(post, range(len(clients)))

                refused = [problem["code"] for status, problem in answers if status == 409]
                self.assertEqual(refused, ["slot_taken"] * 7)
                [taken] = [image for status, image in answers if status == 202]
                self.assertEqual(taken["slot"], slot)
                self.assertEqual(Image.objects.count(), images + 1)
                kept = [str(image.pk) for image in Image.objects.all()]
                self.assertCountEqual(staged_photos(), kept)
                self.assertEqual(store.bytes_in_use(), sum(image.size for image in Image.objects.all()))
                self.assertCountEqual([job.args[0] for job in default_queue().jobs], kept)

    def test_photo_for_a_slot_takes_it_by_one_statement(self):
        make_accepted_image(self.ticket, seed=7)  # without a slot: place 3
        with CaptureQueriesContext(connection) as queries:
            image = self.accept(position=1)
        self.assertEqual(len(queries), 1)
        self.assertEqual(image.position, 1)

    def test_photo_without_a_slot_never_gets_a_named_place(self):
        self.assertEqual(self.accept().position, 3)

    def test_delivered_photo_leaves_the_slots_as_they_are(self):
        image = self.accept(position=1)
        outcomes.record_failed(image, code="internal_error", detail="no")
        self.assertEqual(Ticket.objects.get(pk=self.ticket.pk).slots, slots("front", "left"))
        self.assertEqual(self.accept(position=1, seed=2).position, 1)

    def test_photo_that_waited_for_the_ticket_finds_the_slot_taken(self):
        make_accepted_image(self.ticket, seed=7)

        def accept():
            try:
                return self.accept(position=1).position
            except APIException as refusal:
                return refusal.default_code

        answer = self.after_waiting(accept, ticket=self.ticket, change=lambda: make_image(self.ticket, position=1))
        self.assertEqual(answer, "slot_taken")
