from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from unittest import skipUnless

from django.db import connection, transaction
from django.test import override_settings
from django.utils import timezone

from apps.integrations.models import Delivery, Endpoint
from apps.integrations.webhooks import choosing
from apps.integrations.webhooks.choosing import ENDPOINT_LIMIT
from tests.case import ApiTestCase, CommittingTestCase, at_once
from tests.integrations.webhooks.makers import make_delivery, make_endpoint
from tests.makers import make_user


def by_endpoint(taken: list[Delivery]) -> Counter:
    return Counter(delivery.endpoint_id for delivery in taken)


class DueTests(ApiTestCase):
    def test_attempt_begins_with_a_lease(self):
        delivery = make_delivery(make_endpoint())

        (taken,) = choosing.take(10)

        self.assertEqual((taken.pk, taken.attempts, taken.is_running), (delivery.pk, 1, True))
        self.assertGreater(taken.next_try_at, timezone.now() + timedelta(seconds=10))
        self.assertEqual(choosing.take(10), [], "it is under way")

    def test_attempt_whose_lease_has_ended_is_taken_over(self):
        ended = timezone.now() - timedelta(seconds=1)
        make_delivery(make_endpoint(), attempts=1, is_running=True, next_try_at=ended)
        self.assertEqual([delivery.attempts for delivery in choosing.take(10)], [2])

    def test_what_is_not_due_or_settled_is_left_alone(self):
        endpoint = make_endpoint()
        make_delivery(endpoint, next_try_at=timezone.now() + timedelta(seconds=60))
        make_delivery(endpoint, status="delivered", next_try_at=None)
        make_delivery(endpoint, status="failed", next_try_at=None)
        make_delivery(make_endpoint(enabled=False))
        make_delivery(make_endpoint(not_before=timezone.now() + timedelta(seconds=60)))
        make_delivery(make_endpoint(make_user(is_active=False)))
        self.assertEqual(choosing.take(10), [])

    def test_first_due_comes_first(self):
        endpoint, now = make_endpoint(), timezone.now()
        second = make_delivery(endpoint, next_try_at=now - timedelta(seconds=10))
        first = make_delivery(endpoint, next_try_at=now - timedelta(seconds=20))
        self.assertEqual([choosing.take(1)[0].pk for _ in range(2)], [first.pk, second.pk])


@override_settings(WEBHOOK_CONCURRENCY=32)
class FairnessTests(ApiTestCase):
    def backlog(self, endpoint: Endpoint, number: int = 40) -> Endpoint:
        for _ in range(number):
            make_delivery(endpoint)
        return endpoint

    def test_endpoint_has_few_attempts_at_a_time(self):
        self.backlog(make_endpoint())

        self.assertEqual(len(choosing.take(32)), ENDPOINT_LIMIT)
        self.assertEqual(choosing.take(32), [])

    def test_endpoint_that_failed_has_one_at_a_time(self):
        self.backlog(make_endpoint(failing_since=timezone.now()))
        self.assertEqual(len(choosing.take(32)), 1)

    def test_owner_of_many_endpoints_has_half_of_all(self):
        owner = make_user()
        for _ in range(10):
            self.backlog(make_endpoint(owner), 8)
        self.assertEqual(len(choosing.take(32)), 16)
        self.assertEqual(choosing.take(32), [])

        other = self.backlog(make_endpoint(), 3)
        self.assertEqual(by_endpoint(choosing.take(32)), {other.pk: 3})

    def test_who_has_the_fewest_under_way_comes_first(self):
        busy, owner = make_user(), make_user()
        for _ in range(3):
            self.backlog(make_endpoint(busy), 8)
        choosing.take(12)
        quiet = self.backlog(make_endpoint(owner), 8)

        self.assertEqual(by_endpoint(choosing.take(4)), {quiet.pk: 4})

    def test_owners_share_alike_and_so_do_their_endpoints(self):
        one, other = make_user(), make_user()
        endpoints = [self.backlog(make_endpoint(owner), 8) for owner in (one, one, other)]

        taken = by_endpoint(choosing.take(8))

        self.assertEqual([taken[endpoint.pk] for endpoint in endpoints], [2, 2, 4])


@skipUnless(connection.vendor == "postgresql", "needs PostgreSQL: SQLite locks no rows")
class WorkersTests(CommittingTestCase):
    def take(self) -> list[Delivery]:
        try:
            return choosing.take(32)
        finally:
            connection.close()

    def test_two_workers_never_begin_the_same_or_too_many(self):
        endpoints = [make_endpoint() for _ in range(2)]
        for endpoint in endpoints:
            for _ in range(2 * ENDPOINT_LIMIT):
                make_delivery(endpoint)

        taken = [delivery for each in at_once(choosing.take, [32] * 6) for delivery in each]

        self.assertEqual(len({delivery.pk for delivery in taken}), len(taken))
        self.assertLessEqual(max(by_endpoint(taken).values()), ENDPOINT_LIMIT)
        self.assertEqual(by_endpoint(taken + choosing.take(32)), {each.pk: ENDPOINT_LIMIT for each in endpoints})

    def test_locked_endpoint_is_left_to_whoever_locked_it(self):
        locked, free = make_endpoint(), make_endpoint()
        make_delivery(locked), make_delivery(free)

        with ThreadPoolExecutor(1) as pool, transaction.atomic():
            Endpoint.objects.select_for_update(no_key=True).get(pk=locked.pk)
            taken = pool.submit(self.take).result(timeout=30)

        self.assertEqual(by_endpoint(taken), {free.pk: 1})

    def test_delivery_that_is_being_settled_is_not_waited_for(self):
        """Whoever settles it may wait for the row of its endpoint, which is locked here."""
        endpoint, ended = make_endpoint(), timezone.now() - timedelta(seconds=1)
        late = make_delivery(endpoint, attempts=1, is_running=True, next_try_at=ended)
        free = make_delivery(endpoint)

        with ThreadPoolExecutor(1) as pool, transaction.atomic():
            Delivery.objects.select_for_update().get(pk=late.pk)
            taken = pool.submit(self.take).result(timeout=30)

        self.assertEqual([delivery.pk for delivery in taken], [free.pk])
