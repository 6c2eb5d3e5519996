"""The desk's e-mails, through the real job and over a real SMTP conversation."""

import re
from datetime import timedelta

from django.db import transaction
from django.test import override_settings
from django.utils import timezone
from rq import SimpleWorker

from apps.common.mail.outbox import MAX_ATTEMPTS, EmailState
from apps.support.conversations import change_status, open_ticket, write_message
from apps.support.emails import outbox, send_email
from apps.support.models import Email, SupportTicket
from tests.case import CommittingTestCase, at_once, default_queue
from tests.makers import client_for, make_user
from tests.support.mail_server import running_mail_server
from tests.support.makers import DESK, SUPPORT_EMAIL, make_support_ticket


@override_settings(SUPPORT_EMAIL=SUPPORT_EMAIL, PUBLIC_URL="https://hopla.example")
class EmailTestCase(CommittingTestCase):
    def setUp(self):
        super().setUp()
        mail_server = running_mail_server()
        self.mailbox = mail_server.__enter__()
        self.addCleanup(mail_server.__exit__, None, None, None)
        self.owner = make_user("ana", name="Ana Lis")
        self.staff = make_user("bo", is_staff=True)

    def run_jobs(self):
        """Drain the queue by a real worker of RQ's, in this thread."""
        queue = default_queue()
        SimpleWorker([queue], connection=queue.connection).work(burst=True, logging_level="CRITICAL")

    def sent_by(self, action) -> dict[str, list]:
        """The mails that the action causes, by recipient."""
        before = len(self.mailbox.mails)
        action()
        self.run_jobs()
        mails = {}
        for mail in self.mailbox.mails[before:]:
            mails.setdefault(mail["To"], []).append(mail)
        return mails


class RecipientTests(EmailTestCase):
    def test_opening_tells_the_owner_and_the_desk(self):
        mails = self.sent_by(lambda: make_support_ticket(self.owner))
        self.assertEqual({to: len(found) for to, found in mails.items()}, {"ana@example.com": 1, SUPPORT_EMAIL: 1})

    def test_owners_message_tells_the_desk_alone(self):
        ticket = make_support_ticket(self.owner)
        self.run_jobs()
        mails = self.sent_by(lambda: write_message(ticket_id=ticket.pk, author=self.owner, text="Any news?"))
        self.assertEqual(list(mails), [SUPPORT_EMAIL])
        self.assertIn("Any news?", mails[SUPPORT_EMAIL][0].get_body(("plain",)).get_content())

    def test_staffs_message_and_status_change_tell_the_owner_alone(self):
        ticket = make_support_ticket(self.owner)
        self.run_jobs()
        answer = self.sent_by(lambda: write_message(ticket_id=ticket.pk, author=self.staff, text="Send it as JPEG."))
        change = self.sent_by(lambda: change_status(ticket_id=ticket.pk, actor=self.staff, status="CL"))
        self.assertEqual([list(answer), list(change)], [["ana@example.com"]] * 2)
        self.assertIn("Send it as JPEG.", answer["ana@example.com"][0].get_body(("plain",)).get_content())
        self.assertIn("from active to closed", change["ana@example.com"][0].get_body(("plain",)).get_content())

    @override_settings(SUPPORT_EMAIL="")
    def test_without_a_support_address_only_the_owner_is_told(self):
        mails = self.sent_by(lambda: make_support_ticket(self.owner))
        self.assertEqual(list(mails), ["ana@example.com"])
        self.assertIsNone(mails["ana@example.com"][0]["Reply-To"])

    def test_change_that_is_rolled_back_sends_no_mail(self):
        def open_and_fail():
            with transaction.atomic():
                make_support_ticket(self.owner)
                transaction.set_rollback(True)

        self.assertEqual(self.sent_by(open_and_fail), {})
        self.assertFalse(Email.objects.exists())


