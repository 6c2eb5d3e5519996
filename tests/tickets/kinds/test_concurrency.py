"""A kind that is changed while tickets are opened by it."""

from concurrent.futures import ThreadPoolExecutor
from unittest import skipUnless

from django.db import connection, transaction
from django.db.models import F

from apps.tickets.models import KindSlot, Ticket, TicketKind
from tests.case import CommittingTestCase, _and_disconnect
from tests.makers import client_for, make_kind, make_user


@skipUnless(connection.vendor == "postgresql", "needs PostgreSQL: SQLite blocks readers during a write")
class ChangeWhileOpeningTests(CommittingTestCase):
    def test_ticket_holds_one_version_whole(self):
        """The change comes between the reading of the kind and that of its slots."""
        kind = make_kind("car", slots=["front", "back"])
        client = client_for(make_user())
        with ThreadPoolExecutor(1) as pool:
            with transaction.atomic():
                with connection.cursor() as cursor:
                    cursor.execute("LOCK TABLE tickets_kindslot IN ACCESS EXCLUSIVE MODE")
                answer = pool.submit(_and_disconnect, client.post, "/api/v1/tickets/", {"kind": "car"})
                self.wait_until(self._somebody_waits)
                for order in (3, 4, 5):
                    KindSlot.objects.create(kind=kind, name=f"slot-{order}", order=order)
                TicketKind.objects.update(version=F("version") + 1)
            self.assertEqual(answer.result().status_code, 201)

        ticket = Ticket.objects.get()
        self.assertEqual((ticket.kind_version, ticket.num_images), (1, 2))
        self.assertEqual(client.post("/api/v1/tickets/", {"kind": "car"}).json()["num_images"], 5)
