"""Log lines, as the processes of production write them."""

import http.client
import io
import json
import logging
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from django.test import RequestFactory, SimpleTestCase, override_settings
from gunicorn.config import Config

from apps.accounts.models import User
from apps.common.http.timing import observe
from apps.common.observability.logs import logging_config
from apps.common.observability.request_id import on_behalf_of
from apps.guests.links import token_of
from apps.tickets.models.transition import Transition
from hopla.gunicorn_conf import NoNeedlessAccessLog, logconfig_dict
from tests.faults.case import FaultsTestCase
from tests.faults.clients import photo
from tests.faults.world import ONE_WEB_PROCESS, PATIENT
from tests.logs import configured
from tests.makers import make_api_key, make_guest_link, make_user, token_for

PASSWORD = "never-in-a-log-1"


class ProductionLogTests(FaultsTestCase):
    world_options = {"environment": ONE_WEB_PROCESS | PATIENT | {"LOG_FORMAT": "json"}}

    def send(self, method: str, path: str, body=None, **headers):
        address = urlsplit(self.world.url)
        connection = http.client.HTTPConnection(address.hostname, address.port, timeout=60)
        self.addCleanup(connection.close)
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        response = connection.getresponse()
        response.read()
        return response

    def lines_of(self, process) -> list[dict]:
        return [json.loads(line) for line in process.output.splitlines()]

    def test_every_line_of_both_processes_is_json(self):
        self.post(1)
        self.wait_until_settled()

        for process in (self.world.web, self.world.workers[0]):
            with self.subTest(process.name):
                lines = self.lines_of(process)
                self.assertGreater(len(lines), 1)
                for line in lines:
                    self.assertLessEqual({"time", "level", "logger", "process", "message", "request_id"}, line.keys())
                    datetime.strptime(line["time"], "%Y-%m-%dT%H:%M:%S%z")

    def test_id_of_the_request_goes_with_the_photo_to_the_worker(self):
        ticket = self.open_ticket(1)
        token = token_for(User.objects.get())
        headers = {"Authorization": f"Token {token}", "Content-Type": "image/jpeg", "X_Request_ID": "follow-me-1"}
        self.assertEqual(self.send("POST", f"/api/v1/tickets/{ticket}/images/", photo(1), **headers).status, 202)
        self.wait_until_settled()
        (image,) = self.images()

        def lines_about_it(process):
            return [line for line in self.lines_of(process) if line.get("image") == str(image.pk)]

        self.wait_until(lambda: len(lines_about_it(self.world.workers[0])) == 2)
        (accepted,), (begun, stored) = lines_about_it(self.world.web), lines_about_it(self.world.workers[0])
        for line in (accepted, begun, stored):
            self.assertEqual((line["request_id"], line["ticket"]), ("follow-me-1", ticket))
        self.assertEqual((stored["from"], stored["to"], stored["attempt"]), ("uploading", "stored", 1))
        self.assertRegex(stored["by"], "^job ")
        self.assertGreater(stored["seconds"], 0)

    def test_refusal_is_told_once_with_its_reason(self):
        headers = {"X_Request_ID": "refuse-me-1", "Content-Type": "image/jpeg"}
        self.send("POST", "/api/v1/tickets/1/images/?token=abc", photo(1), **headers)

        (line,) = [line for line in self.lines_of(self.world.web) if line["request_id"] == "refuse-me-1"]

        self.assertEqual((line["status"], line["code"], line["route"]), (401, "not_authenticated", "ticket-images"))
        self.assertNotIn("token=", json.dumps(line))

    def test_each_move_is_told_once(self):
        ticket = self.post(2)
        self.wait_until_settled()

        def told():
            lines = self.lines_of(self.world.web) + self.lines_of(self.world.workers[0])
            return [(line["from"], line["to"]) for line in lines if "from" in line and line["ticket"] == ticket]

        self.wait_until(lambda: ("in_progress", "completed") in told())
        moves = Transition.objects.filter(ticket_id=ticket).values_list("from_status", "to_status")
        self.assertEqual(len(moves), 6)
        self.assertCountEqual(told(), moves)

    def test_no_secret_is_in_any_line(self):
        user = make_user("careful")
        user.set_password(PASSWORD)
        user.save()
        token = token_for(user)
        forms = {"Content-Type": "application/json"}
        login = json.dumps({"username": "careful", "password": PASSWORD})
        self.send("POST", "/api/v1/auth/login/", login, **forms)
        self.send("POST", "/api/v1/auth/login/", login.replace(PASSWORD, f"{PASSWORD}-wrong"), **forms)
        self.send("POST", "/api/v1/auth/login/", "{" + PASSWORD, **forms)
        self.send("GET", f"/api/v1/tickets/?page={token}", Authorization=f"Token {token}")
        self.send("GET", "/api/v1/tickets/", Authorization=f"Bearer {token}")
        self.send("GET", "/api/v1/no-such-path/", Authorization=f"Token {token}")
        guest = token_of(make_guest_link())
        for path in (f"/u/{guest}/", f"/u/{guest}", f"/u/{guest}/no-such-path/"):
            self.send("GET", path, Referer=f"http://localhost/u/{guest}/")
            self.send("POST", path, "x=1", **{"Content-Type": "application/x-www-form-urlencoded"})
        self.send("GET", "/api/v1/tickets/", Authorization=f"Guest {guest}")
        self.send("GET", "/api/v1/tickets/", Authorization=f"Token {guest}")
        key = make_api_key(user)[1]
        for scheme in ("Token", "Bearer", "Guest", "Basic"):
            self.send("GET", f"/api/v1/tickets/?key={key}", Authorization=f"{scheme} {key}")
        self.send("GET", f"/api/v1/{key}/", Authorization=f"Token {key[:-1]}", Referer=f"http://localhost/?{key}")
        self.send("GET", f"/{key}/?{key}")
        self.sandbox.misbehave("wrong_credentials", times=1)
        self.post(1)
        self.wait_until(lambda: "credentials" in self.world.workers[0].output)

        written = self.world.web.output + self.world.workers[0].output

        secret = urlsplit(self.sandbox.cloudinary_url).password
        for value in (PASSWORD, token, guest, key, key[12:50], secret, "signature="):
            self.assertNotIn(value, written)