class FormTests(EmailTestCase):
    def mail_to_owner(self, **ticket):
        return self.sent_by(lambda: make_support_ticket(self.owner, **ticket))["ana@example.com"][0]

    def test_one_ticket_is_one_thread(self):
        ticket = make_support_ticket(self.owner)
        write_message(ticket_id=ticket.pk, author=self.staff, text="Hello")
        change_status(ticket_id=ticket.pk, actor=self.staff, status="CL")
        self.run_jobs()
        mine = [mail for mail in self.mailbox.mails if mail["To"] == "ana@example.com"]
        self.assertEqual(len(mine), 3)
        self.assertEqual(len({mail["References"] for mail in mine}), 1)
        self.assertEqual(len({mail["Message-ID"] for mail in mine}), 3)
        self.assertEqual({mail["Reply-To"] for mail in mine}, {SUPPORT_EMAIL})
        self.assertEqual(len({mail["Subject"].removeprefix("Re: ") for mail in mine}), 1)

    def test_text_and_html_say_the_same_and_users_text_is_escaped(self):
        mail = self.mail_to_owner(title="<b>Photo</b> & co", body_text="<script>alert(1)</script>")
        plain = mail.get_body(("plain",)).get_content()
        html = mail.get_body(("html",)).get_content()
        self.assertIn("<b>Photo</b> & co", plain)
        self.assertIn("&lt;script&gt;alert(1)&lt;/script&gt;", html)
        self.assertNotIn("<script>", html)

    def test_title_cannot_add_headers(self):
        mail = self.mail_to_owner(title="Hello\r\nBcc: eve@example.com\n\nbody")
        self.assertIsNone(mail["Bcc"])
        self.assertEqual(mail.recipients, ["ana@example.com"])
        self.assertIn("Hello Bcc: eve@example.com body", mail["Subject"])

    def test_language_is_the_owners_own_or_else_that_of_the_request(self):
        greeting = self.mail_to_owner(language="es").get_body(("plain",)).get_content()
        self.assertIn("hemos recibido tu ticket", greeting)
        self.owner.language = "pl"
        self.owner.save()
        greeting = self.mail_to_owner(language="es").get_body(("plain",)).get_content()
        self.assertIn("Mamy Twoje zgłoszenie", greeting)

    def test_dates_follow_the_language(self):
        ticket = make_support_ticket(self.owner, language="pl")
        event = ticket.events.get()
        type(event).objects.filter(pk=event.pk).update(created_at="2026-03-05T10:00:00Z")
        self.run_jobs()
        mail = next(mail for mail in self.mailbox.mails if mail["To"] == "ana@example.com")
        self.assertIn("5 marca 2026", mail.get_body(("plain",)).get_content())

    def test_desk_reads_its_own_language_whatever_the_owner_speaks(self):
        mails = self.sent_by(lambda: make_support_ticket(self.owner, language="pl"))
        self.assertIn("ana opened a ticket.", mails[SUPPORT_EMAIL][0].get_body(("plain",)).get_content())

    def test_request_opens_it_in_the_language_it_asks_for(self):
        client = client_for(self.owner)
        client.post(DESK, {"title": "Hola", "body_text": "Ayuda"}, headers={"Accept-Language": "es"})
        self.run_jobs()
        mail = next(mail for mail in self.mailbox.mails if mail["To"] == "ana@example.com")
        self.assertIn("hemos recibido tu ticket", mail.get_body(("plain",)).get_content())

    def test_mail_has_the_id_of_the_request_that_caused_it(self):
        owner = make_user()
        body = {"title": "Where is it?", "body_text": "…"}
        headers = {"X-Request-ID": "follow-me-2"}
        client = client_for(owner)
        mails = self.sent_by(lambda: client.post("/api/v1/support/tickets/", body, headers=headers))
        self.assertEqual([mail["X-Request-ID"] for mail in mails[owner.email]], ["follow-me-2"])


class OnceTests(EmailTestCase):
    def test_job_that_runs_again_sends_nothing(self):
        make_support_ticket(self.owner)
        self.run_jobs()
        for email in Email.objects.all():
            send_email(email.pk)
        self.assertEqual(len(self.mailbox.mails), 2)

    def test_jobs_at_once_send_one_mail(self):
        make_support_ticket(self.owner)
        default_queue().empty()
        email = Email.objects.get(audience="owner")
        at_once(send_email, [email.pk] * 4)
        self.assertEqual(len(self.mailbox.mails), 1)

    def test_lost_job_is_enqueued_again(self):
        make_support_ticket(self.owner)
        default_queue().connection.flushdb()
        Email.objects.update(due_at=timezone.now() - timedelta(seconds=1))

        self.assertEqual(outbox.enqueue_due(), 2)
        self.assertEqual(outbox.enqueue_due(), 0)
        self.run_jobs()
        self.assertEqual(len(self.mailbox.mails), 2)


