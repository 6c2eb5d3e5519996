"""The desk in the admin: the thread on the page, answers and status through the same door as the API."""

from django.contrib.auth.models import Group
from django.test import override_settings
from django.urls import reverse

from apps.support.models import Email, Event, Message, SupportTicket
from tests.case import ApiTestCase
from tests.makers import make_ticket, make_user
from tests.support.makers import make_support_ticket


@override_settings(SUPPORT_EMAIL="")
class DeskAdminTests(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.owner = make_user("ana")
        self.agent = make_user("bo", is_staff=True)
        self.agent.groups.add(Group.objects.get(name="support agents"))
        self.upload = make_ticket(self.owner, title="Claim 7")
        self.ticket = make_support_ticket(self.owner, ticket=self.upload)
        self.url = reverse("admin:support_supportticket_change", args=[self.ticket.pk])
        self.client.force_login(self.agent)

    def save(self, **fields):
        thread = {
            f"{prefix}-{name}": 0 for prefix in ("messages", "events") for name in ("TOTAL_FORMS", "INITIAL_FORMS")
        }
        return self.client.post(self.url, {"status": "AC", "answer": ""} | thread | fields, format="multipart")

    def test_agent_finds_tickets_by_filter_and_search(self):
        listing = reverse("admin:support_supportticket_changelist")
        for query, shown in (
            ("?q=fails", True),
            ("?q=nothing", False),
            ("?status__exact=AC", True),
            ("?status__exact=CL", False),
        ):
            with self.subTest(query):
                self.assertEqual(self.ticket.title in self.client.get(listing + query).content.decode(), shown)

    def test_page_shows_thread_history_and_the_way_to_the_upload_ticket(self):
        self.save(answer="Send it as JPEG.")
        page = self.client.get(self.url).content.decode()
        self.assertIn("Send it as JPEG.", page)
        self.assertIn(reverse("admin:tickets_ticket_change", args=[self.upload.pk]), page)
        self.assertIn("message written", page)

    def test_answer_and_status_are_written_and_told_like_by_the_api(self):
        response = self.save(answer="Solved, closing.", status="CL")
        self.assertEqual(response.status_code, 302, response.content[:2000])
        message = Message.objects.get()
        self.assertEqual((message.text, message.author, message.is_staff), ("Solved, closing.", self.agent, True))
        self.assertEqual(SupportTicket.objects.get().status, "CL")
        self.assertEqual(
            list(Event.objects.values_list("kind", "actor")),
            [("opened", self.owner.pk), ("message", self.agent.pk), ("status", self.agent.pk)],
        )
        self.assertEqual(Email.objects.filter(to="ana@example.com").count(), 3)

    def test_closed_ticket_is_answered_after_it_is_opened_again(self):
        self.save(status="CL")
        self.assertContains(self.save(status="CL", answer="One more"), "set it to active first")
        self.assertEqual(self.save(status="AC", answer="One more").status_code, 302)
        self.assertEqual(Message.objects.get().text, "One more")

    def test_staff_without_the_role_see_nothing(self):
        self.client.force_login(make_user("cy", is_staff=True))
        self.assertEqual(self.client.get(self.url).status_code, 403)

    def test_tickets_are_neither_added_nor_deleted_by_agents(self):
        self.assertEqual(self.client.get(reverse("admin:support_supportticket_add")).status_code, 403)
        self.assertEqual(
            self.client.get(reverse("admin:support_supportticket_delete", args=[self.ticket.pk])).status_code, 403
        )

    def test_agents_see_what_became_of_the_emails(self):
        self.assertContains(self.client.get(reverse("admin:support_email_changelist")), "ana@example.com")
