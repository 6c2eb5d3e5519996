import io
import logging
from urllib.parse import quote

from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.core.exceptions import ValidationError as DjangoValidationError
from django.db import InterfaceError, OperationalError
from django.http import Http404
from django.test import SimpleTestCase, override_settings
from django.urls import path
from psycopg_pool import PoolTimeout
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import OutOfMemoryError
from rest_framework.exceptions import APIException, ErrorDetail, ValidationError
from rest_framework.permissions import AllowAny
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.common.observability.logs import RequestIdFilter
from hopla.urls import urlpatterns as hoplas_urls
from tests.case import ApiTestCase, HoplaAssertions
from tests.makers import client_for, make_user

TICKETS = "/api/v1/tickets/"
SECRET = "postgres://hopla:secret@db"  # what an exception's text may hold


class OpenView(APIView):
    authentication_classes, permission_classes = [], [AllowAny]


class Raising(OpenView):
    error: Exception | None = None

    def get(self, request):
        raise self.error


class Echo(OpenView):
    def post(self, request):
        return Response(request.data)


def plain_view_that_crashes(request):
    raise ValueError(SECRET)


ERRORS = {
    "value": ValueError(SECRET),
    "operational": OperationalError(SECRET),
    "interface": InterfaceError(SECRET),
    "pool": PoolTimeout(SECRET),
    "redis": RedisConnectionError(SECRET),
    "redis-full": OutOfMemoryError(SECRET),
    "missing": Http404(SECRET),
    "denied": PermissionDenied(SECRET),
    "suspicious": SuspiciousOperation(SECRET),
    "sentences": APIException(["It rains.", "It is cold."]),
    "sentences-by-name": APIException({"sky": ["It rains."], "air": "It is cold."}),
    "djangos-own": DjangoValidationError([DjangoValidationError("At most %(most)d.", "most", {"most": 3}), "Blank."]),
    "djangos-own-by-field": DjangoValidationError({"name": DjangoValidationError("Blank.", "blank")}),
    "nested": ValidationError(
        {
            "slots": {0: [ErrorDetail("Too long.", "max_length")], 2: [ErrorDetail("Blank.", "blank")]},
            "owner": {"email": [ErrorDetail("No address.", "invalid")]},
            "rows": [{}, {"name": [ErrorDetail("Blank.", "blank")]}],
            "non_field_errors": [ErrorDetail("Do not fit.", "mismatch")],
        }
    ),
    "long": ValidationError({"status": [ErrorDetail(f'"{"x" * 300_000}" is not a choice.', "invalid_choice")]}),
    "named": ValidationError({"x" * 300_000: [ErrorDetail("This is not a choice.", "invalid_choice")]}),
    "many": ValidationError({str(n): [ErrorDetail("This is not a choice.", "unknown")] for n in range(50_000)}),
}
urlpatterns = [
    *(path(f"api/v1/{name}/", Raising.as_view(error=error)) for name, error in ERRORS.items()),
    path("api/v1/echo/", Echo.as_view()),
    path("api/v1/plain/", plain_view_that_crashes),
    *hoplas_urls,
]


class ProblemTestCase(HoplaAssertions, SimpleTestCase):
    pass


class NoSuchPathTests(ProblemTestCase):
    def test_unknown_path(self):
        for debug in (False, True):
            for url in ("/api/", "/api/v1/", "/api/v2/tickets/", "/api/v1/nothing/", "/api/v1/tickets/x/", "/api/%ff/"):
                for method in ("get", "post", "delete"):
                    with self.subTest(url=url, method=method, debug=debug), override_settings(DEBUG=debug):
                        self.assert_problem(getattr(self.client, method)(url), 404, "not_found")

    def test_missing_final_slash_is_pointed_out(self):
        for debug in (False, True):
            for method in ("get", "post", "put"):
                with self.subTest(method=method, debug=debug), override_settings(DEBUG=debug):
                    response = getattr(self.client, method)("/api/v1/tickets", {"num_images": 1})
                    detail = self.assert_problem(response, 404, "not_found")["detail"]
                    self.assertIn("/api/v1/tickets/", detail)

    def test_no_slash_is_pointed_out_where_none_would_help(self):
        detail = self.assert_problem(self.client.get("/api/v1/nothing"), 404, "not_found")["detail"]

        self.assertNotIn("slash", detail)

    def test_paths_outside_the_api_stay_pages(self):
        self.assertNotIn("json", self.client.get("/nothing/")["Content-Type"])