class TroubleTests(EmailTestCase):
    def open_while(self, answer) -> Email:
        self.mailbox.answer = answer
        make_support_ticket(self.owner)
        with self.assertLogs("apps.common.mail.outbox"):
            self.run_jobs()
        return Email.objects.get(audience="owner")

    def test_server_in_trouble_is_tried_again_later_and_the_mail_then_leaves_once(self):
        email = self.open_while("451 Try later")
        self.assertEqual((email.state, email.attempts), (EmailState.QUEUED, 1))
        self.assertGreater(email.due_at, timezone.now())
        self.assertIn("451", email.error)

        self.mailbox.answer = None
        Email.objects.update(due_at=timezone.now())
        outbox.enqueue_due()
        self.run_jobs()
        email.refresh_from_db()
        self.assertEqual((email.state, email.error, email.due_at), (EmailState.SENT, "", None))
        self.assertEqual(sorted(mail["To"] for mail in self.mailbox.mails), ["ana@example.com", SUPPORT_EMAIL])

    def test_server_away_is_trouble_too(self):
        with override_settings(EMAIL_PORT=9):
            make_support_ticket(self.owner)
            with self.assertLogs("apps.common.mail.outbox"):
                self.run_jobs()
        self.assertEqual(Email.objects.get(audience="owner").state, EmailState.QUEUED)

    def test_refusal_for_good_is_given_up_and_reported(self):
        email = self.open_while("550 No such user")
        self.assertEqual((email.state, email.due_at), (EmailState.FAILED, None))
        self.assertIn("550", email.error)

    def test_last_attempt_is_given_up_and_reported(self):
        self.mailbox.answer = "451 Try later"
        make_support_ticket(self.owner)
        Email.objects.update(attempts=MAX_ATTEMPTS - 1)
        with self.assertLogs("apps.common.mail.outbox", "ERROR"):
            self.run_jobs()
        self.assertEqual(set(Email.objects.values_list("state", flat=True)), {EmailState.FAILED})

    def test_request_does_not_wait_for_the_mail_server(self):
        with override_settings(EMAIL_PORT=9):
            response = client_for(self.owner).post(DESK, {"title": "Help", "body_text": "Please"})
        self.assertEqual(response.status_code, 201)
        self.assertEqual(default_queue().count, 2)


class UnsubscribeTests(EmailTestCase):
    def setUp(self):
        super().setUp()
        self.ticket = make_support_ticket(self.owner)
        self.run_jobs()
        self.mail = next(mail for mail in self.mailbox.mails if mail["To"] == "ana@example.com")
        link = self.mail["List-Unsubscribe"].strip()
        self.path = re.fullmatch(r"<https://hopla\.example(/support/subscription/.+/)>", link)[1]

    def is_subscribed(self):
        return SupportTicket.objects.get(pk=self.ticket.pk).owner_subscribed

    def test_one_click_leaves_without_a_log_in_and_no_mail_follows(self):
        self.assertEqual(self.mail["List-Unsubscribe-Post"], "List-Unsubscribe=One-Click")
        response = self.client.post(self.path, {"List-Unsubscribe": "One-Click"}, format="multipart")
        self.assertEqual((response.status_code, self.is_subscribed()), (200, False))
        mails = self.sent_by(lambda: write_message(ticket_id=self.ticket.pk, author=self.staff, text="Hello?"))
        self.assertEqual(mails, {})

    def test_following_the_link_alone_changes_nothing(self):
        self.assertEqual(self.client.get(self.path).status_code, 200)
        self.assertTrue(self.is_subscribed())

    def test_page_brings_the_owner_back(self):
        self.client.post(self.path, {}, format="multipart")
        self.client.post(self.path, {"subscribe": "yes"}, format="multipart")
        self.assertTrue(self.is_subscribed())

    def test_made_up_link_leads_nowhere(self):
        forged = self.path.replace(f"/{self.ticket.pk}:", "/999:")
        self.assertNotEqual(forged, self.path)
        for path in (forged, "/support/subscription/nonsense/"):
            self.assertEqual(self.client.post(path, {}, format="multipart").status_code, 404)
        self.assertTrue(self.is_subscribed())

    def test_mail_to_the_desk_offers_no_way_out(self):
        mail = next(mail for mail in self.mailbox.mails if mail["To"] == SUPPORT_EMAIL)
        self.assertIsNone(mail["List-Unsubscribe"])


class SlowTransactionTests(EmailTestCase):
    def test_mail_waits_for_the_commit(self):
        with transaction.atomic():
            open_ticket(owner=self.owner, title="Help", body_text="Please", language="en")
            self.assertEqual(default_queue().count, 0)
        self.assertEqual(default_queue().count, 2)
