import io

from django.conf import settings
from django.core.management import call_command

from apps.tickets.models import KindSlot, TicketKind
from tests.case import ApiTestCase
from tests.makers import client_for, make_user

KINDS = "/api/v1/kinds/"


class DemoKindTests(ApiTestCase):
    def make(self) -> None:
        call_command("make_demo_kinds", stdout=io.StringIO())

    def test_kinds_are_right_and_in_all_languages(self):
        self.make()

        languages = {code for code, _name in settings.LANGUAGES}
        for row in (*TicketKind.objects.all(), *KindSlot.objects.all()):
            with self.subTest(row):
                row.full_clean()
                self.assertEqual(set(row.titles), languages)
                self.assertIn(set(row.instructions), (languages, set()))

    def test_tickets_are_opened_by_them(self):
        self.make()
        client = client_for(make_user())

        for kind in client.get(KINDS).json()["results"]:
            opened = client.post("/api/v1/tickets/", {"kind": kind["name"]}).json()
            self.assertEqual((opened["kind"], opened["num_images"]), (kind["name"], kind["num_images"]))
        self.assertEqual(TicketKind.objects.count(), 3)

    def test_second_run_leaves_them_as_staff_have_changed_them(self):
        self.make()
        TicketKind.objects.update(num_images=9, is_active=False)
        KindSlot.objects.filter(name="front").delete()

        self.make()

        self.assertEqual(set(TicketKind.objects.values_list("num_images", "is_active")), {(9, False)})
        self.assertFalse(KindSlot.objects.filter(name="front").exists())
