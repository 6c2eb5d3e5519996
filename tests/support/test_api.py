"""The desk's API: who opens, reads, writes and moves what."""

from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.support.conversations import change_status, write_message
from apps.support.models import Event, Message, SupportTicket
from tests.case import ApiTestCase
from tests.makers import client_for, make_ticket, make_user
from tests.support.makers import DESK, make_support_ticket

FIELDS = {
    "id",
    "title",
    "body_text",
    "owner",
    "ticket",
    "status",
    "subscribed",
    "messages",
    "created_at",
    "updated_at",
}


class DeskTestCase(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.owner, self.stranger = make_user(), make_user()
        self.staff = make_user(is_staff=True)
        self.as_owner, self.as_stranger, self.as_staff = map(client_for, (self.owner, self.stranger, self.staff))


class OpeningTests(DeskTestCase):
    body = {"title": "Photo 3 fails", "body_text": "It says unsupported."}

    def test_owner_opens_an_active_ticket(self):
        response = self.as_owner.post(DESK, self.body)

        self.assertEqual(response.status_code, 201, response.content)
        shown = response.json()
        self.assertEqual(shown.keys(), FIELDS)
        self.assertEqual((shown["status"], shown["owner"], shown["messages"]), ("AC", self.owner.pk, []))
        self.assertTrue(response["Location"].endswith(f"{DESK}{shown['id']}/"))

    def test_anonymous_is_refused(self):
        self.assert_unauthenticated(self.client.post(DESK, self.body))

    def test_ticket_may_point_to_an_upload_ticket_of_the_same_owner(self):
        upload = make_ticket(self.owner)
        self.assertEqual(self.as_owner.post(DESK, self.body | {"ticket": upload.pk}).json()["ticket"], upload.pk)

    def test_upload_ticket_of_another_owner_is_refused(self):
        upload = make_ticket(self.stranger)
        self.assert_invalid(self.as_owner.post(DESK, self.body | {"ticket": upload.pk}), ("ticket", "does_not_exist"))
        self.assertFalse(SupportTicket.objects.exists())

    def test_missing_and_wrong_fields_are_named(self):
        self.assert_invalid(self.as_owner.post(DESK, {}), ("title", "required"), ("body_text", "required"))
        self.assert_invalid(self.as_owner.post(DESK, self.body | {"title": 7}), ("title", "invalid"))
        self.assert_invalid(self.as_owner.post(DESK, self.body | {"title": "x" * 201}), ("title", "max_length"))
        self.assert_invalid(self.as_owner.post(DESK, self.body | {"ticket": "7"}), ("ticket", "invalid"))


class ReadingTests(DeskTestCase):
    def test_owner_and_staff_read_it_and_a_stranger_does_not(self):
        ticket = make_support_ticket(self.owner)
        self.assertEqual(self.as_owner.get(f"{DESK}{ticket.pk}/").json()["title"], ticket.title)
        self.assertEqual(self.as_staff.get(f"{DESK}{ticket.pk}/").status_code, 200)
        self.assert_problem(self.as_stranger.get(f"{DESK}{ticket.pk}/"), 404, "not_found")

    def test_owners_list_their_own_and_staff_all(self):
        mine, other = make_support_ticket(self.owner), make_support_ticket(self.stranger)
        listed = [
            [row["id"] for row in client.get(DESK).json()["results"]] for client in (self.as_owner, self.as_staff)
        ]
        self.assertEqual(listed, [[mine.pk], [other.pk, mine.pk]])

    def test_filters(self):
        upload = make_ticket(self.owner)
        first = make_support_ticket(self.owner, title="Blurred", ticket=upload)
        second = make_support_ticket(self.stranger, title="Lost", body_text="A blurred one went missing")
        change_status(ticket_id=second.pk, actor=self.staff, status="FR")
        for query, expected in (
            ("status=FR", {second.pk}),
            ("status=FR&status=AC", {first.pk, second.pk}),
            (f"owner={self.owner.pk}", {first.pk}),
            (f"ticket={upload.pk}", {first.pk}),
            ("search=blurred", {first.pk, second.pk}),
            ("search=lost", {second.pk}),
            ("created_before=2020-01-01", set()),
            ("created_after=2020-01-01", {first.pk, second.pk}),
        ):
            with self.subTest(query):
                rows = self.as_staff.get(f"{DESK}?{query}").json()["results"]
                self.assertEqual({row["id"] for row in rows}, expected)

    def test_bad_filter_values_are_errors(self):
        for query, field in (("status=XX", "status"), ("owner=me", "owner"), ("created_after=soon", "created_after")):
            with self.subTest(query):
                body = self.assert_problem(self.as_staff.get(f"{DESK}?{query}"), 400, "invalid")
                self.assertEqual([error["field"] for error in body["errors"]], [field])

    def test_number_of_queries_does_not_grow_with_tickets_and_messages(self):
        make_support_ticket(self.owner)
        self.as_owner.get(DESK)  # a token's first use is written down
        with CaptureQueriesContext(connection) as with_one:
            self.as_owner.get(DESK)
        for _ in range(5):
            ticket = make_support_ticket(self.owner)
            for _ in range(3):
                write_message(ticket_id=ticket.pk, author=self.owner, text="And?")
        with self.assertNumQueries(len(with_one)):
            self.as_owner.get(DESK)


class StatusTests(DeskTestCase):
    def setUp(self):
        super().setUp()
        self.ticket = make_support_ticket(self.owner)
        self.url = f"{DESK}{self.ticket.pk}/"

    def test_staff_change_it_by_put_and_by_patch(self):
        self.assertEqual(self.as_staff.put(self.url, {"status": "FR"}).json()["status"], "FR")
        self.assertEqual(self.as_staff.patch(self.url, {"status": "CL"}).json()["status"], "CL")
        self.assertEqual(
            [(event.old_status, event.new_status) for event in Event.objects.filter(kind="status")],
            [("AC", "FR"), ("FR", "CL")],
        )

    def test_same_status_is_no_event(self):
        self.as_staff.patch(self.url, {"status": "AC"})
        self.assertFalse(Event.objects.filter(kind="status").exists())

    def test_any_other_field_of_a_ticket_is_refused_and_nothing_changes(self):
        response = self.as_staff.patch(self.url, {"status": "CL", "title": "Mine now", "owner": self.staff.pk})
        self.assert_invalid(response, ("owner", "not_changeable"), ("title", "not_changeable"))
        self.ticket.refresh_from_db()
        self.assertEqual((self.ticket.status, self.ticket.title), ("AC", "Photo 3 fails"))

    def test_field_that_no_ticket_has_is_ignored(self):
        for method in (self.as_staff.put, self.as_staff.patch):
            response = method(self.url, {"status": "FR", "reason": "It rains."})
            self.assertEqual((response.status_code, response.json()["status"]), (200, "FR"))

    def test_missing_or_unknown_status_is_refused(self):
        self.assert_invalid(self.as_staff.put(self.url, {}), ("status", "required"))
        self.assert_invalid(self.as_staff.patch(self.url, {"status": "open"}), ("status", "invalid_choice"))

    def test_owner_may_not_and_a_stranger_finds_nothing(self):
        self.assert_problem(self.as_owner.patch(self.url, {"status": "CL"}), 403, "permission_denied")
        self.assert_problem(self.as_stranger.patch(self.url, {"status": "CL"}), 404, "not_found")
        self.assert_unauthenticated(self.client.patch(self.url, {"status": "CL"}))

    def test_nothing_is_deleted(self):
        for client in (self.as_owner, self.as_staff):
            self.assert_problem(client.delete(self.url), 405, "method_not_allowed")


class MessageTests(DeskTestCase):
    def setUp(self):
        super().setUp()
        self.ticket = make_support_ticket(self.owner)
        self.url = f"{DESK}{self.ticket.pk}/messages/"

    def write(self, client, text="Any news?"):
        return client.post(self.url, {"text": text})

    def test_owner_and_staff_write_in_turn(self):
        self.write(self.as_owner)
        answer = self.write(self.as_staff, "Send it as JPEG.")

        self.assertEqual(answer.status_code, 201)
        thread = self.as_owner.get(f"{DESK}{self.ticket.pk}/").json()["messages"]
        self.assertEqual([message["text"] for message in thread], ["Any news?", "Send it as JPEG."])
        self.assertEqual([message["is_staff"] for message in thread], [False, True])
        self.assertEqual([message["author"] for message in thread], [self.owner.pk, self.staff.pk])
        self.assertEqual(self.as_owner.get(self.url).json()["count"], 2)

    def test_stranger_and_anonymous_write_nothing(self):
        self.assert_problem(self.write(self.as_stranger), 404, "not_found")
        self.assert_unauthenticated(self.write(self.client))
        self.assertFalse(Message.objects.exists())

    def test_empty_message_is_refused(self):
        self.assert_invalid(self.write(self.as_owner, ""), ("text", "blank"))

    def test_owner_waits_while_it_is_frozen_and_staff_do_not(self):
        change_status(ticket_id=self.ticket.pk, actor=self.staff, status="FR")
        self.assert_problem(self.write(self.as_owner), 409, "support_ticket_frozen")
        self.assertEqual(self.write(self.as_staff).status_code, 201)

    def test_closed_ticket_takes_no_message(self):
        change_status(ticket_id=self.ticket.pk, actor=self.staff, status="CL")
        self.assert_problem(self.write(self.as_owner), 409, "support_ticket_closed")
        self.assert_problem(self.write(self.as_staff), 409, "support_ticket_closed")
        self.assertFalse(Message.objects.exists())

    def test_staff_who_own_the_ticket_write_as_its_owner(self):
        ticket = make_support_ticket(self.staff)
        shown = self.as_staff.post(f"{DESK}{ticket.pk}/messages/", {"text": "Me again"}).json()
        self.assertFalse(shown["is_staff"])


class SubscriptionTests(DeskTestCase):
    def test_only_the_owner_unsubscribes_and_subscribes_again(self):
        ticket = make_support_ticket(self.owner)
        for action, expected in (("unsubscribe", False), ("subscribe", True)):
            url = f"{DESK}{ticket.pk}/{action}/"
            self.assert_problem(self.as_stranger.post(url), 404, "not_found")
            self.assert_problem(self.as_staff.post(url), 404, "not_found")
            self.assert_unauthenticated(self.client.post(url))
            self.assertEqual(self.as_owner.post(url).status_code, 204)
            self.assertEqual(self.as_owner.get(f"{DESK}{ticket.pk}/").json()["subscribed"], expected)
