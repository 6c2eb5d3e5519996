"""The published schema is complete and true, and its pages need nothing from elsewhere."""

import importlib
import re
import tempfile
from calendar import monthrange
from datetime import date
from itertools import product

import jsonschema
from django.core.management import call_command
from django.forms import ValidationError
from django.test import SimpleTestCase, override_settings
from django.urls import get_resolver
from rest_framework.exceptions import APIException
from swagger_spec_validator.validator20 import validate_spec

from apps.common.api.filters import MomentField
from apps.common.api.pagination import MAX_PAGE_SIZE
from apps.common.api.schema import HoplaSchemaGenerator, form_of
from apps.tickets.models.statuses import TicketStatus
from tests.case import ApiTestCase
from tests.makers import client_for, jpeg_bytes, make_image, make_ticket, make_user


def read_schema(client, **headers) -> dict:
    return client.get("/swagger.json", **headers).json()


def operations_of(schema: dict):
    """(label such as `GET /tickets/`, operation) of each operation."""
    for path, item in schema["paths"].items():
        for method, operation in item.items():
            if method != "parameters":
                yield f"{method.upper()} {path}", operation


def json_schema_of(schema: dict, part: dict) -> dict:
    """Returns a part of the Swagger document as JSON Schema, which expresses null differently."""

    def translated(node):
        if isinstance(node, list):
            return [translated(each) for each in node]
        if not isinstance(node, dict):
            return node
        inner = {name: translated(each) for name, each in node.items() if name != "x-nullable"}
        return {"anyOf": [inner, {"type": "null"}]} if node.get("x-nullable") else inner

    return translated(part) | {"definitions": translated(schema["definitions"])}


# Megabytes that take seconds to compress.
NOT_OF_OUR_PAGES = ["admin", "rest_framework", "redoc-old", "*-es-bundle*"]


