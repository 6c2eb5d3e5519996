"""The feed of events: what it shows, in which order, and that a reader who goes on misses nothing."""

import os
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from unittest import skipUnless

import psycopg
from django.conf import settings
from django.db import connection, connections, transaction
from django.utils import timezone

from apps.integrations.events.forgetting import forget_old_events
from apps.integrations.events.writing import write_event
from apps.integrations.models import Delivery, Endpoint, Event, EventType
from apps.integrations.models.event import new_event_id, oldest_id_at
from apps.integrations.models.positions import FUNCTION, MAKE_FUNCTION, first_unsettled, keep_growing
from apps.tickets.lifecycle import outcomes
from apps.tickets.models.statuses import TicketStatus
from tests.case import ApiTestCase, CommittingTestCase
from tests.makers import begin_attempt, client_for, guest_client, make_guest_link, make_image, make_ticket, make_user

URL = "/api/v1/events/"
ON_POSTGRESQL = skipUnless(connection.vendor == "postgresql", "needs PostgreSQL: SQLite has one writer at a time")


class FeedTestCase(CommittingTestCase):
    """With real commits: an event is shown once its transaction is over."""

    def setUp(self):
        super().setUp()
        self.user = make_user()
        self.client = client_for(self.user)

    def write(self, name="", *, type=EventType.PING, owner=None, **fields) -> str:
        """Returns the new event's id."""
        owner_id = (owner or self.user).pk
        return str(write_event(type, owner_id=owner_id, data={"webhook": {"id": name}}, **fields).pk)

    def read(self, query: str = "") -> dict:
        response = self.client.get(f"{URL}?{query}")
        self.assertEqual(response.status_code, 200, response.content)
        return response.json()

    def ids(self, query: str = "") -> list[str]:
        return [event["id"] for event in self.read(query)["results"]]


class FeedTests(FeedTestCase):
    def test_event_is_told_with_its_id_type_time_and_data(self):
        event_id = self.write("7")
        event = Event.objects.get(pk=event_id)
        at = event.at.isoformat().replace("+00:00", "Z")
        told = {"id": event_id, "type": "ping", "timestamp": at, "data": {"webhook": {"id": "7"}}}
        self.assertEqual(self.read(), {"next": None, "results": [told]})

    def test_opening_a_ticket_is_told(self):
        opened = self.client.post("/api/v1/tickets/", {"num_images": 2, "title": "Roof"}).json()
        [event] = self.read()["results"]
        listed = self.client.get("/api/v1/tickets/").json()["results"][0]
        urls = {name: event["data"]["ticket"][name] for name in ("images_url", "status_url")}
        self.assertEqual(event["type"], "ticket.created")
        self.assertEqual(event["data"], {"ticket": listed | {"missing": []} | urls, "sequence": 1})
        self.assertEqual(opened["id"], event["data"]["ticket"]["id"])

    def test_pages_follow_one_another_from_the_oldest_on(self):
        written = [self.write(str(number)) for number in range(5)]
        first = self.read("page_size=2")
        self.assertEqual([event["id"] for event in first["results"]], written[:2])
        second = self.client.get(first["next"]).json()
        self.assertEqual([event["id"] for event in second["results"]], written[2:4])
        last = self.client.get(second["next"]).json()
        self.assertEqual([event["id"] for event in last["results"]], written[4:])
        self.assertIsNone(last["next"])
        self.assertEqual(self.ids(f"after={written[4]}"), [])
        later = self.write("later")
        self.assertEqual(self.ids(f"after={written[4]}"), [later])
        self.assertEqual(self.ids(f"after={written[4].upper()}"), [later])
        self.assertEqual(self.ids("after="), [*written, later])

    def test_events_of_one_transaction_are_in_the_order_of_what_happened(self):
        with transaction.atomic():
            written = [self.write(str(number)) for number in range(5)]
        self.assertEqual(self.ids(), written)
        for number, event_id in enumerate(written, start=1):
            self.assertEqual(self.ids(f"after={event_id}"), written[number:])

    def test_filters(self):
        completed = self.write(type=EventType.TICKET_COMPLETED, ticket_id=5)
        stored = self.write(type=EventType.IMAGE_STORED, ticket_id=5)
        other = self.write(type=EventType.TICKET_COMPLETED, ticket_id=6)
        self.assertEqual(self.ids("type=ticket.completed"), [completed, other])
        self.assertEqual(self.ids("type=ticket.completed&type=image.stored"), [completed, stored, other])
        self.assertEqual(self.ids("type[]=image.stored"), [stored])
        self.assertEqual(self.ids("ticket=5"), [completed, stored])
        self.assertEqual(self.ids("ticket=5&type=ticket.completed"), [completed])
        self.assertEqual(self.ids(f"type=ticket.completed&after={completed}"), [other])
        page = self.read("type=ticket.completed&page_size=1")
        self.assertEqual([event["id"] for event in self.client.get(page["next"]).json()["results"]], [other])

    def test_each_sees_their_own_alone_and_so_do_staff(self):
        mine = self.write()
        for client in (client_for(make_user()), client_for(make_user(is_staff=True))):
            self.assertEqual(client.get(URL).json()["results"], [])
            self.assert_problem(client.get(f"{URL}?after={mine}"), 400, "unknown_event")
        self.assert_unauthenticated(client_for().get(URL))
        guest = guest_client(make_guest_link(make_ticket(self.user)))
        self.assert_problem(guest.get(URL), 403, "guest_not_allowed")

    def test_bad_queries_are_refused(self):
        self.write()
        self.assert_invalid(self.client.get(f"{URL}?type=ticket.painted"), ("type", "invalid_choice"))
        self.assert_invalid(self.client.get(f"{URL}?ticket=x"), ("ticket", "invalid"))
        self.assert_invalid(self.client.get(f"{URL}?page_size=101"), ("page_size", "invalid"))
        self.assert_problem(self.client.get(f"{URL}?since=1"), 400, "unknown_parameter")
        self.assert_problem(self.client.get(f"{URL}?page=2"), 400, "unknown_parameter")
        for after in (new_event_id(), uuid.uuid4(), uuid.uuid1(), "x", "%00", new_event_id().hex):
            with self.subTest(after=after):
                self.assert_problem(self.client.get(f"{URL}?after={after}"), 400, "unknown_event")

    def test_whoever_comes_back_too_late_is_told(self):
        kept_since = timezone.now() - timedelta(days=settings.EVENTS_KEPT_DAYS)
        gone = oldest_id_at(kept_since - timedelta(minutes=1))
        gone = uuid.UUID(int=gone.int | 0x7 << 76 | 0b10 << 62)
        self.assert_problem(self.client.get(f"{URL}?after={gone}"), 410, "events_expired")


