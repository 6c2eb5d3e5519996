"""The page on which staff review a ticket's photos, and what leads to it."""

import uuid
from datetime import timedelta
from unittest import skipUnless

from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.tickets.models import Image, Ticket
from apps.tickets.models.transition import Transition
from apps.tickets.upkeep.review import Rejection, request_retakes
from tests.case import ApiTestCase
from tests.makers import make_image, make_ticket, make_user
from tests.tickets.api.test_sets import slots

LIST = "/admin/tickets/ticket/"
MARK = '<input type="checkbox" name='


def make_stored(ticket: Ticket, position: int = 1, **fields) -> Image:
    asset = {"status": "stored", "asset_version": 7, "asset_format": "jpg", "stored_at": timezone.now()}
    return make_image(ticket, position=position, **asset | fields)


def make_completed(*, num_images: int = 2, minutes_ago: float = 5, **fields) -> Ticket:
    """A ticket whose photos are stored, as rows alone."""
    completed_at = timezone.now() - timedelta(minutes=minutes_ago)
    ticket = make_ticket(num_images=num_images, status="completed", completed_at=completed_at, **fields)
    for position in range(1, num_images + 1):
        make_stored(ticket, position)
    return ticket


def ask_for(image: Image, reason: str = "blurred", note: str = "") -> dict:
    return {f"{image.pk}-marked": "1", f"{image.pk}-reason": reason, f"{image.pk}-note": note}


