import socket
import time
from email.utils import parsedate_to_datetime

import cloudinary.uploader
from cloudinary import api
from cloudinary.exceptions import AuthorizationRequired, Error, GeneralError, NotFound, RateLimited
from django.test import SimpleTestCase

from apps.sandbox.faults import KINDS, FaultError, Faults, make_fault
from tests.sandbox.case import SandboxTestCase
from tests.sandbox.photos import photo


class FaultTestCase(SandboxTestCase):
    def assert_upload_fails(self, error=Error, message="", **options):
        with self.assertRaisesRegex(error, message):
            self.upload(**options)

    @property
    def is_stored(self):
        return self.sandbox.assets.find(public_id="hopla/one") is not None


class BeforeStoringTest(FaultTestCase):
    def tearDown(self):
        self.assertFalse(self.is_stored)

    def test_hang_sends_no_response(self):
        self.sandbox.misbehave("hang")

        self.assert_upload_fails(message="Read timed out", timeout=0.3)

    def test_drop_before_reading_takes_nothing_in(self):
        self.sandbox.misbehave("drop_before_reading")

        self.assert_upload_fails()
        self.assertEqual(self.sandbox.uploads, [])

    def test_reset_before_storing_takes_the_photo_in(self):
        self.sandbox.misbehave("reset_before_storing")

        self.assert_upload_fails(message="[Rr]eset")
        self.assertEqual([arrival.stored for arrival in self.sandbox.uploads], [False])

    def test_wrong_credentials_meet_every_action_until_lifted(self):
        fault = self.sandbox.misbehave("wrong_credentials")

        self.assert_upload_fails(AuthorizationRequired, "^Invalid Signature")
        with self.assertRaises(AuthorizationRequired):
            api.ping(**self.sdk)
        with self.assertRaises(AuthorizationRequired):
            cloudinary.uploader.destroy("hopla/one", **self.sdk)

        self.sandbox.behave(fault)
        self.assertEqual(api.ping(**self.sdk)["status"], "ok")


class RefuseTest(FaultTestCase):
    def test_each_status_in_its_form(self):
        for status in (400, 401, 403, 404, 409, 423, 500, 503):
            with self.subTest(status):
                self.sandbox.misbehave("refuse", status=status, times=1)
                response = self.post_signed()
                self.assertEqual(response.status, status)
                self.assertTrue(response.json()["error"]["message"])
        self.assertFalse(self.is_stored)

    def test_420_names_the_time_it_ends(self):
        self.sandbox.misbehave("refuse", status=420, reset_in_seconds=600)
        before = time.time()

        response = self.post_signed()

        reset = parsedate_to_datetime(response.headers["X-FeatureRateLimit-Reset"]).timestamp()
        self.assertEqual(response.status, 420)
        self.assertGreaterEqual(reset, int(before) + 600)
        self.assertLess(reset, time.time() + 601)

    def test_429_says_when_to_come_back(self):
        self.sandbox.misbehave("refuse", status=429, retry_after=7)

        self.assert_upload_fails(RateLimited)
        self.assertEqual(self.post_signed().headers["Retry-After"], "7")

    def test_502_is_a_page(self):
        self.sandbox.misbehave("refuse", status=502)

        self.assert_upload_fails(message=r"Error parsing server response \(502\)")

    def test_message_and_headers_can_be_chosen(self):
        self.sandbox.misbehave("refuse", status=400, message="Overlay too large", headers={"X-Odd": "yes"})

        response = self.post_signed()

        self.assertEqual(response.json()["error"]["message"], "Overlay too large")
        self.assertEqual(response.headers["X-Odd"], "yes")