class ForgettingTests(ApiTestCase):
    def test_old_events_go_with_their_deliveries_and_others_stay(self):
        user = make_user()
        Endpoint.objects.create(owner=user, url="https://receiver.example/")
        new = write_event(EventType.PING, owner_id=user.pk, data={})
        old = write_event(EventType.PING, owner_id=user.pk, data={})
        made_at = timezone.now() - timedelta(days=settings.EVENTS_KEPT_DAYS, minutes=1)
        older = Event.objects.create(pk=oldest_id_at(made_at), type=EventType.PING, owner_id=user.pk, data={})
        Delivery.objects.filter(event=old).update(event=older)
        self.assertEqual(forget_old_events(), 1)
        self.assertEqual(set(Event.objects.values_list("pk", flat=True)), {new.pk, old.pk})
        self.assertEqual([delivery.event_id for delivery in Delivery.objects.all()], [new.pk])
        self.assertEqual(forget_old_events(), 0)


@ON_POSTGRESQL
class OrderTests(FeedTestCase):
    """Transactions commit in another order than they began in."""

    def in_open_transaction(self, *names: str):
        """Returns (ids, commit) of a transaction of another thread that has written these events."""
        written, go_on = threading.Event(), threading.Event()
        ids = []

        def write():
            try:
                with transaction.atomic():
                    ids.extend(self.write(name) for name in names)
                    written.set()
                    go_on.wait(60)
            finally:
                connections.close_all()

        pool = self.enterContext(ThreadPoolExecutor(1))
        future = pool.submit(write)
        self.addCleanup(go_on.set)
        self.assertTrue(written.wait(60), future.exception(0) if future.done() else "")
        return ids, lambda: (go_on.set(), future.result())

    def test_reader_who_goes_on_misses_nothing(self):
        before = self.write("before")
        [early], commit = self.in_open_transaction("early")
        late = self.write("late")
        self.assertEqual(self.ids(), [before])
        commit()
        self.assertEqual(self.ids(f"after={before}"), [early, late])
        self.assertEqual(self.ids(), [before, early, late])

    def test_reader_sees_what_came_before_a_transaction_that_is_open(self):
        first, second = self.write("first"), self.write("second")
        _, commit = self.in_open_transaction("open")
        self.assertEqual(self.ids(), [first, second])
        commit()

    def test_events_of_a_ticket_are_in_the_order_of_its_moves_whichever_transaction_began_first(self):
        ticket = make_ticket(self.user, num_images=2, status=TicketStatus.IN_PROGRESS)
        first, second = (make_image(ticket, position=position) for position in (1, 2))
        began, go_on = threading.Event(), threading.Event()

        def store_second():
            try:
                with transaction.atomic():
                    connection.cursor().execute("SELECT pg_current_xact_id()")
                    began.set()
                    go_on.wait(60)
                    self.store(second)
            finally:
                connections.close_all()

        with ThreadPoolExecutor(1) as pool:
            future = pool.submit(store_second)
            began.wait(60)
            self.store(first)
            go_on.set()
            future.result()
        told = [(event["type"], event["data"].get("image", {}).get("id")) for event in self.read()["results"]]
        stored = [("image.stored", str(image.pk)) for image in (first, second)]
        self.assertEqual(told, [*stored, ("ticket.completed", None)])

    @staticmethod
    def store(image):
        begin_attempt(image)
        outcomes.record_stored(image, asset_id="asset", asset_version=1, asset_format="jpg")

    def test_transactions_that_overlap_are_in_one_order_for_all_readers(self):
        opened = [self.in_open_transaction(f"{number}a", f"{number}b") for number in range(3)]
        seen, last = [], ""
        for _, commit in (opened[2], opened[0], opened[1]):
            new = self.ids(f"after={last}" if last else "")
            seen += new
            last = new[-1] if new else last
            commit()
        seen += self.ids(f"after={last}" if last else "")
        self.assertEqual(seen, self.ids())
        self.assertCountEqual(seen, [event_id for ids, _ in opened for event_id in ids])

    def test_transactions_of_roles_that_it_has_no_rights_on_are_waited_for(self):
        _, commit = self.in_open_transaction("open")
        self.write("later")
        its_own, role = first_unsettled(connection), f"hopla_plain_{os.getpid()}"
        with connection.cursor() as cursor:
            cursor.execute(f"CREATE ROLE {role}")
            try:
                cursor.execute(f"SET ROLE {role}")
                self.assertEqual(first_unsettled(connection), its_own)
            finally:
                cursor.execute("RESET ROLE")
                cursor.execute(f"DROP ROLE {role}")
        commit()
        self.write("next")
        self.assertGreater(first_unsettled(connection), its_own)

    def test_other_databases_are_not_waited_for(self):
        before = self.write("before")
        with psycopg.connect(**connection.get_connection_params() | {"dbname": "postgres"}, autocommit=False) as other:
            other.execute("SELECT pg_current_xact_id()")
            after = self.write("after")
            self.assertEqual(self.ids(), [before, after])

    def test_events_of_a_transaction_that_is_rolled_back_are_none(self):
        with self.assertRaises(ZeroDivisionError), transaction.atomic():
            self.write()
            _ = 1 / 0
        after = self.write()
        self.assertEqual(self.ids(), [after])


@ON_POSTGRESQL
class RestoredTests(FeedTestCase):
    """A dump that is restored into another cluster has positions that this one has not reached."""

    def setUp(self):
        super().setUp()
        self.addCleanup(self.make_function, self.added())

    def make_function(self, added: int) -> None:
        with connection.cursor() as cursor:
            cursor.execute(MAKE_FUNCTION.format(added=added))

    @staticmethod
    def added() -> int:
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT {FUNCTION}(0)")
            return cursor.fetchone()[0]

    def test_new_events_still_come_after_the_old_ones(self):
        old = [self.write("1"), self.write("2")]
        for number, event_id in enumerate(old):
            Event.objects.filter(pk=event_id).update(position=(5_000_000_000 << 20) + number)
        keep_growing(using="default")
        self.assertEqual(self.ids(), old)
        new = self.write("3")
        self.assertEqual(self.ids(), [*old, new])
        self.assertEqual(self.ids(f"after={old[1]}"), [new])

    def test_nothing_changes_where_all_is_well(self):
        self.write()
        before = self.added()
        keep_growing(using="default")
        self.assertEqual(self.added(), before)