class ReviewTestCase(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.user = make_user("olga", is_staff=True)
        self.operator = self.log_in(self.user, "operators")
        self.ticket = make_completed(slots=slots("front", "odometer"))
        self.front, self.odometer = self.ticket.images.all()

    @staticmethod
    def log_in(user, group: str = "") -> Client:
        user.groups.set(Group.objects.filter(name=group))
        client = Client()
        client.force_login(user)
        return client

    def path(self, ticket: Ticket | None = None) -> str:
        return f"{LIST}{(ticket or self.ticket).pk}/review/"

    def page(self, ticket: Ticket | None = None, **query):
        response = self.operator.get(self.path(ticket), query)
        self.assertEqual(response.status_code, 200)
        return response

    def send(self, action: str, *marks: dict, client=None, **fields):
        self.ticket.refresh_from_db()
        form = {"action": action, "seen_version": self.ticket.version} | fields
        for each in marks:
            form |= each
        return (client or self.operator).post(self.path(), form)

    def place(self, position: int, response=None):
        return (response or self.page()).context["places"].object_list[position - 1]

    def assert_refused(self, response, told: str) -> None:
        self.assertEqual(response.status_code, 200)
        self.assertEqual(response.context["refusal"], told)
        self.assertContains(response, 'role="alert"')
        unchanged = Ticket.objects.get(pk=self.ticket.pk)
        self.assertEqual((unchanged.status, unchanged.review), (self.ticket.status, self.ticket.review))
        self.assertFalse(LogEntry.objects.exists())


class PageTests(ReviewTestCase):
    def test_photos_stand_at_their_places_with_what_was_asked_for(self):
        self.ticket.slots[0] |= {
            "title": "The front <door>",
            "instructions": "Whole car",
            "example_url": "https://res.cloudinary.com/demo/front.jpg",
        }
        self.ticket.slots[1]["example_url"] = "https://example.com/odometer.jpg"
        self.ticket.save()

        page = self.page()

        self.assertContains(page, "1. The front &lt;door&gt;")
        self.assertContains(page, "Whole car")
        self.assertContains(page, "c_limit,h_1600,w_1600/f_auto,q_auto/v7/hopla/" + str(self.front.pk))
        self.assertContains(
            page, f'href="https://res.cloudinary.com/sandbox/image/upload/v7/hopla/{self.front.pk}.jpg"'
        )
        self.assertContains(page, '<img src="https://res.cloudinary.com/demo/front.jpg"')
        self.assertContains(page, '<a href="https://example.com/odometer.jpg"')
        self.assertNotContains(page, '<img src="https://example.com')

    def test_photo_that_browsers_cannot_show_is_enlarged_in_a_format_that_they_can(self):
        Image.objects.filter(pk=self.front.pk).update(format="heic", asset_format="heic")
        self.assertContains(self.page(), f"upload/f_auto,q_auto:best/v7/hopla/{self.front.pk}")

    def test_what_was_measured_stands_apart_from_what_the_photo_claims(self):
        Image.objects.filter(pk=self.front.pk).update(
            captured_at="2026-11-26T10:00:00", latitude=52.25, longitude=-21.5, camera="Canon <7D>"
        )
        page = self.page().content.decode()

        measured, claimed, _ = page.split("Claimed by the photo")
        for claim in ("2026-11-26T10:00:00", "52.250000, -21.500000", "Canon &lt;7D&gt;"):
            self.assertIn(claim, claimed)
            self.assertNotIn(claim, measured)
        self.assertIn(self.front.sha256, measured)
        with self.settings(KEEP_PHOTO_LOCATION=False):
            self.assertNotContains(self.page(), "52.25")

    def test_striking_claims_are_pointed_out_and_likely_ones_are_not(self):
        day = timedelta(days=1)
        opened = self.ticket.created_at
        for captured_at, hint in (
            (opened - 3 * day, "before the ticket was opened"),
            (opened + 3 * day, "after it was received"),
            (opened - day / 2, ""),
            (opened + day / 2, ""),
        ):
            for text in (captured_at.isoformat(), captured_at.replace(tzinfo=None).isoformat()):
                with self.subTest(text):
                    Image.objects.filter(pk=self.front.pk).update(captured_at=text)
                    hints = self.place(1).photo.hints
                    self.assertEqual(len(hints), bool(hint))
                    self.assertIn(hint, "".join(hints))

    def test_photos_of_equal_bytes_are_pointed_out(self):
        other = make_stored(make_ticket(), 1)
        for twin, hint in ((self.front, "the photo of place 1"), (other, f"/admin/tickets/image/{other.pk}/change/")):
            Image.objects.filter(pk=self.odometer.pk).update(duplicate_of=twin)
            with self.subTest(hint):
                self.assertIn(hint, self.place(2).photo.hints[0])
        request_retakes(self.ticket.pk, [Rejection(self.front.pk, "blurred")])
        make_stored(self.ticket, 1, duplicate_of=self.front)
        self.assertIn("the rejected photo of place 1", self.place(1).photo.hints[0])

    def test_retake_stands_beside_what_was_rejected_and_why(self):
        request_retakes(self.ticket.pk, [Rejection(self.front.pk, "too_dark", "With the <lights> on\nplease")])
        retake = make_stored(self.ticket, 1)

        page = self.page()

        place = self.place(1, page)
        self.assertEqual((place.photo.image, [each.image for each in place.earlier]), (retake, [self.front]))
        self.assertContains(page, "too dark, ")
        self.assertContains(page, "With the &lt;lights&gt; on<br>please")

    def test_what_is_missing_on_its_way_or_failed_is_told(self):
        ticket = make_ticket(num_images=3, status="in_progress")
        make_image(ticket, position=1)
        make_image(ticket, position=2, status="failed", error_code="bytes_lost")

        page = self.page(ticket)

        self.assertContains(page, "on its way")
        self.assertContains(page, "failed: bytes_lost")
        self.assertContains(page, "There is no photo.")
        self.assertEqual(page.text.count('class="badge badge-missing"'), 2)

    def test_queries_do_not_grow_with_the_photos(self):
        few = make_completed(num_images=1)
        many = make_completed(num_images=40)
        for position in range(1, 11):
            make_image(many, position=position, status="rejected", rejected_at=timezone.now(), asset_version=3)
            make_image(many, position=position, status="failed")
        make_completed(minutes_ago=1)
        with CaptureQueriesContext(connection) as queries:
            self.page(few)
        with self.assertNumQueries(len(queries)):
            self.assertEqual(len(self.page(many).context["places"].object_list), 40)

    def test_more_places_than_one_page_shows_are_on_the_next(self):
        self.ticket.num_images = 501
        self.ticket.save()
        make_stored(self.ticket, 501)

        self.assertContains(self.page(), 'href="?page=2"')
        last = self.page(page=2).context["places"].object_list
        self.assertEqual([(place.position, bool(place.photo)) for place in last], [(501, True)])
        self.assertEqual(self.page(page="nonsense").context["places"].number, 1)

    def test_full_page_of_marks_with_notes_is_taken(self):
        Image.objects.all().delete()
        Ticket.objects.filter(pk=self.ticket.pk).update(num_images=500)
        images = [make_stored(self.ticket, position) for position in range(1, 501)]
        response = self.send("ask", *(ask_for(image, note="Once more ż") for image in images))
        self.assertEqual(response.status_code, 302)
        self.assertEqual(Image.objects.filter(status="rejected", rejection_note="Once more ż").count(), 500)


class AccessTests(ReviewTestCase):
    def test_who_may_only_look_sees_the_photos_and_decides_nothing(self):
        viewer = self.log_in(make_user(is_staff=True), "support agents")

        page = viewer.get(self.path())

        self.assertContains(page, str(self.front.pk))
        for field in ('name="action"', MARK, "<textarea"):
            self.assertNotContains(page, field)
        for action in ("approve", "ask"):
            self.assertEqual(self.send(action, client=viewer).status_code, 403)
        self.assertEqual(Ticket.objects.get(pk=self.ticket.pk).review, "")

    def test_others_see_nothing(self):
        for client, status in (
            (self.log_in(make_user(is_staff=True)), 403),
            (self.log_in(self.ticket.owner), 302),
            (Client(), 302),
        ):
            self.assertEqual(client.get(self.path()).status_code, status)
            self.assertEqual(self.send("approve", client=client).status_code, status)
        self.assertEqual(Ticket.objects.get(pk=self.ticket.pk).review, "")

    def test_ticket_that_is_not_there(self):
        for number in (self.ticket.pk + 1000, 10**30):
            self.assertEqual(self.operator.get(f"{LIST}{number}/review/").status_code, 404)

    def test_form_needs_its_token(self):
        client = Client(enforce_csrf_checks=True)
        client.force_login(self.user)
        self.assertEqual(self.send("approve", client=client).status_code, 403)


class ApproveTests(ReviewTestCase):
    def test_completed_ticket_is_approved_under_the_name_of_the_user(self):
        response = self.send("approve")

        self.assertRedirects(response, f"{LIST}?review=waiting")
        self.assertEqual(Ticket.objects.get(pk=self.ticket.pk).review, "approved")
        move = Transition.objects.get(ticket_id=self.ticket.pk, reason="approved")
        self.assertEqual(move.actor, f"staff {self.user.pk} (olga)")
        self.assertEqual(LogEntry.objects.get().change_message, "Approved.")

    def test_next_that_waits_follows_with_a_link_back(self):
        earlier, later, latest = (make_completed(minutes_ago=minutes) for minutes in (60, 2, 1))

        page = self.operator.get(self.send("approve").url)

        self.assertEqual(page.context["original"], later)
        self.assertContains(page, f'<a href="{self.path()}">Ticket {self.ticket.pk}</a>: Approved.')
        self.ticket = latest
        self.assertEqual(self.send("approve").url, self.path(earlier))

    def test_ticket_that_has_changed_meanwhile_is_not_approved(self):
        response = self.send("approve", seen_version=self.ticket.version - 1)
        self.assert_refused(response, "The ticket has changed since you opened it: look at its photos again.")
        self.assertContains(response, f'name="seen_version" value="{self.ticket.version}"')

    def test_ticket_with_a_marked_photo_is_not_and_the_mark_is_kept(self):
        response = self.send("approve", ask_for(self.front, note="Once more"))
        self.assert_refused(response, "Photos are marked: ask for another of them, or clear the marks.")
        self.assertContains(response, "Once more</textarea>")

    def test_ticket_that_is_not_completed_is_not(self):
        Ticket.objects.filter(pk=self.ticket.pk).update(status="in_progress")
        self.assert_refused(self.send("approve"), "Only a completed ticket can be approved.")
        self.assertNotContains(self.page(), 'value="approve"')


class AskTests(ReviewTestCase):
    def test_marked_photos_are_asked_for_again_with_reason_and_note(self):
        response = self.send(
            "ask",
            ask_for(self.front, "too_dark", "Lights on\r\nplease"),
            {f"{self.odometer.pk}-reason": "other", f"{self.odometer.pk}-note": "typed, then not marked"},
        )

        self.assertRedirects(response, f"{LIST}?review=waiting")
        ticket = Ticket.objects.get(pk=self.ticket.pk)
        self.assertEqual((ticket.status, ticket.review, ticket.completed_at), ("in_progress", "retake_requested", None))
        front, odometer = (Image.objects.get(pk=image.pk) for image in (self.front, self.odometer))
        self.assertEqual((front.rejection_reason, front.rejection_note), ("too_dark", "Lights on\nplease"))
        self.assertEqual((odometer.status, odometer.rejection_note), ("stored", ""))
        move = Transition.objects.get(image_id=front.pk, to_status="rejected")
        self.assertEqual(move.actor, f"staff {self.user.pk} (olga)")
        self.assertEqual(LogEntry.objects.get().change_message, "Asked for another photo.")

    def test_two_at_once_with_reasons_of_their_own(self):
        self.send("ask", ask_for(self.front, "blurred", "1"), ask_for(self.odometer, "incomplete", "2"))

        told = set(Image.objects.values_list("rejection_reason", "rejection_note"))
        self.assertEqual(told, {("blurred", "1"), ("incomplete", "2")})
        self.assertEqual(LogEntry.objects.get().change_message, "Asked for 2 other photos.")

    def test_nothing_that_was_typed_is_lost_when_something_is_wrong(self):
        good = ask_for(self.front, "blurred", "The plate, please")
        for bad, error in (
            (ask_for(self.odometer, "", "digits"), "Choose a reason."),
            (ask_for(self.odometer, "ugly", "digits"), "Select a valid choice."),
            (ask_for(self.odometer, "other", "digits" + "x" * 1000), "at most 1000 characters (it has 1006)"),
        ):
            with self.subTest(error):
                response = self.send("ask", good, bad)

                self.assert_refused(response, "Say of each marked photo why you want another.")
                self.assertContains(response, error, count=1)
                self.assertContains(response, "The plate, please</textarea>")
                self.assertContains(response, "digits")
                self.assertContains(response, '<option value="blurred" selected>')
                self.assertEqual(response.text.count("checked> Ask for another"), 2)

    def test_lines_of_a_note_count_as_its_author_sees_them(self):
        self.send("ask", ask_for(self.front, note="\r\n".join("x" * 500)[:1498]))
        self.assertEqual(len(Image.objects.get(pk=self.front.pk).rejection_note), 999)

    def test_nothing_marked(self):
        typed = {f"{self.front.pk}-reason": "", f"{self.front.pk}-note": "half a thought"}
        response = self.send("ask", typed)
        self.assert_refused(response, "Mark the photos of which you want another.")
        self.assertContains(response, "half a thought</textarea>")

    def test_photo_that_was_rejected_meanwhile(self):
        request_retakes(self.ticket.pk, [Rejection(self.front.pk, "blurred")])
        self.ticket.refresh_from_db()

        response = self.send("ask", ask_for(self.front, note="mine"), ask_for(self.odometer, note="and this"))

        self.assert_refused(response, "One of these photos is not stored any more: look at the photos again.")
        self.assertContains(response, "mine</textarea>")
        self.assertContains(response, "and this</textarea>")

    def test_photo_of_another_ticket(self):
        response = self.send("ask", ask_for(make_stored(make_ticket())))
        self.assert_refused(response, "One of these photos is not stored any more: look at the photos again.")

    def test_ticket_that_has_ended(self):
        Ticket.objects.filter(pk=self.ticket.pk).update(status="cancelled")
        response = self.send("ask", ask_for(self.front, note="too late"))
        self.assert_refused(response, "The ticket has ended without its photos.")
        self.assertContains(response, "too late</textarea>")
        self.assertNotContains(self.page(), MARK)

    def test_ticket_whose_time_is_over_needs_another(self):
        Ticket.objects.filter(pk=self.ticket.pk).update(expires_at=timezone.now() - timedelta(hours=1))
        mark = ask_for(self.front)
        over = "The time of this ticket is over: say until when it takes the new photos."
        self.assertContains(self.page(), 'name="expires_at"')
        for given, told in (
            ({}, over),
            ({"expires_at": "2020-01-01T10:00"}, over),
            ({"expires_at": "soon"}, "Takes photos until: Enter a valid date/time."),
        ):
            with self.subTest(given):
                self.assert_refused(self.send("ask", mark, **given), told)
        self.assertContains(self.send("ask", mark, expires_at="2020-01-01T10:00"), 'value="2020-01-01T10:00"')

        self.assertEqual(self.send("ask", mark, expires_at="2099-12-31T10:30").status_code, 302)

        ticket = Ticket.objects.get(pk=self.ticket.pk)
        self.assertEqual((ticket.status, ticket.expires_at.isoformat()), ("in_progress", "2099-12-31T10:30:00+00:00"))

    def test_time_is_not_asked_of_others(self):
        self.assertNotContains(self.page(), 'name="expires_at"')

    def test_form_that_no_page_sends(self):
        for sent in (
            {"seen_version": ""},
            {"seen_version": "x"},
            {"action": "delete"},
            {f"{uuid.uuid4()}-marked": "1", f"{'-' * 36}-marked": "1"},
        ):
            with self.subTest(sent):
                self.assertTrue(self.send(**{"action": "approve"} | sent).context["refusal"])
        self.assertEqual(Ticket.objects.get(pk=self.ticket.pk).review, "")


class ListTests(ReviewTestCase):
    def listed(self, **query) -> list[int]:
        return [row.pk for row in self.operator.get(LIST, query).context["cl"].result_list]

    def test_tickets_are_found_by_their_review_those_that_wait_in_their_order(self):
        older, newer = make_completed(minutes_ago=90), make_completed(minutes_ago=1)
        approved = make_completed(review="approved")
        asked = make_ticket(status="in_progress", review="retake_requested")

        self.assertEqual(self.listed(review="waiting"), [older.pk, self.ticket.pk, newer.pk])
        self.assertEqual(self.listed(review="approved"), [approved.pk])
        self.assertEqual(self.listed(review="retake_requested"), [asked.pk])
        self.assertEqual(len(self.listed()), 5)

    def test_list_and_ticket_show_the_review_and_lead_to_it(self):
        for ticket, told in (
            (self.ticket, "waits for review"),
            (make_completed(review="approved"), "approved"),
            (make_ticket(status="in_progress", review="retake_requested"), "retake requested"),
        ):
            with self.subTest(told):
                for page in (LIST, f"{LIST}{ticket.pk}/change/"):
                    self.assertContains(self.operator.get(page), f">{told}</span>")
                self.assertContains(self.operator.get(f"{LIST}{ticket.pk}/change/"), f'href="{self.path(ticket)}"')

    def test_first_page_counts_those_that_wait_up_to_a_hundred(self):
        self.assertContains(self.operator.get("/admin/"), 'review=waiting">tickets that wait for review</a></dt><dd>1<')
        completed = {"owner": self.ticket.owner, "status": "completed", "completed_at": timezone.now(), "num_images": 1}
        Ticket.objects.bulk_create(Ticket(**completed) for _ in range(100))
        self.assertContains(self.operator.get("/admin/"), "<dd>100+<")

    def test_pages_of_ticket_and_photo_show_why_a_photo_was_rejected(self):
        request_retakes(self.ticket.pk, [Rejection(self.front.pk, "blurred", "Sharper, please")])
        for page in (f"{LIST}{self.ticket.pk}/change/", f"/admin/tickets/image/{self.front.pk}/change/"):
            with self.subTest(page):
                response = self.operator.get(page)
                self.assertContains(response, "blurred")
                self.assertContains(response, "Sharper, please")
                self.assertContains(response, "badge-rejected")
        self.assertNotContains(
            self.operator.get(f"/admin/tickets/image/{self.odometer.pk}/change/"), "Another photo is wanted"
        )


@skipUnless(connection.vendor == "postgresql", "needs PostgreSQL's EXPLAIN")
class PlanTests(ReviewTestCase):
    """What waits is found in its index, among however many tickets."""

    def setUp(self):
        super().setUp()
        reviews = {0: ("completed", ""), 1: ("completed", "approved")}
        moment = timezone.now()
        Ticket.objects.bulk_create(
            Ticket(
                owner_id=self.ticket.owner_id,
                num_images=1,
                status=status,
                review=review,
                completed_at=moment - timedelta(minutes=number) if status == "completed" else None,
            )
            for number in range(4000)
            for status, review in [reviews.get(number % 40, ("cancelled", ""))]
        )
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE tickets_ticket")

    def plans(self, path: str) -> list[str]:
        """Of each query for tickets by their review."""
        with CaptureQueriesContext(connection) as captured:
            self.assertEqual(self.operator.get(path).status_code, 200)
        queries = [query["sql"] or "" for query in captured]
        plans = []
        with connection.cursor() as cursor:
            for sql in queries:
                if '"review" = ' in sql.partition("WHERE")[2]:
                    cursor.execute(f"EXPLAIN (COSTS OFF) {sql}")
                    plans.append("\n".join(line for [line] in cursor.fetchall()))
        self.assertTrue(plans)
        return plans

    def test_index_finds_what_is_looked_for(self):
        in_the_middle = Ticket.objects.waiting_for_review()[50]
        for path, index in (
            (f"{LIST}?review=waiting", "ticket_to_review"),
            (f"{LIST}?review=approved", "ticket_reviewed"),
            ("/admin/", "ticket_to_review"),
            (self.path(in_the_middle), "ticket_to_review"),
        ):
            for plan in self.plans(path):
                with self.subTest(path):
                    self.assertIn(index, plan)
                    self.assertNotIn("Seq Scan on tickets_ticket", plan)