class AfterStoringTest(FaultTestCase):
    def tearDown(self):
        self.wait_until(lambda: self.is_stored)  # a client that gave up may have done so before

    def test_latency_stores_even_when_the_client_gave_up(self):
        self.sandbox.misbehave("latency", seconds=3)

        self.assert_upload_fails(message="Read timed out", timeout=0.3)

    def test_store_then_drop(self):
        self.sandbox.misbehave("store_then_drop")

        self.assert_upload_fails(message="Remote end closed|Connection aborted")

    def test_store_then_hang(self):
        self.sandbox.misbehave("store_then_hang")

        self.assert_upload_fails(message="Read timed out", timeout=0.5)

    def test_store_then_500(self):
        self.sandbox.misbehave("store_then_500")

        self.assert_upload_fails(GeneralError)

    def test_cut_answer(self):
        self.sandbox.misbehave("cut_answer")

        self.assert_upload_fails(message="IncompleteRead")

    def test_truncated_json(self):
        self.sandbox.misbehave("truncated_json")

        self.assert_upload_fails(message="Error parsing server response")

    def test_null_body(self):
        self.sandbox.misbehave("null_body")

        with self.assertRaises(TypeError):
            self.upload()

    def test_html_page(self):
        self.sandbox.misbehave("html_page")

        self.assert_upload_fails(message=r"Error parsing server response \(200\)")

    def test_drip_sends_the_whole_response_in_the_end(self):
        self.sandbox.misbehave("drip", interval_seconds=0)

        self.assertEqual(self.upload()["public_id"], "hopla/one")

    def test_drip_starts_with_a_single_byte_of_the_headers(self):
        self.upload()
        self.sandbox.misbehave("drip", action="delivery", interval_seconds=60)
        with socket.create_connection((self.sandbox.host, self.sandbox.port), timeout=60) as client:
            client.sendall(b"GET /sandbox/image/upload/hopla/one HTTP/1.1\r\nHost: sandbox\r\n\r\n")

            self.assertEqual(client.recv(1000), b"H")

    def test_wrong_fields(self):
        right = self.upload()
        for name in ("public_id", "etag", "bytes"):
            with self.subTest(name):
                self.sandbox.misbehave(f"wrong_{name}", times=1)
                wrong = self.upload()
                self.assertNotEqual(wrong[name], right[name])

    def test_store_half_tells_the_truth_about_it(self):
        data = photo(size=(300, 300))
        self.sandbox.misbehave("store_half")

        answer = self.upload(data)

        self.assertEqual(answer["bytes"], len(data) // 2)
        self.assertEqual(self.get(answer["url"]).data, data[: len(data) // 2])


class AdminFaultTest(FaultTestCase):
    def test_admin_lag_hides_what_was_just_stored(self):
        self.sandbox.misbehave("admin_lag", seconds=60)
        self.upload()

        with self.assertRaises(NotFound):
            api.resource("hopla/one", **self.sdk)
        self.assertEqual(api.resources_by_ids(["hopla/one"], **self.sdk)["resources"], [])
        self.assertEqual(api.resources(type="upload", **self.sdk)["resources"], [])

        self.sandbox.behave()
        self.assertEqual(api.resource("hopla/one", **self.sdk)["public_id"], "hopla/one")

    def test_fault_of_one_action_leaves_the_others_alone(self):
        self.sandbox.misbehave("refuse", action="admin")

        self.upload()
        with self.assertRaises(GeneralError):
            api.ping(**self.sdk)


class StopTest(FaultTestCase):
    def test_stop_cuts_off_who_still_waits(self):
        fault = self.sandbox.misbehave("hang", action="admin")
        with socket.create_connection((self.sandbox.host, self.sandbox.port), timeout=60) as client:
            client.sendall(b"GET /v1_1/sandbox/ping HTTP/1.1\r\nHost: sandbox\r\n\r\n")
            self.wait_until(lambda: fault.fired)
            self.sandbox.stop()

            self.assertEqual(client.recv(100), b"")


class RuleTest(SimpleTestCase):
    def test_rule_wears_out(self):
        faults = Faults()
        faults.add(make_fault("hang", times=2))

        self.assertEqual(["hang" in faults.draw("upload") for _ in range(3)], [True, True, False])

    def test_next_rule_takes_over(self):
        faults = Faults()
        faults.set([make_fault("hang", times=1), make_fault("refuse")])

        drawn = [faults.draw("upload").fault.kind for _ in range(2)]

        self.assertEqual(drawn, ["hang", "refuse"])

    def test_same_seed_throws_the_same_dice(self):
        def sequence(seed):
            faults = Faults()
            faults.set([make_fault("hang", rate=0.5)], seed=seed)
            return ["hang" in faults.draw("upload") for _ in range(64)]

        self.assertEqual(sequence(7), sequence(7))
        self.assertNotEqual(sequence(7), sequence(8))

    def test_latency_comes_on_top(self):
        faults = Faults()
        faults.set([make_fault("latency", seconds=2), make_fault("refuse"), make_fault("latency", seconds=3)])

        drawn = faults.draw("upload")

        self.assertEqual((drawn.latency_seconds, drawn.fault.kind), (5, "refuse"))

    def test_nonsense_is_refused(self):
        for kind, rule in (
            ("explode", {}),
            ("hang", {"action": "rename"}),
            ("hang", {"minutes": 1}),
            ("hang", {"rate": 2}),
            ("hang", {"times": 0}),
            ("latency", {"seconds": "long"}),
            ("refuse", {"status": "many"}),
            ("refuse", {"headers": "none"}),
        ):
            with self.subTest(kind=kind, **rule), self.assertRaises(FaultError):
                make_fault(kind, **rule)

    def test_every_kind_is_tested_here(self):
        names = " ".join(name for case in FaultTestCase.__subclasses__() for name in vars(case))
        elsewhere = ("wrong_", "notification_")  # the latter in test_notifications.py
        untested = {kind for kind in KINDS if kind not in names and not kind.startswith(elsewhere)}

        self.assertEqual(untested - {"refuse"}, set())