class SchemaTests(SimpleTestCase):
    def setUp(self):
        self.client = client_for()
        self.schema = read_schema(self.client)

    def test_is_valid_swagger(self):
        validate_spec(self.schema)

    def test_paragraphs_of_its_description_are_lines(self):
        self.assertNotRegex(self.schema["info"]["description"], r"[^\n]\n[^\n]")

    def test_is_json_whatever_accept_says(self):
        response = self.client.get("/swagger.json", HTTP_ACCEPT="text/html,application/yaml;q=0.9")
        self.assertEqual(response["Content-Type"], "application/json; charset=utf-8")

    def test_is_in_english_whatever_accept_language_says(self):
        self.addCleanup(setattr, HoplaSchemaGenerator, "_complete", HoplaSchemaGenerator._complete)
        HoplaSchemaGenerator._complete = None
        self.assertEqual(read_schema(self.client, HTTP_ACCEPT_LANGUAGE="es"), self.schema)

    def test_names_the_host_that_was_asked(self):
        with override_settings(ALLOWED_HOSTS=["one.example", "two.example"]):
            hosts = [read_schema(self.client, HTTP_HOST=f"{name}.example")["host"] for name in ("one", "two")]
        self.assertEqual(hosts, ["one.example", "two.example"])

    def test_has_every_route_and_method_of_the_api(self):
        published = {label for label, _ in operations_of(self.schema)}
        self.assertEqual(published, set(implemented_operations()))

    def test_every_operation_says_what_it_is(self):
        operation_ids = [operation["operationId"] for _, operation in operations_of(self.schema)]
        self.assertCountEqual(operation_ids, set(operation_ids))
        tags = {tag["name"] for tag in self.schema["tags"]}
        for label, operation in operations_of(self.schema):
            with self.subTest(label):
                self.assertTrue(operation["summary"] and operation["description"])
                self.assertLessEqual(set(operation["tags"]), tags)

    def test_every_parameter_says_what_it_is(self):
        for label, operation in operations_of(self.schema):
            for parameter in operation["parameters"]:
                with self.subTest(label, parameter=parameter["name"]):
                    self.assertTrue(parameter["in"] == "body" or parameter.get("description"))

    def test_every_refusal_is_a_problem_and_names_its_codes(self):
        for label, operation in operations_of(self.schema):
            for status, response in operation["responses"].items():
                with self.subTest(label, status=status):
                    self.assertIn("X-Request-ID", response["headers"])
                    self.assertTrue(response["description"])
                    if int(status) >= 400:
                        self.assertEqual(response["schema"], {"$ref": "#/definitions/Problem"})
                        self.assertRegex(response["description"], r"^- `[a-z_]+`: \w")

    def test_refusals_carry_their_headers(self):
        for label, operation in operations_of(self.schema):
            for status, name in (("401", "WWW-Authenticate"), ("429", "Retry-After"), ("503", "Retry-After")):
                with self.subTest(label, status=status):
                    if status in operation["responses"]:
                        self.assertTrue(operation["responses"][status]["headers"][name]["x-required"])

    def test_what_needs_credentials_says_so(self):
        public = {label for label, operation in operations_of(self.schema) if operation.get("security") == []}
        for label, operation in operations_of(self.schema):
            with self.subTest(label):
                unauthenticated = "`not_authenticated`" in operation["responses"].get("401", {}).get("description", "")
                self.assertNotEqual(unauthenticated, label in public)
        self.assertIn("POST /auth/login/", public)
        self.assertNotIn("GET /auth/users/", public)
        self.assertEqual(self.schema["security"], [{"Token": []}])

    def test_every_code_of_a_domain_error_is_published_under_its_status(self):
        published = set()
        for _, operation in operations_of(self.schema):
            for status, response in operation["responses"].items():
                published |= {(int(status), code) for code in re.findall("`([a-z_]+)`", response["description"])}
        for name in ("accounts", "support", "tickets"):
            for error in vars(importlib.import_module(f"apps.{name}.errors")).values():
                if isinstance(error, type) and issubclass(error, APIException) and error.__module__.startswith("apps."):
                    with self.subTest(error.__name__):
                        self.assertIn((error.status_code, error.default_code), published)

    def test_examples_are_true_to_form(self):
        examples, validator = 0, jsonschema.validators.validator_for({})
        whole = json_schema_of(self.schema, {})
        validator.check_schema(whole)  # once, as it takes longer than all examples
        for label, operation in operations_of(self.schema):
            for status, response in operation["responses"].items():
                for example in response.get("examples", {}).values():
                    with self.subTest(label, status=status):
                        part = json_schema_of({"definitions": {}}, response["schema"])
                        validator.check_schema(part)
                        wrong = validator(part | whole).iter_errors(example)
                        self.assertEqual([error.message for error in wrong], [])  # an error itself cannot be sent
                        examples += 1
        self.assertGreater(examples, 10)

    def test_examples_show_no_field_that_does_not_exist(self):
        for label, operation in operations_of(self.schema):
            for response in operation["responses"].values():
                for example in response.get("examples", {}).values():
                    with self.subTest(label):
                        name = response["schema"].get("$ref", "").rpartition("/")[2]
                        known = self.schema["definitions"].get(name, {}).get("properties", {})
                        self.assertEqual(example.keys(), known.keys())

    def test_answers_always_have_all_of_their_fields(self):
        definitions = self.schema["definitions"]
        for name in ("Ticket", "TicketDetail", "TicketStatus", "Progress", "Image", "ImageError", "User", "Session"):
            with self.subTest(name):
                not_for_guests = definitions[name].get("x-not-for-guests", [])
                required = [*definitions[name]["required"], *not_for_guests]
                self.assertCountEqual(required, definitions[name]["properties"])

    def test_parts_of_an_input_are_described_as_input(self):
        definitions = self.schema["definitions"]
        slot = definitions["NewSlot"]
        self.assertEqual(slot["required"], ["name"])
        self.assertEqual(slot["properties"]["instructions"]["maxLength"], 2000)
        self.assertRegex("front", slot["properties"]["name"]["pattern"])
        self.assertEqual(definitions["NewTicket"]["properties"]["metadata"]["additionalProperties"]["maxLength"], 500)

    def test_parts_of_an_answer_have_no_bounds_of_what_may_be_sent(self):
        definitions = self.schema["definitions"]
        self.assertCountEqual(definitions["Slot"]["required"], definitions["Slot"]["properties"])
        texts = definitions["Ticket"]["properties"]["metadata"]["additionalProperties"]
        self.assertEqual(texts, {"type": "string"})
        self.assertEqual(definitions["TicketStatus"]["properties"]["missing"]["items"], {"type": "string"})

    def test_list_filters_have_their_type(self):
        parameters = {each["name"]: each for each in self.schema["paths"]["/tickets/"]["get"]["parameters"]}
        filters = "status owner reference created_after created_before search ordering page page_size cursor"
        self.assertCountEqual(parameters, filters.split())
        self.assertEqual(parameters["status"]["collectionFormat"], "multi")
        self.assertEqual(parameters["status"]["items"]["enum"], TicketStatus.values)
        self.assertIn("-created_at", parameters["ordering"]["items"]["enum"])
        self.assertEqual((parameters["page_size"]["minimum"], parameters["page_size"]["maximum"]), (1, MAX_PAGE_SIZE))
        may_be_empty = {name for name, each in parameters.items() if each.get("allowEmptyValue")}
        self.assertEqual(
            may_be_empty, {"cursor", "ordering", "owner", "page", "page_size", "reference", "search", "status"}
        )

    def test_a_filter_of_unknown_kind_is_no_string_by_default(self):
        with self.assertRaises(NotImplementedError):
            form_of(object())

    def test_moments_are_those_the_filter_takes(self):
        parameters = self.schema["paths"]["/tickets/"]["get"]["parameters"]
        pattern = next(each["pattern"] for each in parameters if each["name"] == "created_after")
        days = [(2026, *day) for day in product(range(14), range(33))] + [(year, 2, 29) for year in range(1968, 3003)]
        for year, month, day in days:
            exists = 1970 <= year <= 2999 and 1 <= month <= 12 and 1 <= day <= monthrange(year, month)[1]
            text = f"{year}-{month:02}-{day:02}"
            self.assertEqual(bool(re.search(pattern, text)), exists, text)
            self.assertEqual(taken_as_moment(text), date(year, month, day) if exists else None, text)


