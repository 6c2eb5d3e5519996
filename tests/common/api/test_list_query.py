"""The query strings of lists as browsers, jQuery, axios, PHP and misspelling people write them."""

from urllib.parse import urlencode

from django.test import SimpleTestCase
from django.urls import get_resolver

from apps.common.api.list_query import ListQueryMixin
from tests.case import ApiTestCase
from tests.common.api.test_schema import operations_of, read_schema, routes_of
from tests.integrations.webhooks.makers import make_endpoint
from tests.makers import client_for, make_image, make_ticket, make_user
from tests.support.makers import make_support_ticket

TICKETS = "/api/v1/tickets/"


class EveryListTests(SimpleTestCase):
    def test_every_view_with_pages_reads_its_query_so(self):
        views = {
            view.cls for _, view in routes_of(get_resolver().url_patterns) if hasattr(view.cls, "pagination_class")
        }
        lists = {view for view in views if view.pagination_class}
        self.assertGreaterEqual(len(lists), 5)
        self.assertEqual([view for view in lists if not issubclass(view, ListQueryMixin)], [])


class QueryTestCase(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.user = make_user(is_staff=True)
        self.client = client_for(self.user)

    def titles(self, query: str) -> list[str]:
        response = self.client.get(f"{TICKETS}?{query}")
        self.assertEqual(response.status_code, 200, response.content)
        return [ticket["title"] for ticket in response.json()["results"]]


class UnknownParameterTests(QueryTestCase):
    def setUp(self):
        super().setUp()
        ticket = make_ticket(self.user)
        make_image(ticket)
        desk = make_support_ticket(self.user)
        webhook = make_endpoint(self.user)
        self.lists = [
            TICKETS,
            f"{TICKETS}{ticket.pk}/images/",
            "/api/v1/support/tickets/",
            f"/api/v1/support/tickets/{desk.pk}/messages/",
            "/api/v1/auth/users/",
            "/api/v1/kinds/",
            f"{TICKETS}{ticket.pk}/guest-links/",
            "/api/v1/events/",
            "/api/v1/webhooks/",
            f"/api/v1/webhooks/{webhook.pk}/deliveries/",
            "/api/v1/api-keys/",
        ]

    def assert_unknown(self, response, *names):
        body = self.assert_problem(response, 400, "unknown_parameter")
        self.assertEqual([error["field"] for error in body["errors"]], list(names))
        self.assertEqual({error["code"] for error in body["errors"]}, {"unknown_parameter"})
        return body

    def test_misspelt_filter_shows_nothing_instead_of_everything(self):
        for url in self.lists:
            for query in ("stauts=completed", "Page=2", "stauts=", "page_size=1&stauts=x", "stauts[]=x", "format=json"):
                with self.subTest(url=url, query=query):
                    name = next(each for each in query.split("&") if each != "page_size=1").split("=")[0]
                    self.assert_unknown(self.client.get(f"{url}?{query}"), name)

    def test_detail_names_what_is_known(self):
        body = self.assert_unknown(self.client.get(f"{TICKETS}?stauts=x"), "stauts")
        for name in ("status", "created_after", "ordering", "page_size", "cursor"):
            self.assertIn(name, body["errors"][0]["detail"])

    def test_everything_that_the_schema_publishes_is_known(self):
        lists = [
            (label, [each["name"] for each in operation["parameters"] if each["in"] == "query"])
            for label, operation in operations_of(read_schema(self.client))
            if label.startswith("GET ")
        ]
        ends = ("/tickets/", "/images/", "/support/tickets/", "/messages/", "/auth/users/", "/kinds/", "/guest-links/")
        ends += ("/events/", "/webhooks/", "/deliveries/")
        ends += ("/api-keys/",)
        urls = dict(zip(ends, self.lists, strict=True))
        tried = 0
        for label, names in lists:
            url = next((url for end, url in reversed(urls.items()) if label.endswith(end)), None)
            for name in names:
                with self.subTest(label, name=name):
                    self.assertEqual(self.client.get(url, {name: ""}).status_code, 200)
                    tried += 1
        self.assertGreater(tried, 20)

    def test_several_are_named_and_not_without_bound(self):
        self.assert_unknown(self.client.get(f"{TICKETS}?a=1&b=2"), "a", "b")
        many = "&".join(f"x{number}{'y' * 2000}=1" for number in range(50))
        response = self.client.get(f"{TICKETS}?{many}")
        self.assert_problem(response, 400, "unknown_parameter")
        self.assertLess(len(response.content), 20_000)

    def test_who_may_not_see_the_list_learns_nothing_of_it(self):
        self.assert_unauthenticated(client_for().get(f"{TICKETS}?stauts=x"))
        self.assert_problem(client_for(make_user()).get("/api/v1/auth/users/?stauts=x"), 403, "permission_denied")

    def test_head_is_refused_alike(self):
        self.assertEqual(self.client.head(f"{TICKETS}?stauts=x").status_code, 400)

    def test_other_methods_and_single_objects_look_at_no_query(self):
        self.assertEqual(self.client.post(f"{TICKETS}?stauts=x", {"num_images": 1}).status_code, 201)
        self.assertEqual(self.client.options(f"{TICKETS}?stauts=x").status_code, 200)
        ticket = make_ticket(self.user)
        self.assertEqual(self.client.get(f"{TICKETS}{ticket.pk}/?stauts=x").status_code, 200)

    def test_what_jquery_adds_to_pass_caches_is_no_filter(self):
        for url in self.lists:
            self.assertEqual(self.client.get(f"{url}?_=1795687200123").status_code, 200)


class SpellingTests(QueryTestCase):
    def setUp(self):
        super().setUp()
        for status in ("pending", "in_progress", "completed"):
            make_ticket(self.user, title=status, status=status)

    def test_brackets_of_jquery_axios_and_php(self):
        for query in (
            "status=pending&status=completed",
            "status[]=pending&status[]=completed",
            "status%5B%5D=pending&status%5B%5D=completed",
            "status[0]=pending&status[1]=completed",
            "status=pending&status[]=completed",
            "status=&status=pending&status=completed",
        ):
            with self.subTest(query):
                self.assertCountEqual(self.titles(query), ["pending", "completed"])

    def test_brackets_narrow_every_list_down(self):
        other = make_user()
        make_ticket(other, title="theirs")
        self.assertEqual(self.titles(f"owner[]={other.pk}"), ["theirs"])
        found = self.client.get(f"/api/v1/auth/users/?search[]={other.username}").json()
        self.assertEqual([user["id"] for user in found["results"]], [other.pk])
        for name in ("page", "page_size", "cursor", "ordering", "created_after"):
            with self.subTest(name):
                self.assertEqual(self.client.get(f"{TICKETS}?{name}[]=x").status_code, 400)

    def test_wrong_value_in_brackets_is_an_error(self):
        self.assert_invalid(self.client.get(f"{TICKETS}?status[]=done"), ("status", "invalid_choice"))

    def test_empty_is_as_if_left_out(self):
        for name in ("status", "status[]", "owner", "search", "created_after", "created_before", "ordering", "page"):
            with self.subTest(name):
                self.assertEqual(len(self.titles(f"{name}=")), 3)
                self.assertEqual(len(self.titles(f"cursor=&{name}=")), 3)
        for url in ("/api/v1/support/tickets/?status=&owner=&ticket=", "/api/v1/auth/users/?search=&page_size="):
            self.assertEqual(self.client.get(url).status_code, 200)

    def test_empty_cursor_still_starts(self):
        for query in ("cursor=", "cursor", "cursor[]="):
            self.assertNotIn("count", self.client.get(f"{TICKETS}?{query}").json())

    def test_orders_named_one_by_one_are_one_order(self):
        make_ticket(self.user, title="another", status="completed", num_images=9)
        together = self.titles("ordering=status,-num_images")
        self.assertEqual(together[:2], ["another", "completed"])
        for query in ("ordering=status&ordering=-num_images", "ordering[]=status&ordering[]=-num_images"):
            self.assertEqual(self.titles(query), together)

    def test_pages_of_a_query_in_brackets_lead_on(self):
        for first in ("page[]=1&page_size[]=1&status[]=pending&status[]=completed", "cursor[]=&page_size[]=1"):
            with self.subTest(first):
                seen, url = [], f"{TICKETS}?{first}"
                while url and len(seen) < 5:
                    page = self.client.get(url).json()
                    seen += [ticket["title"] for ticket in page["results"]]
                    url = page["next"]
                self.assertEqual(seen, ["completed", "pending"] if "status" in first else seen)
                self.assertEqual(len(seen), len(set(seen)))

    def test_values_survive_as_they_are(self):
        make_ticket(self.user, title="100% Ñandú & a+b")
        for text in ("100% Ñandú", "& a+b"):
            self.assertEqual(self.titles(urlencode({"search[]": text})), ["100% Ñandú & a+b"])
