"""The desk in the admin: the thread on the page, answers and status through the same door as the API."""

from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, Permission
from django.contrib.messages import get_messages
from django.core import mail
from django.test import override_settings
from django.urls import reverse
from django.utils import timezone
from rq import SimpleWorker

from apps.support.models import Email, Event, Message, SupportTicket
from tests.case import ApiTestCase, default_queue
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

    def test_page_opened_before_the_ticket_was_closed_neither_reopens_it_nor_drops_the_answer_silently(self):
        SupportTicket.objects.update(status="CL")

        response = self.save(**{"answer": "One more thing", "status": "AC", "initial-status": "AC"})

        self.assertIn("was not sent", str(next(iter(get_messages(response.wsgi_request)))))
        self.assertEqual((SupportTicket.objects.get().status, Message.objects.count()), ("CL", 0))

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


@override_settings(SUPPORT_EMAIL="")
class EmailAdminTests(ApiTestCase):
    LIST = "/admin/support/email/"

    def setUp(self):
        super().setUp()
        make_support_ticket(make_user("ana"))
        self.email = Email.objects.get()
        self.operator = make_user("ops", is_staff=True)
        self.operator.groups.add(Group.objects.get(name="operators"))
        self.client.force_login(self.operator)

    def send_now(self):
        with self.captureOnCommitCallbacks(execute=True):
            return self.client.post(
                self.LIST, {"action": "send_now", "_selected_action": [self.email.pk]}, format="multipart"
            )

    def set_state(self, state: str, **fields):
        Email.objects.filter(pk=self.email.pk).update(state=state, due_at=None, **fields)

    def test_email_that_was_given_up_is_sent_with_all_its_attempts_before_it(self):
        self.set_state("failed", attempts=30, error="SMTPServerDisconnected")

        self.send_now()
        SimpleWorker([default_queue()], connection=default_queue().connection).work(burst=True)

        self.email.refresh_from_db()
        self.assertEqual((self.email.state, self.email.attempts, self.email.error), ("sent", 1, ""))
        self.assertEqual([message.to for message in mail.outbox], [["ana@example.com"]])
        entry = LogEntry.objects.get()
        self.assertEqual(
            (entry.user, entry.object_repr, entry.change_message), (self.operator, str(self.email), "Sent again.")
        )

    def test_email_that_was_sent_is_not_sent_twice(self):
        self.set_state("sent", sent_at=timezone.now())

        response = self.send_now()

        self.assertContains(self.client.get(response.url), "0 e-mails are on their way.")
        self.assertEqual(default_queue().count, 0)
        self.assertFalse(LogEntry.objects.exists())

    def test_staff_who_may_only_look_send_none(self):
        clerk = make_user("cy", is_staff=True)
        clerk.user_permissions.add(Permission.objects.get(codename="view_email"))
        self.client.force_login(clerk)
        self.set_state("failed")

        self.assertNotContains(self.client.get(self.LIST), "Send the selected e-mails now")
        self.send_now()

        self.assertEqual(Email.objects.get().state, "failed")

    def test_emails_are_not_changed_by_hand(self):
        change = reverse("admin:support_email_change", args=[self.email.pk])

        self.assertEqual(self.client.post(change, {"to": "eve@example.com"}).status_code, 403)
        self.assertContains(self.client.get(change), "ana@example.com")