class LineTests(SimpleTestCase):
    def test_loggers_are_as_before_where_a_test_has_configured_logging(self):
        logger = logging.getLogger("hopla.test")
        before = (logger.handlers[:], logger.level, logger.propagate, logger.disabled)

        self.written("json", lambda log: log.warning("x"))

        self.assertEqual((logger.handlers, logger.level, logger.propagate, logger.disabled), before)

    def written(self, log_format: str, write) -> str:
        config = logging_config(log_format)
        stream = config["handlers"]["console"]["stream"] = io.StringIO()
        config["loggers"] = {"hopla.test": {"handlers": ["console"], "propagate": False}}
        del config["root"]
        with configured(config):
            write(logging.getLogger("hopla.test"))
        return stream.getvalue()

    def test_what_a_user_sent_cannot_begin_a_line_of_its_own(self):
        line = self.written("json", lambda log: log.warning("file %s", "a\nINFO forged"))
        self.assertEqual(line.count("\n"), 1)
        self.assertEqual(json.loads(line)["message"], "file a\nINFO forged")

        line = self.written("plain", lambda log: log.warning("file %s", "a\r\nINFO forged \x1b[31m"))
        self.assertTrue(line.endswith(r"file a\x0d\x0aINFO forged \x1b[31m" + "\n"), line)

    def test_exception_is_one_line(self):
        def write(log):
            try:
                raise ValueError("it broke")
            except ValueError:
                log.exception("no good")

        (line,) = self.written("json", write).splitlines()
        self.assertIn("ValueError: it broke", json.loads(line)["exc_info"])

    def test_token_of_a_secret_path_is_masked(self):
        for path in ("/u/s3cret-_/", "/u/s3cret-_", "/verify-email/s3cret-_/", "/support/subscription/s3cret-_:x/"):
            for log_format in ("plain", "json"):
                line = self.written(log_format, lambda log, path=path: log.error("Not Found: %s", path))
                self.assertNotIn("s3cret", line)
                self.assertIn("Not Found: /", line)
        line = self.written("plain", lambda log: log.info("GET /api/v1/tickets/7/ of http://x/u/s3cret/?y"))
        self.assertIn("GET /api/v1/tickets/7/ of http://x/u/…/?y", line)

    def test_key_is_masked_wherever_it_stands(self):
        for log_format in ("plain", "json"):
            for key in (f"hopla_{'aB3' * 16}x", f"hopla_{'aB3' * 9}"):
                line = self.written(log_format, lambda log, key=key: log.error("Not Found: /?key=%s", key))
                self.assertNotIn("aB3", line)
                self.assertIn("Not Found: /?key=hopla_", line)

    def test_line_keeps_an_id_that_it_was_given(self):
        with on_behalf_of("of-now"):
            own = self.written("json", lambda log: log.warning("x", extra={"request_id": "of-then"}))
            current = self.written("json", lambda log: log.warning("x"))
        self.assertEqual([json.loads(line)["request_id"] for line in (own, current)], ["of-then", "of-now"])

    def test_plain_is_for_people(self):
        self.assertIn(" WARNING hopla.test [-] hello", self.written("plain", lambda log: log.warning("hello")))


