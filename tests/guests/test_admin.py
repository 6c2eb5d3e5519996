"""Guest links in the admin."""

from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group
from django.test import Client, override_settings
from django.utils import timezone

from apps.common.mail.outbox import EmailState
from apps.guests.links import revoke, token_of
from apps.guests.models import GuestEmail, GuestLink
from apps.tickets.lifecycle.endings import cancel_ticket
from tests.case import ApiTestCase
from tests.makers import make_guest_link, make_image, make_ticket, make_user

LINKS = "/admin/guests/guestlink/"


class AdminTestCase(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.ticket = make_ticket(title="Flat 12", num_images=3)
        self.operator = make_user(is_staff=True)
        self.admin = self.log_in(self.operator, "operators")

    @staticmethod
    def log_in(user, group: str) -> Client:
        user.groups.add(Group.objects.get(name=group))
        client = Client()
        client.force_login(user)
        return client

    def act(self, action: str, *links: GuestLink):
        form = {"action": action, "_selected_action": [link.pk for link in links]}
        return self.admin.post(LINKS, form, follow=True)

    def history(self) -> list[str]:
        return [entry.get_change_message() for entry in LogEntry.objects.order_by("pk")]


class MakingTests(AdminTestCase):
    def make(self, **fields):
        form = {"ticket": self.ticket.pk, "name": "Ana", "email": "", "language": "pl", "expires_in_seconds": 86400}
        return self.admin.post(f"{LINKS}add/", form | fields, follow=True)

    def test_from_the_page_of_the_ticket(self):
        page = self.admin.get(f"/admin/tickets/ticket/{self.ticket.pk}/change/")
        self.assertContains(page, f"{LINKS}add/?ticket={self.ticket.pk}")
        form = self.admin.get(f"{LINKS}add/?ticket={self.ticket.pk}")
        self.assertContains(form, f'type="text" name="ticket" value="{self.ticket.pk}"')  # no list of all tickets

        page = self.make()

        link = GuestLink.objects.get()
        self.assertEqual((link.ticket, link.name, link.language), (self.ticket, "Ana", "pl"))
        self.assertEqual(link.created_by, self.operator)
        self.assertEqual(page.redirect_chain[-1][0], f"{LINKS}{link.pk}/change/")
        self.assertNotContains(page, token_of(link))
        self.assertEqual(len(self.history()), 1)

    def test_with_an_address_it_is_mailed_and_reminded(self):
        self.make(email="ana@example.com", remind_before_seconds=["7200"])
        self.assertEqual(set(GuestEmail.objects.values_list("kind", flat=True)), {"invitation", "reminder"})

    def test_ticket_that_takes_no_photos(self):
        cancel_ticket(self.ticket.pk)
        self.assertContains(self.make(), "This ticket was cancelled.")
        self.assertEqual(GuestLink.objects.count(), 0)
        page = self.admin.get(f"/admin/tickets/ticket/{self.ticket.pk}/change/")
        self.assertNotContains(page, f"{LINKS}add/?ticket")

    def test_bad_input(self):
        self.make(email="nobody", expires_in_seconds="1")
        self.assertEqual(GuestLink.objects.count(), 0)


class ShowingTests(AdminTestCase):
    def setUp(self):
        super().setUp()
        self.link = make_guest_link(self.ticket, name="Ana")
        self.token = token_of(self.link)
        self.page = f"{LINKS}{self.link.pk}/link/"

    def test_shown_on_demand_alone_and_noted(self):
        for path in (LINKS, f"{LINKS}{self.link.pk}/change/", f"/admin/tickets/ticket/{self.ticket.pk}/change/"):
            page = self.admin.get(path)
            self.assertNotContains(page, self.token)
            self.assertNotContains(page, self.link.token_digest)

        page = self.admin.post(self.page)

        self.assertContains(page, f"http://testserver/u/{self.token}/")
        self.assertContains(page, "<svg ")
        self.assertIn("no-store", page["Cache-Control"])
        self.assertEqual(page["Referrer-Policy"], "no-referrer")
        self.assertEqual(self.history(), ["Link shown."])

    def test_not_by_a_get_and_not_for_whoever_may_only_look(self):
        self.assertRedirects(self.admin.get(self.page), f"{LINKS}{self.link.pk}/change/")
        agent = self.log_in(make_user(is_staff=True), "support agents")
        self.assertEqual(agent.post(self.page).status_code, 403)
        self.assertNotContains(agent.get(f"{LINKS}{self.link.pk}/change/"), "Show the link")
        self.assertEqual(self.history(), [])

    def test_unknown_link(self):
        self.assertEqual(self.admin.post(f"{LINKS}999/link/").status_code, 404)

    def test_link_that_no_key_decrypts(self):
        with override_settings(ENCRYPTION_KEYS=[b"x" * 32]):
            page = self.admin.post(self.page, follow=True)
        self.assertContains(page, "ENCRYPTION_KEYS")

    def test_photos_and_use_are_shown(self):
        make_image(self.ticket, guest_link_id=self.link.pk)
        GuestLink.objects.update(opened_at=timezone.now())
        page = self.admin.get(LINKS, {"ticket_is": self.ticket.pk})
        self.assertContains(page, '<td class="field-photos">1</td>', html=True)
        self.assertContains(self.admin.get(LINKS, {"ticket_is": "77"}), "0 guest links")


class ActionTests(AdminTestCase):
    def test_revoke(self):
        link, revoked = make_guest_link(self.ticket), make_guest_link(self.ticket)
        revoke(revoked)
        self.assertContains(self.act("revoke", link, revoked), "1 link was revoked.")
        self.assertFalse(GuestLink.objects.filter(revoked_at=None).exists())
        self.assertEqual(self.history(), ["Revoked."])

    def test_mail(self):
        link, nameless = make_guest_link(self.ticket, email="ana@example.com"), make_guest_link(self.ticket)
        page = self.act("mail", link, nameless)
        self.assertContains(page, "1 link is mailed.")
        self.assertContains(page, "1 link is not:")
        self.assertEqual(GuestEmail.objects.filter(link=link, kind="invitation").count(), 2)
        self.assertEqual(self.history(), ["Mailed."])

    def test_failed_mail_is_sent_again(self):
        make_guest_link(self.ticket, email="ana@example.com")
        GuestEmail.objects.update(state=EmailState.FAILED, due_at=None)
        form = {"action": "send_now", "_selected_action": [GuestEmail.objects.get().pk]}
        self.admin.post("/admin/guests/guestemail/", form)
        self.assertEqual(GuestEmail.objects.get().state, EmailState.QUEUED)

    def test_whoever_may_only_look_does_nothing(self):
        link = make_guest_link(self.ticket)
        agent = self.log_in(make_user(is_staff=True), "support agents")
        agent.post(LINKS, {"action": "revoke", "_selected_action": [link.pk]})
        self.assertIsNone(GuestLink.objects.get().revoked_at)
        self.assertEqual(agent.get(f"{LINKS}add/").status_code, 403)
