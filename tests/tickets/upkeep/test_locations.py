import io

from django.core.management import call_command
from django.test import override_settings

from apps.tickets.models import IdempotencyKey, Image, Ticket
from apps.tickets.upkeep import locations
from tests.case import ApiTestCase
from tests.makers import client_for, make_image, make_ticket, make_user
from tests.tickets.formats.photo_files import jpeg_that_claims


class ForgetLocationsTests(ApiTestCase):
    def forget(self) -> tuple[str, str]:
        out, err = io.StringIO(), io.StringIO()
        call_command("forget_photo_locations", stdout=out, stderr=err)
        return out.getvalue(), err.getvalue()

    def test_every_place_is_erased_and_nothing_else(self):
        tickets = [make_ticket(num_images=3) for _ in range(3)]
        for ticket in tickets:
            for position in (1, 2):
                make_image(
                    ticket,
                    position=position,
                    latitude=1.5,
                    longitude=0,
                    camera="Canon",
                    captured_at="2026-11-26T10:00:00",
                )
        make_image(tickets[0], position=3, camera="Nikon")
        before = list(Image.objects.order_by("pk").values_list("pk", "camera", "captured_at", "status", "updated_at"))

        told, _ = self.forget()

        self.assertIn("6 photos", told)
        self.assertEqual(Image.objects.exclude(latitude=None, longitude=None).count(), 0)
        after = list(Image.objects.order_by("pk").values_list("pk", "camera", "captured_at", "status", "updated_at"))
        self.assertEqual(after, before)
        self.assertIn("0 photos", self.forget()[0])

    def test_more_tickets_than_are_looked_for_at_a_time(self):
        for _ in range(5):
            ticket = make_ticket(num_images=3)
            for position in (1, 2, 3):
                make_image(ticket, position=position, latitude=1.5, longitude=7)
        batch, locations.BATCH = locations.BATCH, 2
        self.addCleanup(setattr, locations, "BATCH", batch)

        self.assertIn("15 photos", self.forget()[0])

    def test_readers_who_know_the_ticket_are_told_of_the_change(self):
        placed, other = make_ticket(), make_ticket()
        make_image(placed, latitude=1.5, longitude=7)
        make_image(other)
        self.forget()

        self.assertGreater(Ticket.objects.get(pk=placed.pk).version, placed.version)
        self.assertEqual(Ticket.objects.get(pk=other.pk).version, other.version)

    def test_answers_that_are_kept_for_repeats_forget_it_too(self):
        owner = make_user()
        client, url = client_for(owner), f"/api/v1/tickets/{make_ticket(owner).pk}/images/"
        first = self.posted(client, url)
        self.forget()
        again = self.posted(client, url)

        self.assertEqual(first.json()["location"], {"latitude": 52.2297, "longitude": 21.0123})
        self.assertEqual(again["Idempotent-Replayed"], "true")
        self.assertEqual(again.json(), first.json() | {"location": None})
        self.assertNotIn("52.2297", IdempotencyKey.objects.get().answer)

    def posted(self, client, url):
        return client.generic("POST", url, jpeg_that_claims(), "image/jpeg", HTTP_IDEMPOTENCY_KEY="a")

    def test_says_so_while_places_are_still_kept(self):
        self.assertIn("KEEP_PHOTO_LOCATION is on", self.forget()[1])
        with override_settings(KEEP_PHOTO_LOCATION=False):
            self.assertEqual(self.forget()[1], "")
