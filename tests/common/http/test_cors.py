"""Web clients on other origins, which CORS_ALLOWED_ORIGINS names."""

import re
from ast import literal_eval

from django.test import override_settings

from tests.case import ApiTestCase
from tests.common.api.test_schema import operations_of, read_schema
from tests.makers import client_for, jpeg_bytes, make_ticket, make_user
from tests.scripts.test_environment import error_of_settings, load_settings

APP = "https://app.example.com"
TICKETS = "/api/v1/tickets/"


def settings_with(origins: str) -> override_settings:
    _, made = load_settings({"CORS_ALLOWED_ORIGINS": origins})
    return override_settings(**{name: literal_eval(made[name]) for name in ("MIDDLEWARE", "CORS_ALLOWED_ORIGINS")})


class CorsTestCase(ApiTestCase):
    origins = f"{APP},http://localhost:3000"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.enterClassContext(settings_with(cls.origins))

    def preflight(self, path: str, *, method: str = "POST", headers: str = "authorization", origin: str = APP):
        return self.client.options(
            path,
            HTTP_ORIGIN=origin,
            HTTP_ACCESS_CONTROL_REQUEST_METHOD=method,
            HTTP_ACCESS_CONTROL_REQUEST_HEADERS=headers,
        )


class NamedOriginTests(CorsTestCase):
    def test_preflight_needs_no_credentials_on_any_route(self):
        schema = read_schema(self.client)
        for label, operation in operations_of(schema):
            method, path = label.split()
            if path.startswith("/cloudinary/"):
                continue  # sent by Cloudinary alone, from no page
            with self.subTest(label):
                sent = [field["name"] for field in operation.get("parameters", []) if field["in"] == "header"]
                response = self.preflight(schema["basePath"] + path, method=method, headers=",".join(sent))
                self.assertEqual(response.status_code, 200)
                self.assertEqual(response["Access-Control-Allow-Origin"], APP)
                self.assertIn(method, response["Access-Control-Allow-Methods"])
                allowed = response["Access-Control-Allow-Headers"].split(", ")
                self.assertLessEqual({name.lower() for name in sent} | {"authorization", "content-type"}, set(allowed))

    def test_documented_headers_of_answers_can_be_read(self):
        headers = set()
        for _, operation in operations_of(read_schema(self.client)):
            for response in operation["responses"].values():
                headers |= {name.lower() for name in response.get("headers", {})}
        self.assertGreater(len(headers), 5)
        exposed = self.client.get(TICKETS, HTTP_ORIGIN=APP)["Access-Control-Expose-Headers"].split(", ")
        self.assertLessEqual(headers - {"cache-control", "content-length"}, set(exposed))  # these every page may read

    def test_refusal_can_be_read_whoever_made_it(self):
        for path, status in ((TICKETS, 401), ("/api/v1/nothing/", 404), ("/api/v1/tickets/987654321/", 401)):
            with self.subTest(path):
                response = self.client.get(path, HTTP_ORIGIN=APP)
                self.assertEqual(response.status_code, status)
                self.assertEqual(response["Access-Control-Allow-Origin"], APP)

    def test_photo_is_taken_from_a_page_of_a_named_origin(self):
        owner = make_user()
        response = client_for(owner).post(
            f"{TICKETS}{make_ticket(owner).pk}/images/",
            jpeg_bytes(),
            content_type="image/jpeg",
            HTTP_ORIGIN=APP,
        )
        self.assertEqual((response.status_code, response["Access-Control-Allow-Origin"]), (202, APP))

    def test_poll_that_finds_nothing_new_may_be_read(self):
        owner = make_user()
        url, client = f"{TICKETS}{make_ticket(owner).pk}/status/", client_for(owner)
        for known in ("", client.get(url)["ETag"]):
            response = client.get(url, HTTP_ORIGIN=APP, HTTP_IF_NONE_MATCH=known)
            with self.subTest(response.status_code):
                self.assertEqual(response["Access-Control-Allow-Origin"], APP)
                self.assertIn("origin", response["Vary"])

    def test_other_origin_is_told_nothing(self):
        for origin in ("https://evil.example", f"{APP}.evil.example", "null"):
            with self.subTest(origin):
                self.assertNotIn("Access-Control-Allow-Origin", self.preflight(TICKETS, origin=origin))
                self.assertNotIn("Access-Control-Allow-Origin", self.client.get(TICKETS, HTTP_ORIGIN=origin))

    def test_cookies_are_not_asked_for(self):
        self.assertNotIn("Access-Control-Allow-Credentials", self.preflight(TICKETS))

    def test_admin_is_for_no_other_origin(self):
        response = self.client.get("/admin/login/", HTTP_ORIGIN=APP)
        self.assertNotIn("Access-Control-Allow-Origin", response)


class NoOriginTests(CorsTestCase):
    origins = ""

    def test_nothing_is_allowed_by_default(self):
        for response in (self.preflight(TICKETS), self.client.get(TICKETS, HTTP_ORIGIN=APP)):
            self.assertFalse([name for name in response.headers if name.startswith("Access-Control")])


class SettingTests(ApiTestCase):
    def test_malformed_origin_stops_the_start_with_a_sentence(self):
        for origin in ("app.example.com", "https://app.example.com/", "https://APP.example.com", "*", "null"):
            with self.subTest(origin):
                sentence = error_of_settings({"CORS_ALLOWED_ORIGINS": f"https://good.example,{origin}"})
                self.assertRegex(sentence, rf"CORS_ALLOWED_ORIGINS has '{re.escape(origin)}'\. Write each origin as")

    def test_origins_that_browsers_send_are_taken(self):
        origins = ["https://app.example.com", "http://localhost:3000", "http://[::1]:8080", "capacitor://localhost"]
        _, made = load_settings({"CORS_ALLOWED_ORIGINS": ",".join(origins)})
        self.assertEqual(literal_eval(made["CORS_ALLOWED_ORIGINS"]), origins)
