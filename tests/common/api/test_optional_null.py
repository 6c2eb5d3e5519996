"""null for optional fields, in every operation of tickets and of support that reads one."""

import jsonschema

from tests.case import ApiTestCase
from tests.common.api.test_schema import json_schema_of, operations_of, read_schema
from tests.makers import client_for, make_user

TAGS = {"tickets", "support"}


class OptionalNullTests(ApiTestCase):
    def bodies(self):
        """(label, schema of its body) of each operation that reads JSON."""
        schema = read_schema(self.client)
        for label, operation in operations_of(schema):
            for parameter in operation["parameters"]:
                if parameter["in"] == "body" and TAGS & set(operation["tags"]):
                    yield label, json_schema_of(schema, parameter["schema"])

    def test_schema_allows_null_exactly_where_a_field_may_be_left_out(self):
        tried = 0
        for label, schema in self.bodies():
            definition = schema["definitions"][schema["$ref"].rpartition("/")[2]]
            for name, field in definition["properties"].items():
                with self.subTest(label, name=name):
                    takes_null = jsonschema.Draft4Validator(field).is_valid(None)
                    self.assertEqual(takes_null, name not in definition.get("required", []))
                    tried += 1
        self.assertGreater(tried, 7)

    def test_ticket_at_the_desk_about_no_upload_ticket(self):
        client = client_for(make_user())
        opened = client.post("/api/v1/support/tickets/", {"title": "Help", "body_text": "Please", "ticket": None})
        self.assertEqual((opened.status_code, opened.json()["ticket"]), (201, None))

    def test_null_for_what_is_required_is_named(self):
        client = client_for(make_user())
        self.assert_invalid(client.post("/api/v1/tickets/", {"num_images": None}), ("num_images", "required"))
        opened = client.post("/api/v1/support/tickets/", {"title": None, "body_text": None, "ticket": None})
        self.assert_invalid(opened, ("title", "null"), ("body_text", "null"))