class AccessLogTests(SimpleTestCase):
    class Logger(NoNeedlessAccessLog):
        def setup(self, cfg):
            """Leaves the logging of this process unchanged."""
            self.cfg = cfg

    def logger(self, **given) -> NoNeedlessAccessLog:
        config = Config()
        config.set("logconfig_dict", logconfig_dict)
        for name, value in given.items():
            config.set(name, value)
        return self.Logger(config)

    def test_no_line_is_made_where_nobody_asked_for_an_access_log(self):
        self.logger().access(None, None, None, None)  # with which no line could be made

    def test_access_log_that_was_asked_for_is_written(self):
        self.assertTrue(self.logger(accesslog="-").access_log_enabled)

    def test_token_of_a_secret_path_is_in_no_part_of_a_line(self):
        class Response:
            status, sent, headers = "200 OK", 10, ()

        class Request:
            headers = (("REFERER", "http://localhost/u/s3cret/"),)

        environ = {"REQUEST_METHOD": "GET", "RAW_URI": "/u/s3cret/?x", "SERVER_PROTOCOL": "HTTP/1.1"}
        environ |= {"PATH_INFO": "/u/s3cret/", "HTTP_REFERER": "http://localhost/u/s3cret/"}
        atoms = self.logger(accesslog="-").atoms(Response, Request, environ, timedelta(seconds=1))
        self.assertEqual(atoms["r"], "GET /u/…/?x HTTP/1.1")
        self.assertNotIn("s3cret", str(atoms))


class SlowRequestTests(SimpleTestCase):
    def observe(self, *, seconds: float, body_seconds: float = 0):
        request = RequestFactory().get("/healthz")
        request.resolver_match = None

        class Response:
            status_code = 200

        observe(request, Response(), seconds=seconds, body_seconds=body_seconds)

    @override_settings(LOG_SLOW_REQUEST_SECONDS=1)
    def test_slow_request_is_told_once(self):
        with self.assertLogs("apps.common.http.timing", "WARNING") as told:
            self.observe(seconds=1.5, body_seconds=30)
        self.assertEqual(len(told.output), 1)
        self.assertIn("GET none took 1.50 seconds, besides 30.00 for its body", told.output[0])

    @override_settings(LOG_SLOW_REQUEST_SECONDS=1)
    def test_client_that_sends_slowly_makes_no_slow_request(self):
        with self.assertNoLogs("apps.common.http.timing", "WARNING"):
            self.observe(seconds=0.2, body_seconds=300)

    @override_settings(LOG_SLOW_REQUEST_SECONDS=0)
    def test_0_turns_it_off(self):
        with self.assertNoLogs("apps.common.http.timing", "WARNING"):
            self.observe(seconds=100)