def taken_as_moment(text: str):
    try:
        return MomentField().clean(text)
    except ValidationError:
        return None


def implemented_operations():
    """`GET /tickets/{ticket_id}/` and so on, from the routes and their views."""
    resolver = get_resolver()
    for route in routes_of(resolver.url_patterns):
        path, view = route
        if path.startswith("api/v1/"):
            for method in ("get", "head", "post", "put", "patch", "delete"):
                if hasattr(view.cls, method):
                    yield f"{method.upper()} /{path.removeprefix('api/v1/')}"


def routes_of(routes, prefix=""):
    for route in routes:
        path = prefix + re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", str(route.pattern))
        if hasattr(route, "url_patterns"):
            yield from routes_of(route.url_patterns, path)
        elif hasattr(route.callback, "cls"):
            yield path, route.callback


class AnswersFitTheSchemaTests(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.schema = read_schema(self.client)
        self.user = make_user()
        self.client = client_for(self.user)

    def assert_fits(self, response, label: str):
        method, path = label.split()
        operation = self.schema["paths"][path][method.lower()]
        self.assertIn(str(response.status_code), operation["responses"], response.content)
        described = operation["responses"][str(response.status_code)]
        jsonschema.validate(response.json(), json_schema_of(self.schema, described["schema"]))
        for name, header in described["headers"].items():
            self.assertTrue(name in response or not header.get("x-required"), name)

    def test_ticket(self):
        opened = self.client.post("/api/v1/tickets/", {"num_images": 2})
        self.assert_fits(opened, "POST /tickets/")
        self.assert_fits(self.client.get(opened.json()["status_url"]), "GET /tickets/{ticket_id}/status/")

    def test_ticket_with_images(self):
        ticket = make_ticket(self.user)
        make_image(ticket)
        make_image(ticket, position=2, status="failed", error_code="bytes_lost", error_detail="They are gone.")
        self.assert_fits(self.client.get(f"/api/v1/tickets/{ticket.pk}/"), "GET /tickets/{ticket_id}/")

    def test_both_kinds_of_pages(self):
        make_ticket(self.user)
        for query in ("page_size=1", "cursor=", "page=7", "status=nonsense"):
            with self.subTest(query):
                self.assert_fits(self.client.get(f"/api/v1/tickets/?{query}"), "GET /tickets/")

    def test_posted_photo(self):
        url = f"/api/v1/tickets/{make_ticket(self.user).pk}/images/"
        accepted = self.client.generic("POST", url, jpeg_bytes(), content_type="image/jpeg")
        self.assert_fits(accepted, "POST /tickets/{ticket_id}/images/")
        self.assertEqual(accepted.status_code, 202)
        refused = self.client.generic("POST", url, b"no photo", content_type="image/jpeg")
        self.assert_fits(refused, "POST /tickets/{ticket_id}/images/")

    def test_user_who_has_chosen_no_language(self):
        self.assert_fits(self.client.get("/api/v1/auth/users/me/"), "GET /auth/users/me/")


class PagesTests(SimpleTestCase):
    def setUp(self):
        self.client = client_for()

    def test_pages_are_about_hopla(self):
        for path in ("/documentation/", "/redoc/"):
            with self.subTest(path):
                self.assertRegex(self.client.get(path).content.decode(), r"<title>hopla\b")

    def test_pages_load_nothing_from_elsewhere(self):
        for path in ("/documentation/", "/redoc/"):
            with self.subTest(path):
                response = self.client.get(path)
                loaded = re.findall(r'(?:src|href)="([^"]+)"', response.content.decode())
                self.assertGreater(len(loaded), 3)
                self.assertEqual([url for url in loaded if not url.startswith("/static/")], [])
                policy = response["Content-Security-Policy"]
                self.assertIn("default-src 'none'", policy)
                self.assertNotRegex(policy, r"https?:|\*|unsafe-eval|script-src[^;]*unsafe")

    @override_settings(
        DEBUG=False,
        STORAGES={
            "default": {"BACKEND": "django.core.files.storage.InMemoryStorage"},
            "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
        },
    )
    def test_assets_are_served_in_production(self):
        with tempfile.TemporaryDirectory() as folder, override_settings(STATIC_ROOT=folder):
            call_command("collectstatic", interactive=False, verbosity=0, ignore_patterns=NOT_OF_OUR_PAGES)
            with override_settings(WHITENOISE_USE_FINDERS=False, WHITENOISE_AUTOREFRESH=False):
                client = client_for()
                for path in ("/documentation/", "/redoc/"):
                    for url in re.findall(r'(?:src|href)="([^"]+)"', client.get(path).content.decode()):
                        with self.subTest(path, url=url):
                            response = client.get(url)
                            self.assertEqual(response.status_code, 200)
                            self.assertIn("immutable", response["Cache-Control"])
