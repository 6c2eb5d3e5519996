from django.core.cache import cache
from django.core.paginator import EmptyPage
from django.db import connection
from django.test import TestCase
from django.test.utils import CaptureQueriesContext

from apps.common.api.pagination import LongListPaginator, SearchPaginator
from apps.tickets.models import Ticket
from tests.makers import make_ticket, make_user


class EarlyPaginator(LongListPaginator):
    """Does after a few rows what LongListPaginator does after thousands."""

    exact_up_to = 4


class LongListTests(TestCase):
    def setUp(self):
        cache.clear()
        self.addCleanup(cache.clear)
        self.owner = make_user()
        self.made = [make_ticket(self.owner).pk for _ in range(9)]
        self.newest_first = self.made[::-1]

    def paginator(self, per_page=2):
        return EarlyPaginator(Ticket.objects.filter(owner=self.owner).order_by("-id"), per_page)

    def test_pages_near_and_far_hold_every_row_once_in_order(self):
        for per_page in (1, 2, 4, 9, 10):
            with self.subTest(per_page=per_page):
                pages = list(self.paginator(per_page))
                self.assertEqual([row.pk for page in pages for row in page], self.newest_first)

    def test_page_past_the_last(self):
        with self.assertRaises(EmptyPage):
            self.paginator().page(6)

    def test_rows_far_down_are_found_from_the_nearer_end(self):
        with CaptureQueriesContext(connection) as queries:
            page = list(self.paginator(per_page=1).page(8))

        self.assertEqual([row.pk for row in page], [self.made[1]])
        self.assertIn("OFFSET 1)", queries[-1]["sql"])

    def test_few_rows_are_counted_anew_each_time(self):
        Ticket.objects.filter(pk__in=self.made[4:]).delete()
        self.assertEqual(self.paginator().count, 4)

        Ticket.objects.filter(pk=self.made[0]).delete()
        self.assertEqual(self.paginator().count, 3)

    def test_many_rows_are_counted_once_in_a_while(self):
        self.assertEqual(self.paginator().count, 9)

        make_ticket(self.owner)
        self.assertEqual(self.paginator().count, 9)
        cache.clear()  # as after kept_seconds
        self.assertEqual(self.paginator().count, 10)

    def test_count_of_one_list_is_not_anothers(self):
        self.assertEqual(self.paginator().count, 9)
        other = make_user()
        Ticket.objects.bulk_create(Ticket(owner=other, num_images=1) for _ in range(6))

        self.assertEqual(EarlyPaginator(Ticket.objects.filter(owner=other).order_by("-id"), 2).count, 6)


class EarlySearchPaginator(SearchPaginator):
    most = 5


class SearchTests(TestCase):
    def setUp(self):
        owner = make_user()
        self.newest_first = [make_ticket(owner).pk for _ in range(7)][::-1]

    def found(self, number: int, per_page=2):
        return EarlySearchPaginator(Ticket.objects.filter(pk__in=self.newest_first[:number]).order_by("-id"), per_page)

    def test_as_many_as_are_shown(self):
        for number in (0, 1, 4, 5):
            with self.subTest(number):
                found = self.found(number)
                self.assertEqual((found.count, found.count_is_minimum), (number, False))
                self.assertEqual([row.pk for page in found for row in page], self.newest_first[:number])

    def test_more_than_are_shown(self):
        found = self.found(7)

        self.assertEqual((found.count, found.count_is_minimum), (5, True))
        self.assertEqual([row.pk for page in found for row in page], self.newest_first[:5])
        with self.assertRaises(EmptyPage):
            found.page(4)

    def test_searches_once_for_the_count_and_the_page(self):
        with CaptureQueriesContext(connection) as queries:
            found = self.found(4)
            list(found.page(1))

        self.assertEqual((found.count, len(queries)), (4, 2))
