"""That the Postman collection is the one its script makes, and says nothing that the published schema does not."""

import json
import re
from collections import Counter
from dataclasses import dataclass

from django.conf import settings
from django.test import SimpleTestCase, TestCase
from django.urls import resolve

from apps.tickets.formats import read_header
from script.make_postman import COLLECTION_FILE, ENVIRONMENT_FILE, SAMPLE_FILE, as_text
from script.postman.collection import COLLECTION, ENVIRONMENT
from script.run_tests import dotenv_values

COMMITTED = json.loads(COLLECTION_FILE.read_text())
VARIABLE = re.compile(r"{{(\w+)}}")
SET_VARIABLE = re.compile(r'pm\.(?:collectionV|v)ariables\.set\("(\w+)"')
READ_VARIABLE = re.compile(r'pm\.(?:collectionV|v)ariables\.get\("(\w+)"\)')

# Requests for what the schema does not offer, by their names.
NOT_IN_SCHEMA = {"An endpoint that there is not", "Change a ticket", "Delete a ticket"}
NOT_IN_SCHEMA |= {"Hand it on: the keys to verify it with"}  # which is outside /api/
# Operations that no request shows, with the reason.
NOT_SHOWN: dict[str, str] = {}


@dataclass(frozen=True)
class Sent:
    """One request of the committed file."""

    name: str
    method: str
    path: str
    request: dict
    before: str
    after: str

    @property
    def call(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def expected_status(self) -> str | None:
        """None where a script of its own decides."""
        found = re.match(r'pm\.test\("its status is (\d+)"', self.after)
        return found and found[1]

    @property
    def json_fields(self) -> list[str]:
        body = self.request.get("body", {})
        if body.get("options", {}).get("raw", {}).get("language") != "json":
            return []
        return list(json.loads(re.sub(r'(?<!["\w-]){{\w+}}(?!["\w-])', "1", body["raw"])))


def script_of(item: dict, listen: str) -> str:
    return "\n".join("\n".join(event["script"]["exec"]) for event in item.get("event", []) if event["listen"] == listen)


def sent_requests():
    for folder in COMMITTED["item"]:
        for item in folder["item"]:
            yield Sent(
                name=item["name"],
                method=item["request"]["method"],
                path="/" + "/".join(item["request"]["url"]["path"]),
                request=item["request"],
                before=script_of(folder, "prerequest") + "\n" + script_of(item, "prerequest"),
                after=script_of(item, "test"),
            )


class CommittedFilesTests(SimpleTestCase):
    def test_files_are_what_the_script_makes(self):
        """When this fails: python -m script.make_postman"""
        self.assertEqual(COLLECTION_FILE.read_text(), as_text(COLLECTION))
        self.assertEqual(ENVIRONMENT_FILE.read_text(), as_text(ENVIRONMENT))

    def test_sample_photo_is_one(self):
        content = SAMPLE_FILE.read_bytes()
        header = read_header(lambda offset, length: content[offset : offset + length], size=len(content))
        self.assertEqual((header.format, header.width, header.height), ("jpeg", 32, 24))
        sources = {part["src"] for sent in sent_requests() for part in sent.request.get("body", {}).get("formdata", [])}
        self.assertEqual({settings.BASE_DIR / source for source in sources}, {SAMPLE_FILE})


class RunTests(SimpleTestCase):
    """What a run from top to bottom rests on."""

    def test_names_are_unique(self):
        """A request that repeats itself is found by its name."""
        counted = Counter(sent.name for sent in sent_requests())
        self.assertEqual([name for name, count in counted.items() if count > 1], [])

    def test_every_variable_is_set_before_it_is_used(self):
        known = {variable["key"] for variable in COMMITTED["variable"]}
        for sent in sent_requests():
            known |= set(SET_VARIABLE.findall(sent.before))
            used = set(VARIABLE.findall(json.dumps(sent.request))) | set(READ_VARIABLE.findall(sent.before))
            self.assertEqual(used - known, set(), sent.name)
            known |= set(SET_VARIABLE.findall(sent.after))
            self.assertEqual(set(READ_VARIABLE.findall(sent.after)) - known, set(), sent.name)

    def test_every_request_is_described_and_tested(self):
        for sent in sent_requests():
            self.assertGreaterEqual(len(sent.request["description"]), 10, sent.name)
            self.assertIn("test(", sent.after, sent.name)

    def test_default_limits_let_it_run_three_times_a_minute(self):
        # What is sent with credentials is counted by user, and every run has a user of its own.
        by_address = [sent for sent in sent_requests() if sent.request.get("auth") == {"type": "noauth"}]
        scopes = Counter(scope_of(sent.path) for sent in by_address if sent.method == "POST")
        defaults = dotenv_values(settings.BASE_DIR / ".env.example")
        for scope in ("login", "register"):
            amount, unit = defaults[f"THROTTLE_{scope.upper()}"].split("/")
            self.assertEqual(unit, "min")
            self.assertGreaterEqual(int(amount), 3 * scopes[scope], scope)
            self.assertGreater(scopes[scope], 0)


def scope_of(path: str) -> str | None:
    return getattr(resolve(VARIABLE.sub("1", path)).func.view_class, "throttle_scope", None)


class SchemaTests(TestCase):
    @classmethod
    def setUpTestData(cls):
        cls.schema = cls.client_class().get("/swagger.json").json()

    def operation_of(self, sent: Sent) -> str | None:
        """Its key in the schema, such as `GET /tickets/{ticket_id}/`; None when it is not there."""
        for path, operations in self.schema["paths"].items():
            pattern = re.sub(r"{\w+}", "[^/]+", self.schema["basePath"] + path)
            if re.fullmatch(pattern, sent.path) and sent.method.lower() in operations:
                return f"{sent.method} {path}"
        return None

    def described(self):
        """Each request with the key of its operation, the operation, and the parameters of that."""
        for sent in sent_requests():
            if sent.name in NOT_IN_SCHEMA:
                continue
            key = self.operation_of(sent)
            method, path = key.split(" ")
            item = self.schema["paths"][path]
            operation = item[method.lower()]
            yield sent, key, operation, item.get("parameters", []) + operation.get("parameters", [])

    def test_every_request_is_in_the_schema(self):
        self.assertEqual({sent.name for sent in sent_requests() if not self.operation_of(sent)}, NOT_IN_SCHEMA)

    def test_every_operation_of_the_schema_is_shown(self):
        """When this fails for a new endpoint: add a request to script/postman, or a reason to NOT_SHOWN."""
        offered = {
            f"{method.upper()} {path}"
            for path, item in self.schema["paths"].items()
            for method in item
            if method != "parameters"
        }
        shown = {self.operation_of(sent) for sent in sent_requests()}
        self.assertEqual(offered - shown, set(NOT_SHOWN))

    def test_every_field_of_a_body_is_in_the_schema(self):
        for sent, _, _, parameters in self.described():
            [body] = [parameter["schema"] for parameter in parameters if parameter["in"] == "body"] or [{}]
            if "$ref" in body:
                body = self.schema["definitions"][body["$ref"].rpartition("/")[2]]
            if "not_changeable" not in sent.after:  # or it is in responses alone
                self.assertEqual(set(sent.json_fields) - body.get("properties", {}).keys(), set(), sent.name)

    def test_every_query_parameter_is_in_the_schema(self):
        for sent, _, _, parameters in self.described():
            offered = {parameter["name"] for parameter in parameters if parameter["in"] == "query"}
            used = {parameter["key"] for parameter in sent.request["url"].get("query", [])}
            self.assertEqual(used - offered, set(), sent.name)

    def test_every_expected_status_is_in_the_schema(self):
        for sent, _, operation, _ in self.described():
            if sent.expected_status:
                self.assertIn(sent.expected_status, operation["responses"], sent.name)
