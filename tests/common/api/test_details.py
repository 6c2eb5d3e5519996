"""Every response is in the reader's language: each detail is compared with its English."""

import importlib.util
import io
from pathlib import Path

from babel.messages.extract import extract
from django.contrib.auth.password_validation import get_default_password_validators
from django.core.exceptions import ValidationError
from django.test import RequestFactory, SimpleTestCase
from django.utils.functional import Promise
from django.utils.translation import gettext, ngettext, override, pgettext
from rest_framework import serializers
from rest_framework.exceptions import APIException

from apps.accounts.models import User
from apps.common.http import problems
from apps.support.filters import SupportTicketFilter
from apps.tickets.api.filters import TicketFilter
from script.messages import KEYWORDS
from tests.case import ApiTestCase
from tests.makers import client_for, jpeg_bytes, make_ticket, make_user
from tests.support.makers import make_support_ticket

LANGUAGES = ("es", "pl")

# Modules of packages from which a detail may come, or an error of a field.
PACKAGES = (
    *("rest_framework.authentication", "rest_framework.exceptions", "rest_framework.fields"),
    *("rest_framework.pagination", "rest_framework.relations", "rest_framework.serializers"),
    *("rest_framework.throttling", "rest_framework.validators", "rest_framework.views"),
    *("rest_framework_simplejwt.authentication", "rest_framework_simplejwt.backends"),
    *("rest_framework_simplejwt.exceptions", "rest_framework_simplejwt.serializers"),
    *("rest_framework_simplejwt.tokens", "rest_framework_simplejwt.token_blacklist.models"),
    "knox.auth",
    *("django_filters.fields", "django_filters.filterset", "django_filters.utils", "django_filters.filters"),
    *("django.core.paginator", "django.core.validators", "django.forms.fields", "django.forms.models"),
    *("django.contrib.auth.password_validation", "django.contrib.auth.validators", "django.db.models.fields"),
)
SAME_IN_OTHER_LANGUAGES = {
    *("IPv4", "IPv6", "URL", "…"),
    # Names that the admin shows, and messages for the operator who configures hopla.
    *("Blacklisted Token", "Blacklisted Tokens", "Blacklisted token for %(user)s"),
    *("Outstanding Token", "Outstanding Tokens", "Token for %(user)s (%(jti)s)"),
    *("Unrecognized algorithm type '{}'", "You must have cryptography installed to use {}."),
    "Unrecognized type '{}', 'leeway' must be of type int, float or timedelta.",
    "Cannot create token with no type or lifetime",
    # The schema's words, which are English.
    "A page number within the paginated result set.",
    "Number of results to return per page.",
    "The initial index from which to return the results.",
    "The pagination cursor value.",
    # Of filters that no list has.
    *("exclude", "is null"),
}


def in_each_language(say) -> dict[str, str]:
    """What `say()` returns, by language."""
    said = {}
    for language in ("en", *LANGUAGES):
        with override(language):
            said[language] = str(say())
    return said


def messages_of(module: str):
    """(English, a function that says it in the language of the moment) of each message in a module's source."""
    source = Path(importlib.util.find_spec(module).origin).read_bytes()
    for _, message, _, context in extract("python", io.BytesIO(source), KEYWORDS):
        if context:
            text = message if isinstance(message, str) else message[-1]
            yield text, lambda text=text, context=context: pgettext(context, text)
        elif isinstance(message, tuple):
            yield message[1], lambda message=message: ngettext(*message[:2], 5)
        else:
            yield message, lambda message=message: gettext(message)


def subclasses_of(kind: type) -> set[type]:
    return {kind}.union(*(subclasses_of(each) for each in kind.__subclasses__()))


def texts_of(field):
    """(where, text) of each message of a serializer's or a form's field, and of its validators."""
    yield from field.error_messages.items()
    for validator in field.validators:
        yield type(validator).__name__, getattr(validator, "message", "")


