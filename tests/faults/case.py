"""Base of the tests that break things: a class shares one world, each test begins with nothing in it."""

from contextlib import contextmanager
from unittest import skipUnless

from django.db import connection
from django.test import tag

from apps.tickets.models import Image
from apps.tickets.models.statuses import IN_FLIGHT
from tests.faults import books
from tests.faults.clients import Client, Diary, photo
from tests.faults.world import World, wait_until
from tests.flush import FlushedTestCase
from tests.makers import make_user, token_for

needs_postgres = skipUnless(connection.vendor == "postgresql", "needs PostgreSQL")


@tag("slow")
class FaultsTestCase(FlushedTestCase):
    """`self.client` is a patient client of a user of its own; `self.meant` says how many photos each ticket is to get.

    Its tests end with `assert_books_balance`.
    """

    world_options = {}
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.world = cls.enterClassContext(World(**cls.world_options))

    def setUp(self):
        super().setUp()
        self.world.flush_redis()
        self.world.sandbox.behave()
        self.world.sandbox.assets.clear()
        self.sandbox = self.world.sandbox
        self.diary, self.meant = Diary(), {}
        self.client = self.client_of(make_user())

    def client_of(self, user, **options) -> Client:
        return Client(self.world.url, token_for(user), diary=self.diary, **options)

    def open_ticket(self, num_images: int, **fields) -> int:
        ticket_id = self.client.open_ticket(num_images, **fields)
        self.meant[ticket_id] = num_images
        return ticket_id

    def post(self, number: int) -> int:
        """A ticket with that many photos posted."""
        ticket = self.open_ticket(number)
        for seed in range(number):
            self.assertEqual(self.client.post_photo(ticket, photo(seed)).status, 202)
        return ticket

    def images(self, status: str | None = None) -> list[Image]:
        found = Image.objects.order_by("ticket_id", "created_at")
        return list(found.filter(status=status) if status else found)

    def wait_until(self, condition, *, timeout_seconds: float = 180):
        value = wait_until(condition, timeout_seconds=timeout_seconds)
        self.assertTrue(value, "it never came true")
        return value

    def wait_until_settled(self) -> None:
        self.wait_until(lambda: not Image.objects.filter(status__in=IN_FLIGHT).exists())

    def assert_unavailable(self, ticket_id: int) -> None:
        """A photo is refused with 503 and the time to come back, soon, though its client would wait for long."""
        answer = self.client.post_photo_once(ticket_id, photo(99))
        self.assertEqual((answer.status, answer.code), (503, "temporarily_unavailable"))
        self.assertGreaterEqual(int(answer.headers["Retry-After"]), 1)

    def assert_books_balance(self) -> None:
        books.settle_at_once()
        found = books.findings(
            books.Books(assets=list(self.sandbox.assets), diary=self.diary, readers=[self.client], meant=self.meant)
        )
        self.assertEqual({rule: wrong for rule, wrong in found.items() if wrong}, {})

    @contextmanager
    def worker_frozen(self):
        """Nothing is delivered or reconciled inside; jobs wait in the queue."""
        self.world.workers[0].freeze()
        try:
            yield
        finally:
            self.world.workers[0].thaw()

    @contextmanager
    def misbehaving(self, kind: str, **rule):
        fault = self.sandbox.misbehave(kind, **rule)
        try:
            yield fault
        finally:
            self.sandbox.behave(fault)
