"""E-mails to guests: who gets one, when, what they say, and that none has words of a user or is sent twice."""

import re
from datetime import timedelta

from django.core import mail
from django.test import override_settings, skipUnlessDBFeature
from django.utils import timezone

from apps.accounts.models import UNVERIFIED_MAILS_PER_DAY
from apps.common.mail.outbox import EmailState
from apps.guests.emails import invite, outbox, send_guest_email
from apps.guests.links import revoke, token_of
from apps.guests.models import GuestEmail, GuestLink
from apps.tickets.kinds.copying import apply_kind
from apps.tickets.lifecycle.endings import cancel_ticket
from apps.tickets.models import Ticket
from apps.tickets.upkeep.review import Rejection, request_retakes
from tests.case import ApiTestCase, CommittingTestCase, at_once, default_queue
from tests.makers import client_for, make_guest_link, make_image, make_kind, make_ticket, make_user

ANA = "ana@example.com"
WORDS = "Words of the owner"
HOUR = 3600
FORM = "application/x-www-form-urlencoded"


@override_settings(PUBLIC_URL="https://hopla.example", PUBLIC_URL_IS_SET=True)
class EmailTestCase(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.owner = make_user()
        slots = [{"name": name, "title": WORDS, "instructions": WORDS} for name in ("front", "back")]
        self.ticket = self.open_ticket(slots=slots)

    def open_ticket(self, **fields) -> Ticket:
        texts = {"title": WORDS, "description": WORDS, "reference": WORDS}
        return make_ticket(self.owner, **{"num_images": 2} | texts | fields)

    def make_link(self, ticket=None, **fields) -> GuestLink:
        with self.captureOnCommitCallbacks(execute=True):
            return make_guest_link(ticket or self.ticket, **{"email": ANA, "name": WORDS} | fields)

    def run_jobs(self) -> list:
        """Run what is queued, twice as a queue may. Returns the mails that were sent."""
        before, queue = len(mail.outbox), default_queue()
        jobs = queue.jobs
        queue.empty()
        for job in [*jobs, *jobs]:
            job.func(*job.args)
        return mail.outbox[before:]

    def send_due(self) -> list:
        outbox.enqueue_due()
        return self.run_jobs()

    def pass_time(self, seconds: int) -> None:
        """As if so much time had passed, for links and mails."""
        for model, name in ((GuestLink, "expires_at"), (GuestEmail, "due_at")):
            for row in model.objects.exclude(**{name: None}):
                model.objects.filter(pk=row.pk).update(**{name: getattr(row, name) - timedelta(seconds=seconds)})

    def complete(self, ticket: Ticket) -> list:
        images = [make_image(ticket, position=n + 1, status="stored") for n in range(ticket.num_images)]
        Ticket.objects.filter(pk=ticket.pk).update(status="completed", completed_at=timezone.now())
        return images

    def text_of(self, sent) -> str:
        """All that the mail says. Fails for words of a user."""
        (html, _type), *_ = sent.alternatives
        for text in (sent.subject, sent.body, html, str(sent.extra_headers)):
            self.assertNotIn(WORDS, text)
        self.assertIn("/u/", html)
        return f"{sent.subject}\n{sent.body}"


class InvitationTests(EmailTestCase):
    def test_sent_once_to_the_address_with_the_link(self):
        link = self.make_link()
        (sent,) = self.run_jobs()
        self.assertEqual(sent.to, [ANA])
        self.assertIn(f"https://hopla.example/u/{token_of(link)}/", self.text_of(sent))
        self.assertIn("You are asked for 2 photos", sent.subject)
        self.assertEqual(GuestEmail.objects.get().state, EmailState.SENT)

    def test_token_is_in_no_header_and_in_no_job(self):
        link = self.make_link()
        self.assertNotIn(token_of(link), str([job.args for job in default_queue().jobs]))
        (sent,) = self.run_jobs()
        self.assertNotIn(token_of(link), str(sent.message().items()))

    def test_in_the_language_of_the_link(self):
        self.make_link(language="es")
        self.assertIn("2 fotos", self.text_of(*self.run_jobs()))

    def test_without_an_address_nothing_is_sent(self):
        self.make_link(email="")
        self.assertFalse(GuestEmail.objects.exists())

    def test_titles_of_a_kind_are_staffs_and_named(self):
        kind = make_kind(slots=[{"name": "front", "titles": {"en": "The front door"}}])
        self.make_link(self.open_ticket(**apply_kind({"title": WORDS, "num_images": 1}, kind, "en")))
        self.assertIn("- The front door", self.text_of(*self.run_jobs()))

    def test_not_sent_once_the_link_is_revoked_or_the_ticket_has_ended(self):
        self.complete(other := self.open_ticket())
        Ticket.objects.filter(pk=other.pk).update(status="in_progress")
        links = [self.make_link(), self.make_link(other), self.make_link()]
        revoke(links[0])
        Ticket.objects.filter(pk=other.pk).update(status="completed")
        cancel_ticket(self.ticket.pk)
        self.assertEqual(self.run_jobs(), [])
        self.assertEqual(set(GuestEmail.objects.values_list("state", flat=True)), {EmailState.DROPPED})

    def test_five_a_day_for_a_mailbox(self):
        for number in range(UNVERIFIED_MAILS_PER_DAY + 1):
            self.make_link(email=f"ana+{number}@example.com")
        self.assertEqual(len(self.run_jobs()), UNVERIFIED_MAILS_PER_DAY)
        self.assertEqual(GuestEmail.objects.filter(state=EmailState.WITHHELD).count(), 1)

    def test_unreadable_token_is_given_up(self):
        self.make_link()
        GuestLink.objects.update(token_encrypted="gone")
        with self.assertLogs("apps.common.mail.outbox", "ERROR"):
            self.assertEqual(self.run_jobs(), [])
        self.assertEqual(GuestEmail.objects.get().state, EmailState.FAILED)


class ReminderTests(EmailTestCase):
    def remind(self, *seconds: int, **fields) -> GuestLink:
        link = self.make_link(expires_in_seconds=10 * HOUR, remind_before_seconds=seconds, **fields)
        self.run_jobs()
        return link

    def test_sent_at_its_time_alone(self):
        self.remind(HOUR, 3 * HOUR)
        self.assertEqual(self.send_due(), [])
        self.pass_time(7 * HOUR + 1)
        (sent,) = self.send_due()
        self.assertIn("2 photos are still missing", self.text_of(sent))
        self.assertEqual(self.send_due(), [])
        self.pass_time(2 * HOUR)
        self.assertEqual(len(self.send_due()), 1)

    def test_one_whose_time_is_past_is_not_planned(self):
        self.remind(HOUR, 11 * HOUR)
        self.assertEqual(GuestEmail.objects.filter(kind="reminder").count(), 1)

    def test_says_what_is_missing_then(self):
        kind = make_kind(slots=[{"name": name, "titles": {"en": f"The {name}"}} for name in ("front", "back")])
        ticket = self.open_ticket(**apply_kind({"num_images": 2}, kind, "en"))
        self.remind(HOUR, ticket=ticket)
        make_image(ticket, position=1)
        self.pass_time(9 * HOUR + 1)
        text = self.text_of(*self.send_due())
        self.assertIn("1 photo is still missing", text)
        self.assertIn("- The back", text)
        self.assertNotIn("- The front", text)

    def test_stops_at_completion_and_goes_on_after_a_retake_request(self):
        self.remind(HOUR, 3 * HOUR)
        image, _other = self.complete(self.ticket)
        self.pass_time(7 * HOUR + 1)
        self.assertEqual(self.send_due(), [])
        request_retakes(self.ticket.pk, [Rejection(image.pk, "blurred")])
        GuestEmail.objects.filter(kind="retake").delete()
        self.pass_time(2 * HOUR)
        self.assertEqual(len(self.send_due()), 1)

    def test_stops_at_revocation_and_cancellation(self):
        revoke(self.remind(HOUR))
        self.remind(HOUR, ticket=(cancelled := self.open_ticket()))
        cancel_ticket(cancelled.pk)
        self.pass_time(9 * HOUR + 1)
        self.assertEqual(self.send_due(), [])


class RetakeTests(EmailTestCase):
    def reject(self, images, note="Hold the phone still.") -> list:
        with self.captureOnCommitCallbacks(execute=True):
            request_retakes(self.ticket.pk, [Rejection(image.pk, "blurred", note) for image in images])
        return self.run_jobs()

    def test_one_mail_for_a_review_with_the_reasons(self):
        self.make_link()
        self.make_link(email="")
        revoke(self.make_link(email="bea@example.com"))
        self.run_jobs()
        (sent,) = self.reject(self.complete(self.ticket))
        text = self.text_of(sent)
        self.assertIn("Another photo is wanted", text)
        self.assertIn("Photo 1: blurred. Hold the phone still.", text)
        self.assertIn("Photo 2: blurred", text)

    def test_not_sent_once_they_have_come(self):
        self.make_link()
        self.run_jobs()
        images = self.complete(self.ticket)
        with self.captureOnCommitCallbacks(execute=True):
            request_retakes(self.ticket.pk, [Rejection(images[0].pk, "blurred")])
        make_image(self.ticket, position=1)
        self.assertEqual(self.run_jobs(), [])


class UnsubscribingTests(EmailTestCase):
    def setUp(self):
        super().setUp()
        self.link = self.make_link(expires_in_seconds=10 * HOUR, remind_before_seconds=[HOUR])
        (self.sent,) = self.run_jobs()
        self.path = re.search(r"https://hopla.example(/guest-emails/[^/>]+/)", self.sent.body)[1]

    def test_one_click(self):
        headers = self.sent.message()
        self.assertEqual(headers["List-Unsubscribe"].replace("\n", ""), f"<https://hopla.example{self.path}>")
        self.assertEqual(headers["List-Unsubscribe-Post"], "List-Unsubscribe=One-Click")
        response = self.client.post(self.path, "List-Unsubscribe=One-Click", content_type=FORM)
        self.assertEqual(response.status_code, 200)
        self.pass_time(9 * HOUR + 1)
        self.assertEqual(self.send_due(), [])

    def test_opening_the_page_changes_nothing_and_the_button_comes_back(self):
        self.assertContains(self.client.get(self.path), "No more e-mails")
        self.assertTrue(GuestLink.objects.get().wants_emails)
        self.client.post(self.path)
        self.assertContains(self.client.get(self.path), "Send me e-mails again")
        self.client.post(self.path, "subscribe=yes", content_type=FORM)
        self.assertTrue(GuestLink.objects.get().wants_emails)

    def test_unknown_link(self):
        self.assertEqual(self.client.post("/guest-emails/1:forged/").status_code, 404)
        self.assertTrue(GuestLink.objects.get().wants_emails)


class ApiTests(EmailTestCase):
    def test_link_made_through_the_api_is_mailed(self):
        with self.captureOnCommitCallbacks(execute=True):
            path = f"/api/v1/tickets/{self.ticket.pk}/guest-links/"
            client_for(self.owner).post(path, {"email": ANA, "remind_before_seconds": [HOUR, HOUR]})
        self.assertEqual(len(self.run_jobs()), 1)
        self.assertEqual(GuestEmail.objects.filter(kind="reminder").count(), 1)


class AtOnceTests(CommittingTestCase):
    @skipUnlessDBFeature("has_select_for_update")
    def test_two_workers_send_one_mail(self):
        link = make_guest_link(email=ANA)
        invite(link)
        pks = list(GuestEmail.objects.values_list("pk", flat=True))
        at_once(send_guest_email, [pk for pk in pks for _ in range(3)])
        self.assertEqual(len(mail.outbox), 2)