class EveryDetailTests(SimpleTestCase):
    def assert_translated(self, say, *, where: str):
        said = in_each_language(say)
        for language in LANGUAGES:
            if said["en"] and said["en"] not in SAME_IN_OTHER_LANGUAGES:
                with self.subTest(where, language=language):
                    self.assertNotEqual(said[language], said["en"])

    def test_messages_of_packages(self):
        found = 0
        for module in PACKAGES:
            for text, say in messages_of(module):
                self.assert_translated(say, where=f"{module}: {text}")
                found += 1
        self.assertGreater(found, 150)

    def test_every_exception_of_the_api(self):
        for name in ("accounts.errors", "support.errors", "tickets.errors"):
            importlib.import_module(f"apps.{name}")
        errors = [each for each in subclasses_of(APIException) if not each.__module__.startswith("tests.")]
        self.assertGreater(len(errors), 30)
        for error in errors:
            if getattr(error, "default_detail", None) is not None:
                self.assert_translated(lambda error=error: error.default_detail, where=error.__name__)

    def test_problems(self):
        for status, title in problems.TITLES.items():
            self.assert_translated(lambda title=title: title, where=str(status))
            self.assert_translated(lambda status=status: problems.default_detail(status), where=str(status))

    def test_every_field_of_every_serializer(self):
        found = 0
        for name in ("accounts", "support", "tickets.api"):
            module = importlib.import_module(f"apps.{name}.serializers")
            for serializer in vars(module).values():
                if not (isinstance(serializer, type) and issubclass(serializer, serializers.Serializer)):
                    continue
                if issubclass(serializer, serializers.ModelSerializer) and not hasattr(serializer, "Meta"):
                    continue  # a base of others
                said = {language: list(self.texts_in(language, serializer)) for language in ("en", *LANGUAGES)}
                for language in LANGUAGES:
                    for (where, english), (_, other) in zip(said["en"], said[language], strict=True):
                        with self.subTest(f"{serializer.__name__}.{where}", language=language):
                            self.assertTrue(other != english or not english)
                        found += 1
        self.assertGreater(found, 200)

    @staticmethod
    def texts_in(language: str, serializer: type):
        """Of an instance made in this language, as each request makes one: REST framework keeps what it has said."""
        with override(language):
            made = serializer(context={"request": RequestFactory().get("/")})
            for field in [made, *made.fields.values()]:
                for where, text in texts_of(field):
                    yield f"{field.field_name}: {where}", str(text)

    def test_every_field_of_every_filter(self):
        for filterset in (TicketFilter, SupportTicketFilter):
            for name, field in filterset().form.fields.items():
                for where, text in texts_of(field):
                    self.assert_translated(lambda text=text: text, where=f"{filterset.__name__}.{name}: {where}")

    def test_passwords(self):
        def refused(validator, password):
            user = User(username="jonathan", email="jonathan@example.com")
            try:
                validator.validate(password, user)
            except ValidationError as exc:
                return exc.messages[0]

        for validator in get_default_password_validators():
            said = [refused(validator, password) for password in ("1", "password", "jonathan1")]
            self.assertTrue(any(said), type(validator).__name__)
            for password in ("1", "password", "jonathan1"):
                if refused(validator, password):
                    label = f"{type(validator).__name__}: {password}"
                    self.assert_translated(lambda v=validator, p=password: refused(v, p), where=label)

    def test_constants_are_no_plain_text(self):
        """A detail that was looked up when its module was imported stays in one language."""
        for error in subclasses_of(APIException):
            if error.__module__.startswith(("apps.", "hopla.")) and "default_detail" in vars(error):
                self.assertIsInstance(error.default_detail, Promise, error.__name__)