class HostTests(ProblemTestCase):
    def test_host_that_is_not_ours(self):
        for debug in (False, True):
            with self.subTest(debug=debug), override_settings(DEBUG=debug, ALLOWED_HOSTS=["testserver"]):
                response = self.client.get(TICKETS, HTTP_HOST="evil.example")
                self.assert_problem(response, 400, "bad_request")
                self.assertNotIn("evil", response.content.decode())


@override_settings(ROOT_URLCONF=__name__)
class BrokenInputTests(ProblemTestCase):
    def post(self, content: bytes, content_type="application/json"):
        return self.client.generic("POST", "/api/v1/echo/", content, content_type)

    def test_sound_body(self):
        self.assertEqual(self.post('{"a": "ż"}'.encode()).json(), {"a": "ż"})

    def test_body_as_clients_write_it(self):
        for content, content_type in (
            ('{"a": "ż"}'.encode("utf-8-sig"), "application/json"),
            ('{"a": "ż"}'.encode(), "application/json; charset=utf-8"),
            ('{"a": "ż"}'.encode(), 'APPLICATION/JSON;charset="UTF-8"'),
            ('{"a": "ż"}'.encode(), "application/json; charset=nonsense"),
            ('{"a": "ż"}'.encode(), "application/json; odata.metadata=minimal"),
            ('{"a": "ż"}'.encode("utf-16"), "application/json; charset=utf-16"),
            ('{"a": "ż"}'.encode("iso-8859-2"), "application/json; charset=iso-8859-2"),
            ('{"a": "ż"}'.encode(), "text/json"),
            ('{"a": "ż"}'.encode(), "application/merge-patch+json; charset=utf-8"),
            ('{"a": "ż"}'.encode(), "application/problem+json"),
            (b'{"a": "\\u017c"}', "application/json"),
        ):
            with self.subTest(content_type, content=content):
                self.assertEqual(self.post(content, content_type).json(), {"a": "ż"})

    def test_charset_that_the_body_is_not_in(self):
        body = '{"a": "ż"}'.encode()
        for charset in ("utf-16", "ascii", "base64", "zlib", "rot13", "undefined"):
            with self.subTest(charset):
                self.assert_problem(self.post(body, f"application/json; charset={charset}"), 400, "parse_error")

    def test_name_that_is_there_twice(self):
        for content, name in (
            (b'{"num_images": 1, "num_images": 5}', "num_images"),
            (b'{"a": [{"b": 1, "c": 2, "b": 1}]}', "b"),
        ):
            with self.subTest(content):
                detail = self.assert_problem(self.post(content), 400, "parse_error")["detail"]
                self.assertIn(f'"{name}"', detail)

    def test_many_names_of_which_the_last_is_there_twice(self):
        content = "{" + "".join(f'"{number}":1,' for number in range(90_000)) + '"89999":1}'
        self.assert_problem(self.post(content.encode()), 400, "parse_error")

    def test_place_of_a_mistake_is_told(self):
        detail = self.assert_problem(self.post(b'{"a": 1,\n  b: 2}'), 400, "parse_error")["detail"]
        self.assertRegex(detail, r"\b2\b.*\b3\b")

    def test_body_that_is_no_json(self):
        for content in (
            *(b"{", b"{'a': 1}", b"\xff\xfe", b'{"a": NaN}', b'{"a": 1}}', b'"\x00', b"a=1", b'{"a": 1,}'),
            *(b'{"a": Infinity}', b'{"a": -Infinity}', b'{"a": 1e999}', b"\xef\xbb\xbf", b" "),
        ):
            with self.subTest(content):
                self.assert_problem(self.post(content), 400, "parse_error")

    def test_body_nested_too_deeply(self):
        for content in (b"[" * 100_000, b'{"a":' * 100_000, b"[" * 100_000 + b"]" * 100_000):
            with self.subTest(content[:6]):
                self.assert_problem(self.post(content), 400, "parse_error")

    def test_body_of_more_than_a_mebibyte(self):
        self.assert_problem(self.post(b'"' + b"x" * 1024 * 1024 + b'"'), 413, "request_too_large")

    def test_number_of_very_many_digits(self):
        self.assert_problem(self.post(b"1" * 10_000), 400, "parse_error")

    def test_body_in_another_language(self):
        for content_type in (
            *("text/xml", "application/x-www-form-urlencoded", "nonsense", "", "text/plain;charset=UTF-8"),
            *("multipart/form-data; boundary=x", "application/jsonp", "text/x+json", "application/json, text/json"),
            "application/" + "x" * 300 + "+json" * 300,
        ):
            with self.subTest(content_type):
                problem = self.assert_problem(self.post(b"<a/>", content_type), 415, "unsupported_media_type")
                self.assertIn("application/json", problem["detail"])

    def test_answer_repeats_little_of_what_was_sent(self):
        for url in ("/api/v1/long/", "/api/v1/many/", "/api/v1/named/"):
            with self.subTest(url):
                response = self.client.get(url)
                self.assert_problem(response, 400, "invalid")
                self.assertLess(len(response.content), 20_000)
                self.assertIn("is not a choice", response.content.decode())

    def test_errors_name_nested_fields_by_dots(self):
        self.assert_invalid(
            self.client.get("/api/v1/nested/"),
            ("slots.0", "max_length"),
            ("slots.2", "blank"),
            ("owner.email", "invalid"),
            ("rows.1.name", "blank"),
            (None, "mismatch"),
        )


