"""What must not be told: passwords, and which accounts exist."""

from django.contrib.auth.hashers import MD5PasswordHasher
from django.core import mail
from django.test import override_settings
from rq import SimpleWorker

from apps.accounts.models import User
from tests.case import ApiTestCase, default_queue
from tests.makers import PASSWORD, make_user

AUTH = "/api/v1/auth/"
NEW_PASSWORD = "another-horse-battery"
WRONG_PASSWORD = "wrong-horse-battery"


class CountingHasher(MD5PasswordHasher):
    """Stands for the slow one: an answer's time is told by how often it is asked."""

    hashes = 0

    def encode(self, password, salt):
        type(self).hashes += 1
        return super().encode(password, salt)


@override_settings(PASSWORD_HASHERS=[f"{__name__}.CountingHasher"])
class EqualWorkTests(ApiTestCase):
    def setUp(self):
        super().setUp()
        make_user("ana", email="ana@example.com")
        make_user("gone", is_active=False)
        make_user("nothing", password=None)

    def test_each_refused_log_in_costs_one_hash_and_one_query(self):
        for path in ("login/", "jwt/create/"):
            for fields in (
                {"username": "ana"},
                {"email": "ana@example.com"},
                {"username": "nobody"},
                {"email": "nobody@example.com"},
                {"username": "gone"},
                {"username": "nothing"},
            ):
                with self.subTest(path=path, **fields):
                    CountingHasher.hashes = 0
                    with self.assertNumQueries(1):
                        response = self.client.post(AUTH + path, {"password": WRONG_PASSWORD} | fields)
                    self.assert_unauthenticated(response, code="invalid_credentials")
                    self.assertEqual(CountingHasher.hashes, 1)

    def test_right_password_of_an_inactive_user_costs_the_same(self):
        CountingHasher.hashes = 0
        with self.assertNumQueries(1):
            response = self.client.post(f"{AUTH}login/", {"username": "gone", "password": PASSWORD})
        self.assert_unauthenticated(response, code="invalid_credentials")
        self.assertEqual(CountingHasher.hashes, 1)


class PasswordsAreNotToldTests(ApiTestCase):
    def live(self) -> list:
        """Everything one does with a password, well and badly. Answers the responses."""
        post, responses = self.client.post, []
        ana = {"username": "ana", "email": "ana@example.com"}
        responses.append(post(f"{AUTH}register/", ana | {"password": PASSWORD}))
        responses.append(post(f"{AUTH}register/", ana | {"password": PASSWORD}))
        responses.append(post(f"{AUTH}users/", {"email": "eva@example.com", "password": PASSWORD}))
        responses.append(post(f"{AUTH}users/", {"email": PASSWORD, "password": PASSWORD, "phone": 5}))
        for path in ("login/", "jwt/create/"):
            responses.append(post(AUTH + path, {"username": "ana", "password": PASSWORD}))
            responses.append(post(AUTH + path, {"username": "ana", "password": WRONG_PASSWORD}))
            responses.append(post(AUTH + path, {"username": "ana", "password": [WRONG_PASSWORD]}))
        self.client.credentials(HTTP_AUTHORIZATION=f"Token {responses[0].json()['token']}")
        for current, new in ((WRONG_PASSWORD, NEW_PASSWORD), (PASSWORD, "short"), (PASSWORD, NEW_PASSWORD)):
            change = {"current_password": current, "new_password": new}
            responses.append(post(f"{AUTH}users/set_password/", change))
        responses.append(self.client.get(f"{AUTH}users/me/"))
        responses.append(post(f"{AUTH}users/reset_password/", {"email": "ana@example.com"}))
        SimpleWorker([default_queue()], connection=default_queue().connection).work(burst=True)
        confirm = {"uid": "x", "token": "x-y", "new_password": PASSWORD}
        responses.append(post(f"{AUTH}users/reset_password_confirm/", confirm))
        return responses

    def assert_untold(self, text: str):
        for secret in (PASSWORD, NEW_PASSWORD, WRONG_PASSWORD, *self.hashes):
            self.assertNotIn(secret, text)

    def test_in_no_answer_no_log_line_and_no_mail(self):
        self.hashes = []
        with self.assertLogs(level="DEBUG") as logs:
            responses = self.live()
        self.hashes = list(User.objects.values_list("password", flat=True))

        self.assertEqual([response.status_code for response in responses].count(204), 2)
        for response in responses:
            self.assert_untold(response.content.decode())
        self.assertGreater(len(logs.records), 5)
        for record in logs.records:
            self.assert_untold(f"{record.getMessage()} {record.__dict__}")
        self.assertEqual(len(mail.outbox), 3)  # a verification of each of the two, and the reset
        for sent in mail.outbox:
            self.assert_untold(str(sent.message()))


class SchemaTests(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.schema = self.client.get("/swagger.json").json()

    def properties_of(self, schema: dict):
        """(name, property) of everything inside, definitions followed."""
        if "$ref" in schema:
            schema = self.schema["definitions"][schema["$ref"].rpartition("/")[2]]
        for name, inner in schema.get("properties", {}).items():
            yield name, inner
            yield from self.properties_of(inner)
        if "items" in schema:
            yield from self.properties_of(schema["items"])

    def operations(self):
        for path in self.schema["paths"].values():
            yield from (operation for method, operation in path.items() if method != "parameters")

    def test_no_answer_has_a_password(self):
        names = set()
        for operation in self.operations():
            for response in operation["responses"].values():
                names |= {name for name, _ in self.properties_of(response.get("schema", {}))}
        self.assertIn("username", names)
        self.assertEqual([name for name in names if "password" in name], [])

    def test_no_example_has_a_password(self):
        passwords = [
            inner
            for definition in self.schema["definitions"].values()
            for name, inner in self.properties_of(definition)
            if "password" in name
        ]
        self.assertGreaterEqual(len(passwords), 6)
        for inner in passwords:
            self.assertFalse(inner.keys() & {"example", "x-example", "default", "enum"}, inner)
