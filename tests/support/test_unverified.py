"""Desk mails to an address that is not verified: no text that a user wrote, and few a day."""

import re

from apps.accounts.models import EmailCode, User
from apps.accounts.verification import verify_by_code
from apps.common.mail.outbox import EmailState
from apps.support.conversations import change_status, write_message
from apps.support.emails import outbox
from apps.support.models import Email
from tests.makers import client_for, make_user
from tests.support.makers import DESK, SUPPORT_EMAIL, make_support_ticket
from tests.support.test_emails import EmailTestCase

WORDS = "Buy-my-pills"


class UnverifiedTests(EmailTestCase):
    def setUp(self):
        super().setUp()
        self.owner = make_user(WORDS, name=WORDS, email="victim@example.com", verified=False)

    def make_ticket(self):
        return make_support_ticket(self.owner, title=f"{WORDS} now", body_text=f"{WORDS} at once")

    def to_owner(self) -> list:
        return [mail for mail in self.mailbox.mails if mail["To"] == "victim@example.com"]

    @staticmethod
    def everything_in(mail) -> str:
        parts = [mail.get_body((kind,)).get_content() for kind in ("plain", "html")]
        return "\n".join([*(f"{name}: {value}" for name, value in mail.items()), *parts])

    def test_no_word_of_a_users_is_in_any_of_them(self):
        ticket = self.make_ticket()
        write_message(ticket_id=ticket.pk, author=self.staff, text=f"{WORDS} yourself")
        change_status(ticket_id=ticket.pk, actor=self.staff, status="CL")
        body = {"title": WORDS, "body_text": WORDS}
        client_for(self.owner).post(DESK, body, headers={"X-Request-ID": WORDS})
        self.run_jobs()

        mails = self.to_owner()
        self.assertEqual(len(mails), 4)
        for mail in mails:
            self.assertNotIn(WORDS, self.everything_in(mail))
            self.assertIn(f"#{ticket.pk}" if mail is not mails[-1] else "#", mail["Subject"])
        self.assertIn("from active to closed", mails[2].get_body(("plain",)).get_content())

    def test_desk_reads_them(self):
        self.make_ticket()
        self.run_jobs()

        mail = next(mail for mail in self.mailbox.mails if mail["To"] == SUPPORT_EMAIL)
        self.assertIn(f"{WORDS} at once", mail.get_body(("plain",)).get_content())
        self.assertIn(WORDS, mail["Subject"])

    def test_first_holds_a_code_and_a_link_and_the_next_do_not(self):
        ticket = self.make_ticket()
        change_status(ticket_id=ticket.pk, actor=self.staff, status="FR")
        self.run_jobs()

        first, second = (mail.get_body(("plain",)).get_content() for mail in self.to_owner())
        self.assertRegex(first, r"https://hopla\.example/verify-email/[\w-]+/")
        self.assertNotIn("code:", second)
        self.assertTrue(verify_by_code(self.owner, re.search(r"^code: (\d+)\s*$", first, re.M)[1]))

    def test_code_of_a_mail_that_could_not_be_sent_is_none(self):
        self.mailbox.answer = "451 Try later"
        self.make_ticket()
        with self.assertLogs("apps.common.mail.outbox"):
            self.run_jobs()

        self.assertFalse(EmailCode.objects.exists())
        self.assertEqual(Email.objects.get(audience="owner").attempts, 1)

    def test_once_verified_the_texts_are_sent(self):
        ticket = self.make_ticket()
        User.objects.filter(pk=self.owner.pk).update(verified_email=self.owner.email)
        self.run_jobs()
        self.assertIn(f"{WORDS} at once", self.to_owner()[0].get_body(("plain",)).get_content())

        User.objects.filter(pk=self.owner.pk).update(email="other@example.com", verified_email="other@example.com")
        Email.objects.all().delete()
        write_message(ticket_id=ticket.pk, author=self.staff, text="It is fixed.")
        self.run_jobs()
        to_other = [mail for mail in self.mailbox.mails if mail["To"] == "other@example.com"]
        self.assertIn("It is fixed.", to_other[0].get_body(("plain",)).get_content())

    def test_address_that_the_owner_has_left_meanwhile_gets_no_words(self):
        User.objects.filter(pk=self.owner.pk).update(verified_email=self.owner.email)
        self.make_ticket()
        User.objects.filter(pk=self.owner.pk).update(email="other@example.com", verified_email="other@example.com")
        self.run_jobs()

        self.assertNotIn(WORDS, self.everything_in(self.to_owner()[0]))

    def test_sixth_of_a_day_is_withheld_and_staff_see_why(self):
        for _ in range(7):
            self.make_ticket()
        with self.assertLogs("apps.common.mail.outbox", "WARNING"):
            self.run_jobs()

        self.assertEqual(len(self.to_owner()), 5)
        withheld = Email.objects.filter(state=EmailState.WITHHELD)
        self.assertEqual((len(withheld), {email.due_at for email in withheld}), (2, {None}))
        self.assertTrue(all(email.error for email in withheld))
        self.assertEqual(len([mail for mail in self.mailbox.mails if mail["To"] == SUPPORT_EMAIL]), 7)

        User.objects.filter(pk=self.owner.pk).update(verified_email=self.owner.email)
        self.assertTrue(outbox.send_again(withheld[0].pk))
        self.run_jobs()
        self.assertEqual(len(self.to_owner()), 6)

    def test_try_after_trouble_is_not_counted_again(self):
        self.mailbox.answer = "451 Try later"
        self.make_ticket()
        for _ in range(7):
            with self.assertLogs("apps.common.mail.outbox"):
                self.run_jobs()
            Email.objects.update(due_at="2026-01-01T00:00:00Z")
            outbox.enqueue_due()
        self.mailbox.answer = None
        self.run_jobs()

        self.assertEqual(len(self.to_owner()), 1)