@override_settings(ROOT_URLCONF=__name__)
class SentenceTests(ProblemTestCase):
    """Errors with several sentences, of any type, never reach a client as a Python list."""

    def test_several_are_one_detail(self):
        for name in ("sentences", "sentences-by-name"):
            with self.subTest(name):
                body = self.assert_problem(self.client.get(f"/api/v1/{name}/"), 500, "error")
                self.assertEqual(body["detail"], "It rains. It is cold.")

    def test_of_djangos_own_each_is_an_error(self):
        for name, errors in (
            ("djangos-own", [(None, "most", "At most 3."), (None, "invalid", "Blank.")]),
            ("djangos-own-by-field", [("name", "blank", "Blank.")]),
        ):
            with self.subTest(name):
                body = self.assert_problem(self.client.get(f"/api/v1/{name}/"), 400, "invalid")
                found = [(error["field"], error["code"], error["detail"]) for error in body["errors"]]
                self.assertEqual(found, errors)


@override_settings(ROOT_URLCONF=__name__)
class FailureTests(ProblemTestCase):
    def assert_told_nothing(self, response):
        for word in (SECRET, "Traceback", "psycopg", "redis", "ValueError"):
            self.assertNotIn(word, response.content.decode())

    def test_crash_of_a_view_tells_nothing_of_the_inside(self):
        for debug in (False, True):
            for url in ("/api/v1/value/", "/api/v1/plain/"):
                with self.subTest(url, debug=debug), override_settings(DEBUG=debug):
                    response = self.client.get(url)
                    self.assert_problem(response, 500, "internal_error")
                    self.assert_told_nothing(response)

    def test_crash_is_logged_under_the_id_the_client_was_told(self):
        for url in ("/api/v1/value/", "/api/v1/plain/"):
            with self.subTest(url):
                log = self.listen()
                response = self.client.get(url, HTTP_X_REQUEST_ID="quote-me")
                self.assertEqual(self.assert_problem(response, 500, "internal_error")["request_id"], "quote-me")
                self.assertIn("ERROR [quote-me]", log.getvalue())
                self.assertIn(f"ValueError: {SECRET}", log.getvalue())
                self.assertIn(url, log.getvalue())

    def listen(self) -> io.StringIO:
        handler = logging.StreamHandler(io.StringIO())
        handler.addFilter(RequestIdFilter())
        handler.setFormatter(logging.Formatter("%(levelname)s [%(request_id)s] %(message)s"))
        logging.getLogger().addHandler(handler)
        self.addCleanup(logging.getLogger().removeHandler, handler)
        return handler.stream

    def test_backing_service_that_is_away(self):
        for name in ("operational", "interface", "pool", "redis", "redis-full"):
            with self.subTest(name), self.assertLogs("apps.common.api.problems", "ERROR") as logs:
                response = self.client.get(f"/api/v1/{name}/")
                self.assert_problem(response, 503, "temporarily_unavailable")
                self.assertGreaterEqual(int(response["Retry-After"]), 1)
                self.assert_told_nothing(response)
                self.assertNotIn(SECRET, "".join(logs.output))

    def test_djangos_own_refusals(self):
        for name, status, code in (
            ("missing", 404, "not_found"),
            ("denied", 403, "permission_denied"),
            ("suspicious", 400, "parse_error"),
        ):
            with self.subTest(name):
                response = self.client.get(f"/api/v1/{name}/")
                self.assert_problem(response, status, code)
                self.assert_told_nothing(response)


