import io
import zipfile

from django.contrib.auth.models import Group
from django.test import override_settings
from django.urls import reverse

from apps.tickets.admin.handover import MOST_TICKETS
from apps.tickets.handover import signing
from apps.tickets.handover.verification import verified_manifest
from tests.case import ApiTestCase
from tests.makers import jpeg_bytes, make_ticket, make_user
from tests.tickets.handover.makers import make_stored_ticket, running_delivery


class HandoverAdminTests(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.sandbox = self.enterContext(running_delivery())
        self.agent = make_user(is_staff=True)
        self.agent.groups.add(Group.objects.get(name="support agents"))
        self.client.force_login(self.agent)
        self.ticket = make_stored_ticket(make_user(), [jpeg_bytes()])

    def page(self, name: str, ticket=None) -> str:
        return reverse(f"admin:tickets_ticket_{name}", args=[(ticket or self.ticket).pk])

    def select(self, tickets):
        data = {"action": "download_photos", "_selected_action": [ticket.pk for ticket in tickets]}
        return self.client.post(reverse("admin:tickets_ticket_changelist"), data, format="multipart")

    def test_ticket_page_leads_to_archive_and_manifest(self):
        shown = self.client.get(self.page("change")).content.decode()
        for name in ("archive", "manifest"):
            self.assertIn(f'href="{self.page(name)}"', shown)

    def test_archive_of_one_ticket(self):
        response = self.client.get(self.page("archive"))
        self.assertEqual(response["Content-Disposition"], f'attachment; filename="ticket-{self.ticket.pk}.zip"')
        opened = zipfile.ZipFile(io.BytesIO(response.getvalue()))
        self.assertEqual(opened.read("001-photo.jpg"), jpeg_bytes())

    def test_manifest_is_the_signed_one(self):
        response = self.client.get(self.page("manifest"))
        self.assertIn(".jws", response["Content-Disposition"])
        content = verified_manifest(response.content.decode(), signing.public_keys())
        self.assertEqual(content["ticket_id"], self.ticket.pk)

    def test_archive_of_the_selected_tickets_has_a_folder_for_each(self):
        other = make_stored_ticket(make_user(), [jpeg_bytes(1)])
        opened = zipfile.ZipFile(io.BytesIO(self.select([self.ticket, other]).getvalue()))
        self.assertEqual(opened.read(f"ticket-{self.ticket.pk}/001-photo.jpg"), jpeg_bytes())
        self.assertEqual(opened.read(f"ticket-{other.pk}/001-photo.jpg"), jpeg_bytes(1))

    def test_too_many_tickets_are_told_so(self):
        owner = make_user()
        response = self.select([make_ticket(owner) for _ in range(MOST_TICKETS + 1)])
        self.assertEqual(response.status_code, 302)
        self.assertIn(str(MOST_TICKETS), self.client.get(response["Location"]).content.decode())

    def test_trouble_is_told_on_the_page(self):
        self.sandbox.misbehave("refuse", action="delivery", status=500)
        for ask in (lambda: self.client.get(self.page("archive")), lambda: self.select([self.ticket])):
            response = ask()
            self.assertEqual(response.status_code, 302)
            self.assertIn("messagelist", self.client.get(response["Location"]).content.decode())

    @override_settings(ARCHIVE_CONCURRENCY=1)
    def test_too_many_at_once_are_told_on_the_page(self):
        under_way = self.client.get(self.page("archive"))
        refused = self.client.get(self.page("archive"))
        self.assertRedirects(refused, self.page("change"))
        under_way.getvalue()

    def test_staff_who_may_not_see_tickets_are_refused(self):
        self.client.force_login(make_user(is_staff=True))
        for name in ("archive", "manifest"):
            self.assertEqual(self.client.get(self.page(name)).status_code, 403)

    def test_ticket_that_does_not_exist_is_404(self):
        for name in ("archive", "manifest"):
            url = reverse(f"admin:tickets_ticket_{name}", args=[2**63 - 1])
            self.assertEqual(self.client.get(url).status_code, 404)