class RefusedRequestsTests(ApiTestCase):
    """Details that no class defines: the responses to requests that are wrong in many ways."""

    def setUp(self):
        super().setUp()
        self.user = make_user(is_staff=True)
        self.client = client_for(self.user)
        self.ticket = make_ticket(self.user, num_images=1)
        self.desk = make_support_ticket(self.user)

    def requests(self):
        """(label, client, method, path, body, Content-Type, headers) of each."""
        anyone, api = client_for(), "/api/v1"
        for authorization in ("", "Token", "Token a b", "Token abc", "Bearer abc", "Bearer", "Bearer a b"):
            yield anyone, "GET", f"{api}/tickets/", b"", "", {"Authorization": authorization}
        yield client_for(make_user()), "GET", f"{api}/auth/users/", b"", "", {}
        for method, path in (
            *(("DELETE", "tickets/"), ("GET", "nothing/"), ("GET", "tickets/0/"), ("POST", "tickets")),
            *(("GET", "tickets/?page=9"), ("GET", "tickets/?page=x"), ("GET", "tickets/?stauts=x")),
            *(
                ("GET", "tickets/?cursor=x"),
                ("GET", "tickets/?cursor=&ordering=status"),
                ("GET", "tickets/?ordering=x"),
            ),
            *(("GET", "tickets/?owner=x"), ("GET", "tickets/?owner=0"), ("GET", "tickets/?status=x")),
            *(
                ("GET", "tickets/?created_after=x"),
                ("GET", f"tickets/?search={'x' * 201}"),
                ("GET", "tickets/?search=%00"),
            ),
            *(("GET", "auth/users/?search=%00"), ("GET", "support/tickets/?ticket=x")),
        ):
            yield self.client, method, f"{api}/{path}", b"", "", {}
        for path, body in (
            *(("auth/login/", b"{}"), ("auth/login/", b'{"username": "x", "password": "x"}')),
            *(
                ("auth/jwt/refresh/", b'{"refresh": "x"}'),
                ("auth/jwt/verify/", b'{"token": "x"}'),
                ("auth/jwt/verify/", b"{}"),
            ),
            ("auth/register/", b'{"username": "a b", "email": "x", "password": "short", "phone": "1"}'),
            (
                "auth/register/",
                f'{{"username": "{self.user}", "email": "n@example.com", "password": "{"x9" * 9}"}}'.encode(),
            ),
            ("auth/users/set_password/", b'{"current_password": "x", "new_password": "correct-horse-9"}'),
            ("auth/users/reset_password/", b'{"email": "x"}'),
            ("auth/users/reset_password_confirm/", b'{"uid": "x", "token": "x", "new_password": "correct-horse-9"}'),
        ):
            yield (
                self.client if "set_password" in path else anyone,
                "POST",
                f"{api}/{path}",
                body,
                "application/json",
                {},
            )
        for body in (
            *(
                b"{",
                b"[]",
                b"7",
                b"null",
                b'{"a": NaN}',
                b'{"a": 1, "a": 2}',
                b"\xff",
                b"1" * 9999,
                b"[" * 99_999,
                b"{}",
            ),
            *(b'{"num_images": 0}', b'{"num_images": "7"}', b'{"num_images": 9999999}', b'{"num_images": null}'),
            b'{"num_images": 1, "title": 7, "description": "\\u0000", "expires_at": "x"}',
            b'{"num_images": 1, "title": "\\ud800", "expires_at": "2020-01-01T00:00:00Z"}',
            f'{{"num_images": 1, "title": "{"x" * 201}"}}'.encode(),
            b'"' + b"x" * 1024 * 1024 + b'"',
        ):
            yield self.client, "POST", f"{api}/tickets/", body, "application/json", {}
        yield self.client, "POST", f"{api}/tickets/", b"{}", "text/xml", {}
        yield self.client, "POST", f"{api}/tickets/", b"{}", "application/json; charset=base64", {}
        yield self.client, "POST", f"{api}/tickets/", b'{"num_images": 1}', "application/json", {"Idempotency-Key": "ż"}
        yield self.client, "POST", f"{api}/support/tickets/", b'{"ticket": 0, "title": ""}', "application/json", {}
        yield self.client, "POST", f"{api}/support/tickets/", b'{"ticket": 1234567}', "application/json", {}
        yield self.client, "PATCH", f"{api}/support/tickets/{self.desk.pk}/", b'{"status": "x"}', "application/json", {}
        yield self.client, "PATCH", f"{api}/support/tickets/{self.desk.pk}/", b'{"title": "x"}', "application/json", {}
        images = f"{api}/tickets/{self.ticket.pk}/images/"
        for body, content_type, headers in (
            *(
                (b"no photo", "image/jpeg", {}),
                (b"", "image/jpeg", {}),
                (b"x", "text/plain", {}),
                (b"{}", "application/json", {}),
            ),
            *((jpeg_bytes(), "image/jpeg", {"Content-Digest": name}) for name in ("x", f"sha-256=:{'A' * 43}=:")),
        ):
            yield self.client, "POST", images, body, content_type, headers

    def test_details_of_refused_requests(self):
        for client, method, path, body, content_type, headers in self.requests():
            said = {}
            for language in ("en", *LANGUAGES):
                spoken = {"Accept-Language": language} | {name: value for name, value in headers.items() if value}
                response = client.generic(method, path, body, content_type, headers=spoken)
                self.assertGreaterEqual(response.status_code, 400, (method, path, body[:80]))
                problem = response.json()
                said[language] = [
                    *(problem["title"], problem["detail"]),
                    *(error["detail"] for error in problem.get("errors", [])),
                ]
            for language in LANGUAGES:
                with self.subTest(method, path=path, body=body[:80], headers=headers, language=language):
                    self.assertEqual(len(said[language]), len(said["en"]))
                    for english, other in zip(said["en"], said[language], strict=True):
                        self.assertNotEqual(other, english)