class AcceptTests(ApiTestCase):
    def test_api_speaks_json_whatever_is_asked_for(self):
        client = client_for(make_user())
        for accept in ("text/html", "application/xml", "image/*", "nonsense", "", "application/problem+json"):
            with self.subTest(accept):
                self.assertEqual(client.get(TICKETS, HTTP_ACCEPT=accept)["Content-Type"], "application/json")
                self.assert_problem(client.get(f"{TICKETS}0/", HTTP_ACCEPT=accept), 404, "not_found")

    def test_format_is_no_parameter(self):
        self.assertEqual(client_for(make_user()).get("/api/v1/auth/users/me/?format=xml").status_code, 200)


class RequestIdTests(ProblemTestCase):
    URLS = ("/healthz", TICKETS, "/nothing/")

    def test_sane_id_of_the_client_comes_back(self):
        for request_id in ("abc", "a.b_c:d-9", "0" * 128, "1f0c6a34-8c1e-4d0a-9f3e-5b8f7b7f7b7f"):
            for url in self.URLS:
                with self.subTest(url, request_id=request_id):
                    self.assertEqual(self.client.get(url, HTTP_X_REQUEST_ID=request_id)["X-Request-ID"], request_id)

    def test_insane_id_is_replaced(self):
        for request_id in ("", " ", "a b", "x" * 129, "a\r\nSet-Cookie: b", "<script>", "ż", 'a"b', "a\n"):
            with self.subTest(request_id=request_id):
                answered = self.client.get(TICKETS, HTTP_X_REQUEST_ID=request_id)["X-Request-ID"]
                self.assertRegex(answered, r"\A[0-9a-f]{32}\Z")

    def test_each_request_has_one_of_its_own(self):
        answered = {self.client.get(url)["X-Request-ID"] for url in self.URLS for _ in range(2)}

        self.assertEqual(len(answered), 6)

    def test_lines_outside_a_request_have_none(self):
        self.client.get(TICKETS, HTTP_X_REQUEST_ID="over-now")
        record = logging.LogRecord("any", logging.INFO, "", 0, "message", (), None)

        RequestIdFilter().filter(record)

        self.assertEqual(record.request_id, "-")


class PathTests(ProblemTestCase):
    def test_paths_that_no_one_would_type(self):
        for url in (quote("/api/v1/tickets/1\n/"), "/api/v1/tickets/%00/", "/api//v1/tickets/", "/api/v1/../admin/"):
            with self.subTest(url):
                self.assert_problem(self.client.get(url), 404, "not_found")
